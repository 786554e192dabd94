"""Trains the best configurations and the baselines anew, to see how lucky the winner was.

The winner's value is the lowest of many, so it flatters. Finalists are trained again with
other seeds, without ASHA; their checkpoints, and no others, are scored on the test
passage.
"""

import dataclasses
from typing import Any

from ray.tune.search import Searcher
from rich.console import Console

from model.devices import use_threads
from model.seeds import hash_seed
from tune.checkpoints import CheckpointStore
from tune.durations import format_seconds
from tune.experiment import run_trials
from tune.finalist_choice import choose, estimated_seconds
from tune.finalist_records import SEEDS_AT_MOST
from tune.finalist_scores import score_finalists
from tune.history import History
from tune.progress import Progress
from tune.recorder import Recorder
from tune.records import TrialRecord
from tune.resources import TrialResources
from tune.run_folder import RunFolder
from tune.search import SearchResult
from tune.stopping import SearchStopper
from tune.study import Study


class FinalistSearcher(Searcher):
    """Proposes each finalist with each seed, in the order of the list."""

    def __init__(self, proposals: list[dict[str, Any]]) -> None:
        super().__init__(metric="val_bits_per_char", mode="min")
        self._left = list(proposals)

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """Propose the next, or say that there is none."""
        return self._left.pop(0) if self._left else Searcher.FINISHED

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Learn nothing."""

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the history is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: the history is the state."""


def confirm(
    study: Study,
    folder: RunFolder,
    result: SearchResult,
    need: TrialResources,
    concurrent: int,
    console: Console,
) -> SearchResult:
    """Train and score the finalists; finalists.csv holds what came out.

    Returns:
        The result with the time that it took, and whether the user interrupted.
    """
    stopper = SearchStopper(study.space.budget.time_budget_seconds, spent_seconds=result.seconds)
    chosen = choose(result.records, study.num_finalists)
    seconds = estimated_seconds(study, result.records, concurrent)
    left = stopper.seconds_left()
    if not chosen or (left is not None and seconds > left):
        return result
    with History(folder.finalists_history_file) as history:
        store = CheckpointStore(f"{study.checkpoints_root}/finalists")
        proposals = _proposals(study, chosen, history, store)
        console.print(
            f"\nconfirming: {len(chosen)} configurations, {study.num_finalist_seeds} seeds each, "
            f"about {format_seconds(seconds)}",
            highlight=False,
            markup=False,
        )
        if proposals:
            _train(study, history, store, proposals, need, concurrent, console, stopper)
        use_threads(need.cpus)  # more would fight with what else runs here
        score_finalists(study, folder, history, store, console, stopper)
    return dataclasses.replace(result, seconds=stopper.seconds(), interrupted=stopper.interrupted)


def _proposals(
    study: Study, chosen: list[TrialRecord], history: History, store: CheckpointStore
) -> list[dict[str, Any]]:
    """Return what is not trained yet."""
    checkpoints = store.newest_first()
    proposals = []
    for seed_number in range(study.num_finalist_seeds):  # every finalist once, then again
        for record in chosen:
            number = record.number * SEEDS_AT_MOST + seed_number
            earlier = history.records.get(number)
            if earlier is not None and earlier.has_ended:
                continue
            seed = hash_seed(study.seed, record.number, seed_number)
            config = dataclasses.replace(record.config, seed=seed)
            proposals.append(
                {
                    "number": number,
                    "baseline": record.baseline,
                    "config": config.to_dict(),
                    "checkpoints": checkpoints.get(number, []),
                }
            )
    return proposals


def _train(
    study: Study,
    history: History,
    store: CheckpointStore,
    proposals: list[dict[str, Any]],
    need: TrialResources,
    concurrent: int,
    console: Console,
    stopper: SearchStopper,
) -> None:
    progress = Progress(
        console,
        study.space,
        num_trials=len(proposals),
        clock=stopper.seconds,
        seconds_left=stopper.seconds_left,
        name=_name,
    )
    recorder = Recorder(
        history, clock=stopper.seconds, save=lambda records: None, listener=progress
    )
    run_trials(
        study.prepared,
        need,
        searcher=FinalistSearcher(proposals),
        num_trials=len(proposals),
        concurrent=concurrent,
        store=store,
        stopper=stopper,
        recorder=recorder,
        progress=progress,
    )


def _name(record: TrialRecord) -> str:
    number, seed_number = divmod(record.number, SEEDS_AT_MOST)
    return f"trial {number} again, seed {seed_number + 1}"
