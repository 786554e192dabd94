"""Shows a search's progress: a live table on a terminal, otherwise lines.

Each ended trial is a line; if none ends for a minute, a line summarises the search. With a
JsonConsole, each event is a line.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from model.system.durations import format_seconds
from model.system.terminal import say
from search_spaces import SearchSpace
from tune.monitoring.json_events import JsonConsole, epoch_event, trial_event
from tune.monitoring.search_state import SearchState, axis_values, short
from tune.records.orders import OrderRecord
from tune.records.trial import Status, TrialRecord

_SHOWN_ENDED = 8
SILENCE_SECONDS = 60.0
"""Without a terminal, longest time without a line while epochs are trained."""


class TimeLeft(Protocol):
    """Says how long the rest of a search takes."""

    def see(self, record: TrialRecord) -> None:
        """Learn how a trial is now."""

    def seconds(self) -> float:
        """Return what the rest takes."""


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
            space: What is searched; its axes are shown.
            num_trials: Trials in all.
            clock: Seconds since the search's start.
            seconds_left: What is left of the time budget, None without one.
            earlier: The trials of earlier sessions.
            name: What a trial is called.
            of_finalists: Whether the trials retrain finalists.
            remaining: Estimates the rest; None extrapolates from the trials that ended since the
                start.
            expected_seconds: What all are expected to take, until one has ended; None where
                nothing is known.
        """
        self._console = console
        self._events = console if isinstance(console, JsonConsole) else None
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
        if self._events:
            event = self._event(record)
            self._events.event("trial_started", **event, config=record.config.to_dict())

    def epoch_ended(self, record: TrialRecord) -> None:
        """See whether a trial is the best now."""
        self._see(record)
        if self._events:
            is_best = record is self._search_state.best
            self._events.event("epoch_ended", **epoch_event(record), is_best=is_best)
        elif not self._is_live and self._clock() - self._last_line_seconds >= SILENCE_SECONDS:
            num_running = self._search_state.statuses[Status.RUNNING]
            self._say(f"{self._counted()} {num_running} running | {self.summary()}")

    def trial_recovered(self, record: TrialRecord, reason: str) -> None:
        """Tell that a trial goes on elsewhere."""
        if self._events:
            event = self._event(record)
            self._events.event("trial_recovered", **event, reason=reason)
        else:
            self._say(f"{self._name(record)} continues from its last checkpoint: {reason}")

    def trial_ended(self, record: TrialRecord) -> None:
        """Show how a trial ended."""
        self._see(record)
        self._ended(record)
        if self._events:
            best = self._search_state.best
            self._events.event(
                "trial_ended",
                **self._event(record),
                num_ended=self._num_ended,
                num_trials=self._num_trials,
                best_trial=best.number if best else None,
                best_val_bits_per_char=best.objective if best else None,
            )
        elif not self._is_live:
            # Of a trial that is cut off no summary: the session ends.
            rest = f" | {self.summary()}" if record.is_done else ""
            self._say(f"{self._counted()} {self._line(record)}{rest}")

    def ordered(self, order: OrderRecord) -> None:
        """Tell that something was ordered by hand, carried out or refused."""
        state = "ordered" if order.is_open else "carried out"
        state = f"refused: {order.refused}" if order.refused else state
        text = f"by hand: {order.order}: {state}"
        if self._events:
            values = {key: value for key, value in order.row().items() if key != "config"}
            self._events.event("order", **values, text=text)
        else:
            self._say(text)

    def summary(self) -> str:
        """Return who is best, how many were pruned, and the time left."""
        best = self._search_state.best
        who = f"best {best.objective:.4f} ({self._name(best)})" if best else "no result yet"
        num_pruned = self._search_state.statuses[Status.PRUNED]
        return f"{who} | {num_pruned} pruned | {self._time_left()}"

    def _event(self, record: TrialRecord) -> dict[str, Any]:
        return trial_event(record, self._name(record), is_finalist=self._of_finalists)

    @property
    def _is_live(self) -> bool:
        return self._console.is_terminal and not self._console.quiet

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
        if record in self._ended_last:  # it had stopped at a rung, and went on
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
            # Orders may add trials to those of the plan.
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
        table = Table(expand=False)
        for title in ("trial", "status", "bits per char", "epoch", *self._axes):
            table.add_column(title, justify="left" if title == "status" else "right")
        running = self._search_state.running
        # A copy: rich renders in a thread of its own.
        ended = [record for record in list(self._ended_last) if record not in running]
        for record in [*ended, *running]:
            values = record.config.to_dict()
            table.add_row(
                f"{record.number}" + "*" * bool(record.baseline),
                record.status.value,
                f"{record.objective:.4f}" if record.best else "",
                f"{record.epochs_run:g}/{record.config.epochs:g}",
                *(short(values[axis]) for axis in self._axes),
                style="bold" if record is self._search_state.best else None,
            )
        head = f"{self._num_ended} of {self._num_trials} trials | {self.summary()}"
        foot = (
            f"* baseline | {len(running)} running | "
            f"trials that reached each rung: {self._search_state.rungs_text()}"
        )
        return Group(Text(head), table, Text(foot, style="dim"))
