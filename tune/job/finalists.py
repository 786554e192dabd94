"""Retrains the best configurations and the baselines, to see how lucky the winner was.

The winner's value is the lowest of many, so it is optimistic. Finalists are retrained with
other seeds, without ASHA; only their checkpoints are scored on the test passage.
"""

import dataclasses
from typing import Any

from ray.tune.search import Searcher

from model.system.durations import counted, format_seconds
from model.system.seeds import hash_seed
from model.system.terminal import say
from tune.job.finalist_scores import score_finalists
from tune.job.search import SearchResult
from tune.job.worker_tasks import AfterSearch
from tune.monitoring.json_events import warn
from tune.monitoring.progress import Progress
from tune.planning.finalist_budget import (
    choose,
    estimated_times,
    left_to_train,
)
from tune.planning.study import Study
from tune.records.finalist_table import finalist_key, finalist_name, finalist_of
from tune.records.history import History
from tune.records.trial import Status, TrialRecord
from tune.storage.checkpoints import CheckpointStore
from tune.trials.epoch_reports import learn_missed
from tune.trials.experiment import run_trials
from tune.trials.limiter import memory_excess_bytes
from tune.trials.recorder import Recorder
from tune.trials.stopper import SearchStopper
from tune.trials.trainable import trainable_for

NONE_COMPLETE = (
    "no retraining had finished when the time budget ran out; resume with a larger --time-budget "
    "to finish those that have started"
)

NONE_BEGUN = (
    "the time budget ran out before the first retraining began; resume with a larger "
    "--time-budget to retrain them"
)

ALL_FAILED = "every retraining failed; finalists.csv has the errors"


class FinalistSearcher(Searcher):
    """Proposes each finalist with each seed, in the order of the list."""

    def __init__(self, proposals: list[dict[str, Any]]) -> None:
        super().__init__(metric="val_bits_per_char", mode="min")
        self._left = list(proposals)

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """Propose the next training, or say that there is none."""
        return self._left.pop(0) if self._left else Searcher.FINISHED

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Learn nothing."""


def confirm(after: AfterSearch, result: SearchResult) -> SearchResult:
    """Train and score the finalists; finalists.csv has the results.

    Returns:
        The result with the time so far, whether the user interrupted, and, if there is no
        finalist, the reason.
    """
    study, console = after.study, after.console
    with History(after.folder.finalists_history_file) as history:
        store = CheckpointStore(study.finalists_root)
        checkpoints = learn_missed(history, store, promotes=False)
        stopper = SearchStopper(
            study.space.budget.time_budget_seconds,
            # An earlier session may have been killed amid the finalists.
            spent_seconds=max(result.seconds, history.seconds()),
            may_be_late=True,  # cutting them off would waste the reserved time
        )
        chosen = choose(result.records, study.settings.finalists, study.space.budget.group)
        missing = left_to_train(study, chosen, history.records)
        times = estimated_times(study, missing, chosen, after.concurrent(), history.records)
        left = stopper.seconds_left()
        budget, kept = study.space.budget.time_budget_seconds, 0
        if result.timed_out and budget is not None:  # time was reserved for the finalists
            kept, _ = times.reserved(budget)
        num = times.begun(left, least=min(kept, times.num_of_winner))
        if num:
            of_all = f" of {len(missing)}" if num < len(missing) else ""
            say(
                console,
                f"\nretraining finalists: {num}{of_all} "
                f"{'training' if len(missing) == 1 else 'trainings'}, "
                f"about {format_seconds(times.trained_seconds[num - 1])}",
            )
            _train(
                after,
                history,
                store,
                _proposals(study, missing[:num], checkpoints),
                stopper,
                expected_seconds=times.trained_seconds[num - 1],
                excess_bytes=memory_excess_bytes([*result.records, *history.records.values()]),
            )
        without_room = ""
        complete = {finalist_of(record.number)[0] for record in _complete(history)}
        if missing and not num and left is not None and chosen[0].number not in complete:
            without_room = no_room(len(missing), times.trained_seconds[0], left)
        unconfirmed = _why_unconfirmed(history, without_room, is_asked_for=bool(num))
        if told := without_room or ("" if stopper.interrupted else unconfirmed):
            warn(console, f"\nnot confirmed: {told}")
        score_finalists(after, history, store, stopper)
    return dataclasses.replace(
        result,
        seconds=stopper.seconds(),
        interrupted=stopper.interrupted,
        unconfirmed=unconfirmed,
    )


def _complete(history: History) -> list[TrialRecord]:
    return [record for record in history.records.values() if record.status is Status.COMPLETE]


def _why_unconfirmed(history: History, without_room: str, *, is_asked_for: bool) -> str:
    """Return why no finalist was retrained; empty if one was, or if none was to be."""
    begun = history.records.values()
    if _complete(history):
        return ""
    if begun:
        ended = all(record.has_ended for record in begun)
        return ALL_FAILED if ended else without_room or NONE_COMPLETE
    return without_room or (NONE_BEGUN if is_asked_for else "")


def no_room(num_trainings: int, first_seconds: float, seconds_left: float) -> str:
    """Return why no finalist is trained, and how to get them trained."""
    first = "the first of " if num_trainings > 1 else ""
    return (
        f"{first}{counted(num_trainings, 'training')} would take about "
        f"{format_seconds(first_seconds)}, but only {format_seconds(seconds_left)} of the time "
        f"budget is left; resume with a larger --time-budget to retrain them"
    )


def _proposals(
    study: Study, missing: list[tuple[TrialRecord, int]], checkpoints: dict[int, list[str]]
) -> list[dict[str, Any]]:
    proposals = []
    for record, seed_number in missing:
        number = finalist_key(record.number, seed_number)
        seed = hash_seed(study.settings.seed, record.number, seed_number)
        proposals.append(
            {
                "number": number,
                "baseline": record.baseline,
                "config": dataclasses.replace(record.config, seed=seed).to_dict(),
                "checkpoints": checkpoints.get(number, []),
            }
        )
    return proposals


def _train(
    after: AfterSearch,
    history: History,
    store: CheckpointStore,
    proposals: list[dict[str, Any]],
    stopper: SearchStopper,
    *,
    expected_seconds: float,
    excess_bytes: int,
) -> None:
    progress = Progress(
        after.console,
        after.study.space,
        num_trials=len(proposals),
        clock=stopper.seconds,
        seconds_left=stopper.seconds_left,
        name=lambda record: finalist_name(record.number),
        of_finalists=True,
        expected_seconds=expected_seconds,
    )
    recorder = Recorder(history, stopper, save=lambda records: None, listeners=[progress])
    run_trials(
        trainable_for(after.corpus, after.need),
        searcher=FinalistSearcher(proposals),
        concurrent=after.concurrent,
        store=store,
        stopper=stopper,
        recorder=recorder,
        display=progress,
        trial_timeout_seconds=after.study.settings.trial_timeout_seconds,
        memory_excess_bytes=excess_bytes,
    )
