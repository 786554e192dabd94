"""The adapter between Ray Tune's `Searcher` interface and an Optuna study.

Ray 2.60's own OptunaSearch tells a trial that ASHA stopped as COMPLETE with its truncated
value, and leaves a diverged one RUNNING for ever. Here a stopped trial is told PRUNED, a
finished one COMPLETE, a diverged or failed one FAIL, and every epoch is an intermediate value.

Sources: Bergstra 2011 (TPE); Ginsbourger 2010 (constant liar, for trials that still run).
"""

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from ray.tune.search import Searcher

from model.config import TrialConfig
from model.seeds import hash_seed
from search_spaces import SearchSpace
from tune.outcome import RUNNING_BEST, Outcome
from tune.records import Status, TrialRecord

NUMBER, BASELINE, ERROR = "number", "baseline", "error"
"""User attributes of the Optuna trials."""

_STATES = {
    Status.COMPLETE: TrialState.COMPLETE,
    Status.PRUNED: TrialState.PRUNED,
    Status.DIVERGED: TrialState.FAIL,
    Status.FAILED: TrialState.FAIL,
}

STARTUP_TRIALS = 10
"""Random trials before TPE's model is used; baselines count among them."""


def tpe(seed: int) -> optuna.samplers.BaseSampler:
    """Return the sampler for one proposal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(
            n_startup_trials=STARTUP_TRIALS,
            multivariate=True,
            group=True,
            constant_liar=True,
            seed=seed % 2**32,
        )


def open_study(
    path: Path, space: SearchSpace, *, records: Iterable[TrialRecord] = ()
) -> optuna.Study:
    """Write the Optuna study of a search to a new journal file.

    First in its queue are the trials that an earlier session began and did not end, then the
    baselines, then the base, where the search starts from. The search's history is the truth
    and the journal is made from it, so each trial is there once, however often it was resumed.

    Args:
        path: The journal; optuna-dashboard opens it. One that exists is replaced.
        space: What is searched.
        records: What earlier sessions of the search did.
    """
    partial_path = path.with_name(f".{path.name}.partial")
    partial_path.unlink(missing_ok=True)
    study = optuna.create_study(
        storage=_storage(partial_path), study_name=space.name, direction="minimize"
    )
    ordered = sorted(records, key=lambda record: record.number)
    for record in ordered:
        if record.has_ended:
            study.add_trial(_ended_trial(record, space))
    for record in ordered:
        if not record.has_ended:
            attributes = {NUMBER: record.number, BASELINE: record.baseline}
            study.enqueue_trial(_params(record, space), user_attrs=attributes)
    started = {record.baseline for record in ordered}
    for baseline in space.baselines:
        if baseline.name not in started:
            params = {axis: baseline.params[axis] for axis in space.distributions}
            study.enqueue_trial(params, user_attrs={BASELINE: baseline.name})
    start = space.start()
    if start is not None and all(record.baseline for record in ordered):
        study.enqueue_trial(start)
    partial_path.replace(path)
    return optuna.load_study(storage=_storage(path), study_name=space.name)


def _storage(path: Path) -> JournalStorage:
    return JournalStorage(JournalFileBackend(str(path)))


def _params(record: TrialRecord, space: SearchSpace) -> dict[str, Any]:
    values = record.config.to_dict()
    return {axis: values[axis] for axis in space.distributions}


def _ended_trial(record: TrialRecord, space: SearchSpace) -> optuna.trial.FrozenTrial:
    state = _STATES[record.status]
    best = record.best
    return optuna.trial.create_trial(
        state=state,
        value=best.val_bits_per_char if best and state == TrialState.COMPLETE else None,
        params=_params(record, space),
        distributions=dict(space.distributions),
        intermediate_values=record.running_best(),
        user_attrs={NUMBER: record.number, BASELINE: record.baseline, ERROR: record.error},
    )


class StudySearcher(Searcher):
    """Proposes trials from an Optuna study and tells it how they went.

    A proposal is {"number": …, "baseline": …, "config": TrialConfig fields, "checkpoints":
    where to go on from, newest first}. What is proposed follows from the seed, the trial's
    number and what the study was told, and from nothing else: a resumed search proposes what
    the uninterrupted one would have.
    """

    def __init__(
        self,
        study: optuna.Study,
        space: SearchSpace,
        *,
        seed: int,
        records: Iterable[TrialRecord] = (),
        checkpoints: Mapping[int, list[str]] | None = None,
    ) -> None:
        """Search a space.

        Args:
            study: What `open_study` gave.
            space: What is searched.
            seed: The search's seed.
            records: What earlier sessions of the search did.
            checkpoints: Trial number to the locations of its checkpoints, newest first.
        """
        super().__init__(metric=RUNNING_BEST, mode="min")
        self._study = study
        self._space = space
        self._seed = seed
        self._earlier = {record.number: record for record in records}
        self._next_number = max(self._earlier, default=-1) + 1
        self._checkpoints = checkpoints or {}
        self._live: dict[str, optuna.Trial] = {}

    def suggest(self, trial_id: str) -> dict[str, Any]:
        """Propose the next trial."""
        self._study.sampler = tpe(hash_seed(self._seed, self._next_number))
        trial = self._study.ask(dict(self._space.distributions))
        self._live[trial_id] = trial
        attributes = trial.user_attrs
        baseline = attributes.get(BASELINE, "")
        if NUMBER in attributes:
            record = self._earlier[attributes[NUMBER]]
            for epoch, value in record.running_best().items():
                trial.report(value, step=epoch)
            number, config = record.number, record.config
        else:
            number = self._next_number
            self._next_number += 1
            trial.set_user_attr(NUMBER, number)
            config = self._config(number, baseline, trial.params)
        return {
            "number": number,
            "baseline": baseline,
            "config": config.to_dict(),
            "checkpoints": self._checkpoints.get(number, []),
        }

    def _config(self, number: int, baseline: str, params: dict[str, Any]) -> TrialConfig:
        fixed = {
            name: value
            for entry in self._space.baselines
            if entry.name == baseline
            for name, value in entry.params.items()
        }
        if baseline:  # never stopped early
            fixed["patience_epochs"] = 0
        return self._space.config({**fixed, **params, "seed": hash_seed(self._seed, number)})

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Report an epoch as an intermediate value."""
        if RUNNING_BEST not in result:
            return
        trial = self._live[trial_id]
        number = trial.user_attrs[NUMBER]
        # An epoch that is trained again after an interruption was told before.
        if number not in self._earlier or result["epoch"] > len(self._earlier[number].epochs):
            trial.report(result[RUNNING_BEST], step=result["epoch"])

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell Optuna how a trial ended."""
        if not error and result is not None:
            # Ray 2.60 passes a trial's last epoch here alone, not to on_trial_result.
            self.on_trial_result(trial_id, result)
        trial = self._live.pop(trial_id)
        if error or result is None:
            self._study.tell(trial, state=TrialState.FAIL)
        elif result["outcome"] == Outcome.DIVERGED:
            trial.set_user_attr(ERROR, result["error"])
            self._study.tell(trial, state=TrialState.FAIL)
        elif result["outcome"] == Outcome.FINISHED:
            self._study.tell(trial, result[RUNNING_BEST])
        else:
            self._study.tell(trial, state=TrialState.PRUNED)

    def stop_running(self) -> None:
        """Tell Optuna that the search ended before its running trials did: none stays RUNNING."""
        for trial in self._live.values():
            trial.set_user_attr("stopped", True)
            self._study.tell(trial, state=TrialState.PRUNED)
        self._live.clear()

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the journal holds the study's state."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: the journal holds the study's state."""

    def __getstate__(self) -> dict[str, Any]:
        """Ray pickles the searcher into its experiment state, which we never read back."""
        return {}
