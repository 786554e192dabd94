"""Shows a search's progress: a live table on a terminal, else one line a finished trial."""

from collections.abc import Callable, Iterable
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from search_spaces import SearchSpace
from tune.durations import format_seconds
from tune.records import Status, TrialRecord

_SHOWN_ENDED = 8


def trial_name(record: TrialRecord) -> str:
    """Return what a trial of the search is called."""
    return f"trial {record.number}"


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
        name: Callable[[TrialRecord], str] = trial_name,
        to_go: Callable[[Iterable[TrialRecord]], float] | None = None,
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
            to_go: Says from all trials so far how many seconds the rest takes; None takes it
                for as long as those that have ended took.
        """
        self._console = console
        self._axes = space.axes
        self._num_trials = num_trials
        self._name = name
        self._to_go = to_go
        self._clock = clock
        self._seconds_left = seconds_left
        self._records = {record.number: record for record in earlier}
        self._ended = [record for record in self._records.values() if record.has_ended]
        self._best: TrialRecord | None = None
        for record in self._records.values():
            if record.best:
                self.epoch_ended(record)
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=2)

    def __enter__(self) -> "Progress":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def trial_started(self, record: TrialRecord) -> None:
        """Show a trial as running."""
        self._records[record.number] = record

    def epoch_ended(self, record: TrialRecord) -> None:
        """See whether a trial is the best now."""
        if self._best is None or record.objective < self._best.objective:
            self._best = record

    def trial_ended(self, record: TrialRecord) -> None:
        """Show how a trial ended."""
        self._ended.append(record)
        if not self._console.is_terminal:
            width = len(str(self._num_trials))
            line = f"[{len(self._ended):>{width}}/{self._num_trials}] {self._line(record)}"
            text = f"{line} | {self.summary()}"
            # An error's text may hold brackets, which rich would read as markup.
            self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def summary(self) -> str:
        """Return who is best, how many were pruned, and the time left."""
        best = self._best
        who = f"best {best.objective:.4f} ({self._name(best)})" if best else "no result yet"
        num_pruned = sum(record.status == Status.PRUNED for record in self._ended)
        return f"{who} | {num_pruned} pruned | {self._time_left()}"

    def _time_left(self) -> str:
        estimates = []
        if self._to_go is not None:
            estimates.append(self._to_go(self._records.values()))
        elif self._ended:
            num_left = self._num_trials - len(self._ended)
            estimates.append(self._clock() / len(self._ended) * num_left)
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
        epochs = f"epoch {len(record.epochs)} of {record.config.epochs}"
        return f"{record.status.value:<8} {label}: {objective}, {epochs}, {self._values(record)}"

    def _values(self, record: TrialRecord) -> str:
        values = record.config.to_dict()
        shown = [axis for axis in self._axes if axis != "epochs"]
        return " ".join(f"{axis}={_short(values[axis])}" for axis in shown)

    def _render(self) -> RenderableType:
        table = Table(expand=False)
        for title in ("trial", "status", "bits per char", "epoch", *self._axes):
            table.add_column(title, justify="left" if title == "status" else "right")
        running = [r for r in self._records.values() if r.status == Status.RUNNING]
        for record in [*self._ended[-_SHOWN_ENDED:], *running]:
            values = record.config.to_dict()
            table.add_row(
                f"{record.number}" + "*" * bool(record.baseline),
                record.status.value,
                f"{record.objective:.4f}" if record.best else "",
                f"{len(record.epochs)}/{record.config.epochs}",
                *(_short(values[axis]) for axis in self._axes),
                style="bold" if record is self._best else None,
            )
        head = f"{len(self._ended)} of {self._num_trials} trials | {self.summary()}"
        return Group(Text(head), table, Text("* baseline", style="dim"))


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
