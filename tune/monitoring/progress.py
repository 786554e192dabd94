"""Shows a search's progress: a live table on a terminal, otherwise lines.

Each ended trial is a line; if none ends for a minute, a line summarises the search. With a
JsonConsole, each event is a line.
"""

import os
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import Any, Literal, Protocol

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from model.system.durations import format_seconds
from model.system.terminal import say
from search_spaces import SearchSpace
from tune.monitoring.json_events import epoch_event, event, trial_event
from tune.monitoring.search_state import SearchState, axis_values, short
from tune.records.orders import OrderRecord
from tune.records.trial import Status, TrialRecord

_SHOWN_ENDED = 8
_ALWAYS_SHOWN = 4
"""Columns of the live table that are no axes."""
_FRAME = 3
"""What rich draws around a column's text: two blanks and a line; the table begins with one."""
SILENCE_SECONDS = 60.0
"""Without a terminal, longest time without a line while trials report."""


class TimeLeft(Protocol):
    """Estimates how long the rest of a search takes."""

    def see(self, record: TrialRecord) -> None:
        """Learn a trial's present state."""

    def seconds(self) -> float:
        """Return the seconds left."""


class Progress:
    """Listens to the recorder; a context manager while the search runs."""

    def __init__(
        self,
        console: Console,
        space: SearchSpace,
        *,
        num_trials: int,
        clock: Callable[[], float],
        seconds_left: Callable[[], float | None],
        earlier: Iterable[TrialRecord] = (),
        name: Callable[[TrialRecord], str] = lambda record: f"trial {record.number}",
        of_finalists: bool = False,
        remaining: TimeLeft | None = None,
        expected_seconds: float | None = None,
    ) -> None:
        """Show a search.

        Args:
            console: Where to print.
            space: The search space; its axes are shown.
            num_trials: Total number of trials.
            clock: Returns the seconds since the search's start.
            seconds_left: Returns what is left of the time budget; None without one.
            earlier: The trials of earlier sessions.
            name: Returns a trial's name.
            of_finalists: Whether the trials retrain finalists.
            remaining: Estimates the rest; None extrapolates from the trials that ended since the
                start.
            expected_seconds: Expected seconds of all trials, used until one has ended; None if
                unknown.
        """
        self._console = console
        self._axes = space.axes
        self._num_trials = num_trials
        self._name = name
        self._of_finalists = of_finalists
        self._remaining = remaining
        self._clock = clock
        self._seconds_left = seconds_left
        self._search_state = SearchState(space)
        self._expected_seconds = expected_seconds
        self._ended_last: deque[TrialRecord] = deque(maxlen=_SHOWN_ENDED)
        self._begun_seconds = self._last_line_seconds = clock()
        for record in earlier:
            self._see(record)
            if record.is_done:
                self._ended(record)
        self._num_earlier = self._num_ended
        self._is_live = not console.quiet and _can_draw_over(console)
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=2)

    def __enter__(self) -> "Progress":
        if self._is_live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_live:
            self._live.stop()

    def trial_started(self, record: TrialRecord) -> None:
        """Show a trial as running."""
        self._see(record)
        self._event("trial_started", record, config=record.config.to_dict())

    def epoch_ended(self, record: TrialRecord) -> None:
        """Check whether a trial is now the best."""
        self._see(record)
        is_best = record is self._search_state.best
        event(self._console, "epoch_ended", **epoch_event(record), is_best=is_best)
        if not self._is_live and self._clock() - self._last_line_seconds >= SILENCE_SECONDS:
            num_running = self._search_state.statuses[Status.RUNNING]
            self._say(f"{self._counted()} {num_running} running | {self.summary()}")

    def trial_recovered(self, record: TrialRecord, reason: str) -> None:
        """Report that a trial continues elsewhere."""
        self._event("trial_recovered", record, reason=reason)
        self._say(f"{self._name(record)} continues from its last checkpoint: {reason}")

    def trial_ended(self, record: TrialRecord) -> None:
        """Show how a trial ended."""
        self._see(record)
        self._ended(record)
        best = self._search_state.best
        self._event(
            "trial_ended",
            record,
            num_ended=self._num_ended,
            num_trials=self._num_trials,
            best_trial=best.number if best else None,
            best_val_bits_per_char=best.objective if best else None,
        )
        if not self._is_live:
            # No summary after a trial that was cut off: the session ends.
            rest = f" | {self.summary()}" if record.is_done else ""
            self._say(f"{self._counted()} {self._line(record)}{rest}")

    def ordered(self, order: OrderRecord) -> None:
        """Report that an order was given, carried out or refused."""
        state = "ordered" if order.is_open else "carried out"
        state = f"refused: {order.refused}" if order.refused else state
        text = f"by hand: {order.order}: {state}"
        values = {key: value for key, value in order.row().items() if key != "config"}
        event(self._console, "order", **values, text=text)
        self._say(text)

    def summary(self) -> str:
        """Return the best trial, the number of pruned ones and the time left."""
        best = self._search_state.best
        who = f"best {best.objective:.4f} ({self._name(best)})" if best else "no result yet"
        num_pruned = self._search_state.statuses[Status.PRUNED]
        return f"{who} | {num_pruned} pruned | {self._time_left()}"

    def _event(self, name: str, record: TrialRecord, **values: Any) -> None:
        of_trial = trial_event(record, self._name(record), is_finalist=self._of_finalists)
        event(self._console, name, **of_trial, **values)

    def _counted(self) -> str:
        width = len(str(self._num_trials))
        return f"[{self._num_ended:>{width}}/{self._num_trials}]"

    def _see(self, record: TrialRecord) -> None:
        self._search_state.see(record)
        if self._remaining is not None:
            self._remaining.see(record)

    @property
    def _num_ended(self) -> int:
        return self._search_state.num_ended

    def _ended(self, record: TrialRecord) -> None:
        if record in self._ended_last:  # it was promoted
            self._ended_last.remove(record)
        self._ended_last.append(record)

    def _say(self, text: str) -> None:
        self._last_line_seconds = self._clock()
        say(self._console, text)

    def _time_left(self) -> str:
        estimates, seconds = [], self._clock() - self._begun_seconds
        if self._remaining is not None:
            estimates.append(self._remaining.seconds())
        elif self._num_ended > self._num_earlier:
            pace = seconds / (self._num_ended - self._num_earlier)
            # Orders may add trials to the planned ones.
            estimates.append(pace * max(0, self._num_trials - self._num_ended))
        elif self._expected_seconds is not None:
            estimates.append(max(0.0, self._expected_seconds - seconds))
        budget_left = self._seconds_left()
        if budget_left is not None:
            estimates.append(budget_left)
        return f"about {format_seconds(min(estimates))} left" if estimates else "starting"

    def _line(self, record: TrialRecord) -> str:
        label = self._name(record)
        if record.baseline:
            label += f" ({record.baseline})"
        if record.error:
            return f"{record.status.value:<8} {label}: {record.error}"
        objective = f"{record.objective:.4f} bits" if record.best else "not measured"
        epochs = f"epoch {record.epochs_run:g} of {record.config.epochs:g}"
        values = axis_values(record, self._axes)
        return f"{record.status.value:<8} {label}: {objective}, {epochs}, {values}"

    def _render(self) -> RenderableType:
        running = self._search_state.running
        best = self._search_state.best
        # A copy, because rich renders in its own thread.
        ended = [record for record in list(self._ended_last) if record not in running]
        records = [*ended, *running]
        columns = _columns(records, self._axes)
        widths = accumulate(_FRAME + max(map(cell_len, column)) for column in columns)
        num_shown = max(_ALWAYS_SHOWN, bisect_right(list(widths), self._console.width - 1))
        shown, others = columns[:num_shown], columns[num_shown:]
        table = Table(expand=False)
        for title, *cells in shown:
            # What is narrower rich shortens: a word of a heading, a status.
            narrowest = max(map(cell_len, (*title.split(), *cells)))
            justify: Literal["left", "right"] = "left" if title == "status" else "right"
            table.add_column(title, justify=justify, min_width=narrowest)
        for record, row in zip(records, list(zip(*shown, strict=True))[1:], strict=True):
            table.add_row(*row, style="bold" if record is best else None)
        head = f"{self._num_ended} of {self._num_trials} trials | {self.summary()}"
        foot = (
            f"* baseline | {len(running)} running | "
            f"trials trained to the epoch of each rung: {self._search_state.rungs_text()}"
        )
        if best and others:
            foot += f"\nbest trial: {axis_values(best, (axis for axis, *_ in others))}"
        return Group(Text(head), table, Text(foot, style="dim"))


def _can_draw_over(console: Console) -> bool:
    """Return whether what is shown can be replaced: on a terminal.

    FORCE_COLOR has rich take a file for one; a dumb one shows nothing before the end; and what
    Jupyter's `!` gives a command is one, but the cell keeps all that is written.
    """
    return (
        console.is_terminal
        and console.file.isatty()
        and not console.is_dumb_terminal
        and "JPY_PARENT_PID" not in os.environ
    )


def _columns(records: list[TrialRecord], axes: list[str]) -> list[list[str]]:
    """Return the columns of the live table, each a heading and its cells."""
    values = [record.config.to_dict() for record in records]
    return [
        ["trial", *(f"{each.number}{'*' if each.baseline else ''}" for each in records)],
        ["status", *(each.status.value for each in records)],
        ["bits per char", *(f"{each.objective:.4f}" if each.best else "" for each in records)],
        ["epoch", *(f"{each.epochs_run:g}/{each.config.epochs:g}" for each in records)],
        *([axis, *(short(each[axis]) for each in values)] for axis in axes if axis != "epochs"),
    ]
