"""The adapter between Ray Tune's `Searcher` interface and an Optuna study.

Ray 2.60's own OptunaSearch tells a trial that ASHA stopped as COMPLETE with its truncated
value, and leaves a diverged one RUNNING for ever. Here a stopped trial is told PRUNED, a
finished one COMPLETE, a diverged or failed one FAIL, and every epoch is an intermediate value.

Sources: Bergstra 2011 (TPE); Ginsbourger 2010 (constant liar, for trials that still run).
"""

import warnings
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from ray.tune.search import Searcher

from model.seeds import hash_seed
from search_spaces import SearchSpace
from tune.outcome import RUNNING_BEST, Outcome

BASELINE_ATTRIBUTE = "baseline"
STARTUP_TRIALS = 10
"""Random trials before TPE's model is used; baselines count among them."""


def open_study(path: Path, space: SearchSpace, *, seed: int) -> optuna.Study:
    """Create the Optuna study of a search in a journal file.

    The baselines are enqueued first, then the base, where the search starts from.

    Args:
        path: The journal; optuna-dashboard opens it.
        space: What is searched.
        seed: The study's seed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            n_startup_trials=STARTUP_TRIALS,
            multivariate=True,
            group=True,
            constant_liar=True,
            seed=hash_seed(seed) % 2**32,
        )
        study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(path))),
            study_name=space.name,
            sampler=sampler,
            direction="minimize",
            load_if_exists=True,
        )
    if not study.trials:
        for baseline in space.baselines:
            params = {axis: baseline.params[axis] for axis in space.distributions}
            study.enqueue_trial(params, user_attrs={BASELINE_ATTRIBUTE: baseline.name})
        start = space.start()
        if start is not None:
            study.enqueue_trial(start)
    return study


class StudySearcher(Searcher):
    """Proposes trials from an Optuna study and tells it how they went.

    A proposal is {"number": …, "baseline": …, "config": TrialConfig fields}.
    """

    def __init__(self, study: optuna.Study, space: SearchSpace, *, seed: int) -> None:
        super().__init__(metric=RUNNING_BEST, mode="min")
        self._study = study
        self._space = space
        self._seed = seed
        self._live: dict[str, optuna.Trial] = {}

    def suggest(self, trial_id: str) -> dict[str, Any]:
        """Propose the next trial."""
        trial = self._study.ask(dict(self._space.distributions))
        self._live[trial_id] = trial
        baseline = trial.user_attrs.get(BASELINE_ATTRIBUTE, "")
        fixed = {
            name: value
            for entry in self._space.baselines
            if entry.name == baseline
            for name, value in entry.params.items()
        }
        seed = hash_seed(self._seed, trial.number)
        config = self._space.config({**fixed, **trial.params, "seed": seed})
        return {
            "number": trial.number,
            "baseline": baseline,
            "config": config.to_dict(),
        }

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Report an epoch as an intermediate value."""
        if RUNNING_BEST in result:
            self._live[trial_id].report(result[RUNNING_BEST], step=result["epoch"])

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
            trial.set_user_attr("diverged", True)
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
