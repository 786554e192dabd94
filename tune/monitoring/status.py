"""What `python -m tune.status` says of a run, from its folder alone, even during a search."""

import dataclasses
import shlex
import time
from pathlib import Path
from typing import Any

from model.config import is_own_cell
from model.errors import ConfigError
from model.system.command_line import cell_words
from model.system.durations import counted, format_seconds
from search_spaces import SearchSpace
from tune.monitoring.search_state import SearchState, axis_values
from tune.records.history import read_search, seconds_run
from tune.records.history_lock import has_driver
from tune.records.order_table import ORDER_TABLE, by_hand
from tune.records.predictor_table import PREDICTOR_TABLE, WITHOUT_CACHE, predictor_row
from tune.records.run_folder import LEASE_FILE, RunFolder
from tune.records.study_file import StudyFile
from tune.records.trial import TrialRecord, num_ended
from tune.storage.lease import STALE_SECONDS

MINUTE_SECONDS = 60.0
_PASSAGES = ("val_bits_per_char", "test_bits_per_char")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RunStatus:
    """A run's state.

    Attributes:
        path: The run's folder.
        study: The content of study.json.
        state: In words, whether it runs, and if not, why.
        alive: Whether a driver has it.
        silent_seconds: Seconds since its last event.
        search_seconds: Seconds that the search has run in all sessions.
        left_seconds: Estimate of the rest; None if unknown or nothing runs.
        search_state: The state of its trials.
        num_finalist_trainings: Number of ended trainings of finalists.
        predictor: The predictor's row of predictor.csv; None without one.
        by_hand: The orders carried out, a few words each.
    """

    path: Path
    study: StudyFile
    state: str
    alive: bool
    silent_seconds: float
    search_seconds: float
    left_seconds: float | None
    search_state: SearchState
    num_finalist_trainings: int
    predictor: dict[str, Any] | None
    by_hand: tuple[str, ...] = ()

    @classmethod
    def of(cls, folder: RunFolder, location: str | None = None) -> "RunStatus":
        """Read a run.

        Args:
            folder: Its folder, or a copy of that.
            location: The location that the user named; None for the folder.

        Raises:
            ConfigError: study.json or predictor.csv cannot be read, or there is no history.
        """
        alive = is_driven(folder)  # first: a driver writes study.json before it ends
        study = folder.read_study()
        space = study.space
        records = read_search(folder.history_file).records
        finalists = read_search(folder.finalists_history_file).records
        search_state = SearchState(
            space, sorted(records.values(), key=lambda record: record.number)
        )
        modified = [path.stat().st_mtime for path in folder.history_files if path.exists()]
        if not modified:
            raise ConfigError(
                f"a run must have a history to show its status, but {folder.path} has none"
            )
        silent_seconds = max(0.0, time.time() - max(modified))
        # The finalists' history continues the search's clock.
        seconds = max(study.search_seconds, *map(seconds_run, (records, finalists)))
        if alive:  # a session starts by writing study.json: the time before was a pause
            session_seconds = max(0.0, time.time() - folder.study_file.stat().st_mtime)
            seconds += min(silent_seconds, session_seconds)
        retrains = alive and trains_finalists(folder)
        return cls(
            path=folder.path,
            study=study,
            state=_state(study, location or str(folder.path), alive=alive, retrains=retrains),
            alive=alive,
            silent_seconds=silent_seconds,
            search_seconds=seconds,
            left_seconds=(
                _left_seconds(space, search_state, seconds) if alive and not retrains else None
            ),
            search_state=search_state,
            num_finalist_trainings=num_ended(finalists.values()),
            predictor=predictor_row(PREDICTOR_TABLE.read(folder.predictor_file)),
            by_hand=tuple(by_hand(ORDER_TABLE.read(folder.orders_file))),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        best = self.search_state.best
        return {
            "path": str(self.path),
            "space": self.study.space.name,
            "corpus": self.study.corpus.name,
            "state": self.state,
            "alive": self.alive,
            "silent_seconds": round(self.silent_seconds, 1),
            "search_seconds": round(self.search_seconds, 1),
            "left_seconds": None if self.left_seconds is None else round(self.left_seconds, 1),
            "num_trials": self.study.space.budget.trials,
            "statuses": {status.value: n for status, n in self.search_state.statuses.items()},
            "rungs": {str(rung): number for rung, number in self.search_state.rungs.items()},
            "best": _trial_json(best) if best else None,
            "running": [_trial_json(record) for record in self.search_state.running],
            "num_finalist_trainings": self.num_finalist_trainings,
            "predictor": self.predictor and {name: self.predictor[name] for name in _PASSAGES},
        }

    def text(self) -> str:
        """Return the state for people, one fact per line."""
        search_state, space = self.search_state, self.study.space
        lines = [f"{self.path.name}: {space.name} on {self.study.corpus.name}: {self.state}"]
        axes = space.axes
        best = search_state.best
        lines.append("best so far: " + (_trial_text(best, axes) if best else "no result yet"))
        lines.append(
            f"trials: {search_state.num_ended} of {space.budget.trials} ended; "
            f"{search_state.statuses_text()}"
        )
        lines.append(f"trials trained to the epoch of each rung: {search_state.rungs_text()}")
        if self.num_finalist_trainings:
            lines.append(f"finalists: {counted(self.num_finalist_trainings, 'training')} ended")
        if self.predictor:
            validation, test = (self.predictor[name] for name in _PASSAGES)
            on_test = f"predictor: {test:.4f} bits on the test passage"
            without = self.predictor[WITHOUT_CACHE]
            on_test += "" if without is None else f" ({without:.4f} without its cache)"
            fitted = f"{validation:.4f} on the validation passage, to which it was fitted"
            lines.append(f"{on_test}, {fitted}")
        if self.by_hand:
            lines.append(f"by hand: {'; '.join(self.by_hand)}")
        if self.alive:
            lines += [
                f"  running: {_trial_text(record, axes)}, "
                + (
                    f"{record.epoch_seconds:.1f}s per epoch"
                    if record.epochs
                    else "in its first epoch"
                )
                for record in search_state.running
            ]
        lines.append(self._times())
        return "\n".join(lines)

    def _times(self) -> str:
        limit = self.study.space.budget.time_budget_seconds
        text = f"time: {format_seconds(self.search_seconds)}"
        text += f" of {format_seconds(limit)}" if limit else ""
        if self.search_seconds:
            rate = self.search_state.num_ended / self.search_seconds * MINUTE_SECONDS
            text += f", {rate:.1f} trials per minute"
        if self.left_seconds is not None:
            text += f", about {format_seconds(self.left_seconds)} left for the search"
        return f"{text}; last event {format_seconds(self.silent_seconds)} ago"


def is_driven(folder: RunFolder) -> bool:
    """Return whether a driver has a run, or the run of which this is a copy.

    Nobody opens the copy in a storage; there, the lease shows it.
    """
    history = folder.history_file
    return history.exists() and (_is_leased(folder) or has_driver(history))


def trains_finalists(folder: RunFolder) -> bool:
    """Return whether a run's driver now retrains finalists; their history may be older."""
    search, finalists = folder.history_files
    if not finalists.exists():
        return False
    is_newer = finalists.stat().st_mtime_ns > search.stat().st_mtime_ns
    return has_driver(finalists) or (_is_leased(folder) and is_newer)


def _is_leased(folder: RunFolder) -> bool:
    lease = folder.path / LEASE_FILE
    return lease.exists() and time.time() - lease.stat().st_mtime < STALE_SECONDS


def _state(study: StudyFile, location: str, *, alive: bool, retrains: bool) -> str:
    if alive:
        return "running, retraining the finalists" if retrains else "running"
    # Not `resume` from study.json: others may have written that, and the user would run it.
    cells = cell_words(filter(is_own_cell, study.cells))
    command = f"python -m tune.run --resume {shlex.quote(location)}{cells}"
    return f"not running any more; to continue: {command}" if study.is_running else study.ended


def _left_seconds(space: SearchSpace, search_state: SearchState, seconds: float) -> float | None:
    """Assume that the rest goes as fast as the ended trials, at most to the time budget's end."""
    estimates = []
    if search_state.num_ended:
        left = space.budget.trials - search_state.num_ended
        estimates.append(seconds / search_state.num_ended * left)
    if space.budget.time_budget_seconds is not None:
        estimates.append(space.budget.time_budget_seconds - seconds)
    return max(0.0, min(estimates)) if estimates else None


def _trial_text(record: TrialRecord, axes: list[str]) -> str:
    score = f"{record.objective:.4f} bits" if record.best else "no epoch yet"
    baseline = f" ({record.baseline})" if record.baseline else ""
    return (
        f"trial {record.number}{baseline}: {score}, epoch {record.epochs_run:g} of "
        f"{record.config.epochs:g}, {axis_values(record, axes)}"
    )


def _trial_json(record: TrialRecord) -> dict[str, Any]:
    return {
        "number": record.number,
        "baseline": record.baseline or None,
        "status": record.status.value,
        "epoch": record.epochs_run,
        "val_bits_per_char": record.objective if record.best else None,
        "config": record.config.to_dict(),
    }
