"""The Optuna study of a search: a journal file, built from the search's history.

The history is the source of truth; each session rebuilds the journal from it. So a trial is in it
once, however often it was resumed; in a session that promotes the trial, once per part.
optuna-dashboard opens it.
"""

import json
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import TrialState

from model.config import TrialConfig
from model.system.files import append_whole, write_whole
from search_spaces import SearchSpace
from search_spaces.distributions import nearest
from tune.records.trial import Status, TrialRecord
from tune.sampling.own_samplers import ERROR, NUMBER
from tune.sampling.samplers import GENERATION

BASELINE, STOPPED, REPEAT = "baseline", "stopped", "repeat"
"""User attributes of Optuna's trials, besides NUMBER and ERROR."""
_STATES = {
    Status.COMPLETE: TrialState.COMPLETE,
    Status.PRUNED: TrialState.PRUNED,
    Status.STOPPED: TrialState.PRUNED,  # by hand: other STOPPED trials have not ended
    Status.DIVERGED: TrialState.FAIL,
    Status.FAILED: TrialState.FAIL,
}


class StudyJournal(BaseJournalBackend):
    """Entries of one process: in memory until `move_to`, then in a file.

    Entries that Optuna has read are dropped: it keeps their content itself.
    """

    def __init__(self) -> None:
        self._path: Path | None = None
        self._lines: list[bytes] = []  # until there is a file
        self._unread: list[dict[str, Any]] = []
        self._num_forgotten = 0

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """Return the entries from a number on; earlier ones will not be requested again."""
        assert log_number_from >= self._num_forgotten
        del self._unread[: log_number_from - self._num_forgotten]
        self._num_forgotten = log_number_from
        return list(self._unread)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add entries.

        Raises:
            OSError: They cannot be written; then none is.
        """
        lines = [json.dumps(log, separators=(",", ":")).encode() + b"\n" for log in logs]
        if self._path is None:
            self._lines += lines
        else:
            with self._path.open("ab", buffering=0) as file:
                append_whole(file, b"".join(lines))
        # As if read from the file: tuples become lists, and nothing is shared.
        self._unread += [json.loads(line) for line in lines]

    def move_to(self, path: Path) -> None:
        """Write all entries so far to a file, replacing any, and append later ones to it."""
        write_whole(path, b"".join(self._lines))
        self._path, self._lines = path, []


def quiet_optuna() -> None:
    """Make Optuna print only errors in this process."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    # Permanently: threads that do this temporarily would undo each other's change.
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    # Printed at each proposal of the Gaussian process (optuna 5.0) once a trial has failed.
    warnings.filterwarnings("ignore", "Clip non-finite values")


def open_study(
    path: Path, space: SearchSpace, *, records: Iterable[TrialRecord] = ()
) -> optuna.Study:
    """Write the Optuna study of a search to a new journal file.

    Args:
        path: The journal; optuna-dashboard opens it. An existing one is replaced and never read,
            because others may have written it.
        space: The search space.
        records: Trials of earlier sessions.
    """
    journal = StudyJournal()
    study = optuna.create_study(
        storage=JournalStorage(journal), study_name=space.name, direction="minimize"
    )
    fill_study(study, space, records)
    journal.move_to(path)
    return study


def fill_study(study: optuna.Study, space: SearchSpace, records: Iterable[TrialRecord]) -> None:
    """Put the trials that are done into an empty study, in the order of their last starts.

    A session that promotes trials has the same order, and TPE weighs trials by their order.
    """
    for record in sorted(records, key=lambda record: (record.started_seconds, record.number)):
        if record.is_done:
            study.add_trial(_ended_trial(record, space))


class Queued(NamedTuple):
    """A point to try before the sampler's proposals, and the attributes of its Optuna trial."""

    point: dict[str, Any]
    attributes: dict[str, Any]

    @property
    def baseline(self) -> str:
        """Name of the baseline, or empty if it is none."""
        return str(self.attributes.get(BASELINE, ""))


def queue(space: SearchSpace, records: Iterable[TrialRecord]) -> list[Queued]:
    """Return the points to try first.

    First the trials that an earlier session left unfinished, then the baselines, then the base and
    the other starts. If the baselines would use up all trials, the base precedes them.

    Args:
        space: The search space.
        records: Trials of earlier sessions.
    """
    ordered = sorted(records, key=lambda record: record.number)
    queued = [
        Queued(
            optuna_point(space, record.config),
            {NUMBER: record.number, BASELINE: record.baseline},
        )
        for record in ordered
        if not record.has_ended
    ]
    started = {record.baseline for record in ordered}
    baselines = [
        Queued(space.point(baseline.params), {BASELINE: baseline.name})
        for baseline in space.baselines
        if baseline.name not in started
    ]
    own = [record.config for record in ordered if not record.baseline]
    is_limited = space.budget.time_budget_seconds is not None
    starts: list[Queued] = []
    for point in space.all_starts():
        begun = [config for config in own if _began(point, config, is_limited=False)] or [
            config for config in own if is_limited and _began(point, config, is_limited=True)
        ]
        if begun:
            own.remove(begun[0])
        else:
            starts.append(Queued(point, {}))
    has_base = any(each.point == space.base_point() for each in starts)
    is_short = space.budget.trials - len(ordered) <= len(baselines)
    first = [starts.pop(0)] if has_base and is_short else []
    return [*queued, *first, *baselines, *starts]


def optuna_point(space: SearchSpace, config: TrialConfig) -> dict[str, Any]:
    """Return a trial's point as Optuna accepts it.

    If a time budget left it fewer epochs than the axis allows, they become the axis's minimum.
    """
    point = space.point(config.to_dict())
    return {axis: nearest(space.distributions[axis], value) for axis, value in point.items()}


def _began(start: dict[str, Any], config: TrialConfig, *, is_limited: bool) -> bool:
    """Return whether a trial is this start; a time budget may have cut its epochs."""
    values = config.to_dict()
    return all(
        values[axis] == value or (is_limited and axis == "epochs" and values[axis] < value)
        for axis, value in start.items()
    )


def _ended_trial(record: TrialRecord, space: SearchSpace) -> optuna.trial.FrozenTrial:
    state = _STATES[record.status]
    best = record.best
    params = optuna_point(space, record.config)
    attributes = {NUMBER: record.number, BASELINE: record.baseline}
    return optuna.trial.create_trial(
        state=state,
        value=best.val_bits_per_char if best and state == TrialState.COMPLETE else None,
        params=params,
        distributions={axis: space.distributions[axis] for axis in params},
        intermediate_values=record.running_best(),
        user_attrs=attributes | ({ERROR: record.error} if record.error else {}),
        system_attrs={} if record.generation is None else {GENERATION: record.generation},
    )
