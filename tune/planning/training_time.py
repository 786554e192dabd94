"""How long a training, or a baseline, may take if the search has a time budget.

Without a budget, every training is as long as its configuration says. With one, baselines run
alongside the search, after its first trial: they are its yardstick, not its purpose.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from model.config import TrialConfig
from search_spaces import SearchSpace
from search_spaces.narrow import with_scaled_dropout
from tune.planning.finalist_budget import RESERVED_SHARE
from tune.planning.study import Study
from tune.records.trial import Status, TrialRecord

WORKER_SHARE, TIME_SHARE = 1 / 4, 1 / 2
"""The longest training, as a share of worker time and of the search's time."""
BASELINES_SHARE, WORKERS_A_BASELINE = 1 / 4, 4
"""Share of worker time for baselines, and the number of workers per concurrent baseline."""


def search_seconds_of(study: Study) -> float | None:
    """Return the part of a time budget left for the search after the finalists' share, or None."""
    budget = study.space.budget.time_budget_seconds
    if budget is None:
        return None
    return budget * (1 - RESERVED_SHARE) if study.reserves_time else budget


def longest_seconds(study: Study, concurrent: int) -> float:
    """Return how long a training may be; infinity without a time budget or without axes.

    Args:
        study: The study.
        concurrent: How many train at once.
    """
    seconds = search_seconds_of(study)
    if seconds is None or not study.space.distributions:
        return math.inf
    return seconds * min(WORKER_SHARE * concurrent, TIME_SHARE)


def shortened(config: TrialConfig, *, epoch_seconds: float, seconds: float) -> TrialConfig:
    """Return a configuration with as many of its epochs as fit, at least until one report.

    Its learning rate decays over the last of the epochs that it keeps.

    Args:
        config: What was proposed.
        epoch_seconds: What an epoch of it takes.
        seconds: How long its training may be.
    """
    if config.epochs * epoch_seconds <= seconds:
        return config
    num_reports = max(1, math.floor(seconds / epoch_seconds * config.reports_per_epoch))
    return dataclasses.replace(config, epochs=config.epochs_at(num_reports))


def with_base_that_fits(
    study: Study, *, epoch_seconds: Callable[[TrialConfig], float], concurrent: int
) -> Study:
    """Return a new study whose base has less dropout, in proportion to its lost epochs.

    A network that sees a text fewer times overfits it less. On the book, 7 of `full`'s 15 epochs
    without layer norm gave 2.065 bits with a dropout of 0.5, 2.035 with 0.35, 2.019 with 0.2; on
    python-docs, 3 epochs gave 1.768 with 0.5 and 1.723 with 0.1.

    Args:
        study: The study; a resumed one keeps its base, as does one whose space has no
            `most_chars`.
        epoch_seconds: Returns what an epoch of a configuration takes.
        concurrent: How many train at once.
    """
    base = study.space.base
    if study.earlier or study.space.base_point() is None or study.space.most_chars is None:
        return study
    longest = longest_seconds(study, concurrent)
    fitting = shortened(base, epoch_seconds=epoch_seconds(base), seconds=longest)
    space = with_scaled_dropout(study.space, fitting.epochs / base.epochs)
    return dataclasses.replace(study, space=space)


def has_baselines_beside(study: Study) -> bool:
    """Return whether the study's baselines run alongside the search rather than before it."""
    return study.space.budget.time_budget_seconds is not None and bool(study.space.distributions)


def baselines_seconds(study: Study, concurrent: int) -> float:
    """Return the total worker-seconds of baselines that run alongside the search."""
    return BASELINES_SHARE * concurrent * (search_seconds_of(study) or 0.0)


def allowed_seconds(
    space: SearchSpace, records: Iterable[TrialRecord], total_seconds: float
) -> dict[str, float]:
    """Return how long each baseline may train, including what others leave unused.

    Args:
        space: Its baselines get their parts in order.
        records: The trials so far.
        total_seconds: The worker seconds of all baselines together.
    """
    known = {record.baseline: record for record in records if record.baseline}
    allowed: dict[str, float] = {}
    left = total_seconds
    for place, baseline in enumerate(space.baselines):
        part = left / (len(space.baselines) - place)
        allowed[baseline.name] = part
        record = known.get(baseline.name)
        is_done = record is not None and is_settled(record, allowed)
        left -= min(part, _seconds(record)) if record is not None and is_done else part
    return allowed


def is_settled(record: TrialRecord, allowed: Mapping[str, float]) -> bool:
    """Return whether a trial has ended, or is a baseline that has used its part of the time."""
    return record.has_ended or _has_had_its_time(
        record.baseline, _seconds(record), len(record.epochs), allowed
    )


def _has_had_its_time(
    baseline: str, elapsed_seconds: float, num_reports: int, allowed: Mapping[str, float]
) -> bool:
    """Return whether a trial is a baseline whose next report would exceed its part."""
    if not num_reports or baseline not in allowed:
        return False
    return elapsed_seconds * (1 + 1 / num_reports) > allowed[baseline]


def num_settled(study: Study, records: Iterable[TrialRecord], concurrent: int) -> int:
    """Return how many trials need no more training within this time budget."""
    records = list(records)
    allowed: dict[str, float] = {}
    if has_baselines_beside(study):
        allowed = allowed_seconds(study.space, records, baselines_seconds(study, concurrent))
    return sum(is_settled(record, allowed) for record in records)


class BaselinesBeside:
    """Decides which baseline is proposed next alongside a search, and when one's time is up.

    Attributes:
        study: The study; a user may change its time budget.
    """

    def __init__(
        self, study: Study, records: Mapping[int, TrialRecord], concurrent: Callable[[], int]
    ) -> None:
        """Begin a session.

        Args:
            study: The study; `has_baselines_beside` must hold.
            records: The trials, kept current.
            concurrent: Returns how many train at once.
        """
        self.study, self._records, self._concurrent = study, records, concurrent
        self._proposed: dict[str, int] = {}  # name to the reports that it had
        allowed = self._allowed()
        # Parts may grow, but this session has counted these as done.
        self._settled = {
            record.baseline for record in records.values() if is_settled(record, allowed)
        }

    def next(self, num_proposed: int) -> str | None:
        """Return the name of the baseline to propose now; None for a trial of the search.

        Args:
            num_proposed: How many trials were proposed, in all sessions.
        """
        known = {record.baseline: record for record in self._records.values() if record.baseline}
        waiting = [
            baseline.name
            for baseline in self.study.space.baselines
            if baseline.name not in self._proposed
            and baseline.name not in self._settled
            and (baseline.name in known or num_proposed < self.study.num_trials)
        ]
        num_new = sum(name not in known for name in waiting)
        are_last = self.study.num_trials - num_proposed <= num_new
        num_running = sum(
            name not in known or not _runs_no_more(known[name], reports_before)
            for name, reports_before in self._proposed.items()
        )
        is_full = num_running >= max(1, self._concurrent() // WORKERS_A_BASELINE)
        is_early = num_proposed == 0
        if not waiting or (is_early and self.study.space.base_point() is not None):
            return None  # the base comes first, if there is one
        if (is_early or is_full) and not are_last:
            return None
        self._proposed[waiting[0]] = len(known[waiting[0]].epochs) if waiting[0] in known else 0
        return waiting[0]

    def has_had_its_time(self, result: dict[str, Any]) -> bool:
        """Return whether a trial's report is of a baseline that has used its part."""
        baseline: str = result["config"]["baseline"]
        if not baseline:
            return False
        elapsed_seconds, report = result["elapsed_seconds"], result["report"]
        return _has_had_its_time(baseline, elapsed_seconds, report, self._allowed())

    def _allowed(self) -> dict[str, float]:
        seconds = baselines_seconds(self.study, self._concurrent())
        return allowed_seconds(self.study.space, self._records.values(), seconds)


def _runs_no_more(record: TrialRecord, reports_before: int) -> bool:
    """Return whether a trial has been cut off or ended since it was proposed."""
    is_cut = record.status is Status.STOPPED and len(record.epochs) > reports_before
    return record.has_ended or is_cut


def _seconds(record: TrialRecord) -> float:
    return record.epochs[-1].elapsed_seconds if record.epochs else 0.0
