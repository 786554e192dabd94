"""Assembles Ray Tune, Optuna and ASHA, and runs them to the end."""

import dataclasses

import optuna
import ray.tune as ray_tune
from ray.tune import CheckpointConfig, RunConfig, TuneConfig
from ray.tune.experiment import Trial
from rich.console import Console

from tune.progress import Progress
from tune.recorder import Recorder
from tune.records import TrialRecord, trial_id
from tune.resources import TrialResources
from tune.run_folder import RunFolder
from tune.sampling import StudySearcher, open_study
from tune.scheduling import BaselineAwareASHA
from tune.stopping import SearchStopper
from tune.study import Study
from tune.trainable import CharLSTMTrainable


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SearchResult:
    """What a search left.

    Attributes:
        records: All trials.
        checkpoints: Trial number to Ray's checkpoint, for the trials that have one.
        seconds: How long the search took.
        interrupted: Whether a signal ended it.
        timed_out: Whether its time budget ended it.
    """

    records: list[TrialRecord]
    checkpoints: dict[int, ray_tune.Checkpoint]
    seconds: float
    interrupted: bool
    timed_out: bool


def search(
    study: Study,
    folder: RunFolder,
    need: TrialResources,
    concurrent: int,
    console: Console,
) -> SearchResult:
    """Run the trials of a study; the tables are written whenever a trial ends."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    stopper = SearchStopper(study.space.budget.time_budget_seconds)
    progress = Progress(
        console,
        study.space,
        num_trials=study.num_trials,
        clock=stopper.seconds,
        seconds_left=stopper.seconds_left,
    )
    recorder = Recorder(clock=stopper.seconds, save=folder.write_tables, listener=progress)
    folder.write_tables([])
    optuna_study = open_study(folder.optuna_file, study.space, seed=study.seed)
    searcher = StudySearcher(optuna_study, study.space, seed=study.seed)
    tuner = ray_tune.Tuner(
        _trainable(study, need),
        tune_config=TuneConfig(
            num_samples=study.num_trials,
            search_alg=searcher,
            scheduler=BaselineAwareASHA(study.space.budget, max_epochs=study.max_epochs),
            max_concurrent_trials=concurrent,
            reuse_actors=True,
            trial_dirname_creator=_trial_dirname,
        ),
        run_config=RunConfig(
            name=folder.ray_folder.name if study.storage is None else folder.path.name,
            storage_path=study.storage or str(folder.path),
            callbacks=[recorder],
            stop=stopper,
            # Each report asks for its own checkpoint; a diverged one must have none.
            checkpoint_config=CheckpointConfig(num_to_keep=1, checkpoint_at_end=False),
            verbose=0,
        ),
    )
    with stopper.catching_signals(), progress:
        stopper.start()
        tuner.fit()
        recorder.stop_running()
        searcher.stop_running()
    return SearchResult(
        records=list(recorder.records.values()),
        checkpoints={
            number: trial.checkpoint
            for number, trial in recorder.trials.items()
            if trial.checkpoint is not None
        },
        seconds=stopper.seconds(),
        interrupted=stopper.interrupted,
        timed_out=stopper.timed_out,
    )


def _trainable(study: Study, need: TrialResources) -> type[ray_tune.Trainable]:
    with_corpus = ray_tune.with_parameters(
        CharLSTMTrainable, corpus=study.prepared, cpus=need.cpus, gpus=need.gpus
    )
    trainable: type[ray_tune.Trainable] = ray_tune.with_resources(
        with_corpus, {"cpu": need.cpus, "gpu": need.gpus}
    )
    return trainable


def _trial_dirname(trial: Trial) -> str:
    return trial_id(trial.config["number"])
