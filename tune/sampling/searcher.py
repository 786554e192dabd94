"""The adapter between Ray Tune's `Searcher` interface and an Optuna study.

Ray 2.60's own OptunaSearch reports a trial that ASHA stopped as COMPLETE with its truncated
value, and leaves a diverged one RUNNING for ever. Here a stopped trial becomes PRUNED, a finished
one COMPLETE, and a diverged or failed one FAIL with its reason (TPE and the Gaussian process see
it as the poorest: thinned_study.py). Every report is an intermediate value. A conditional axis is
suggested only if its condition holds.
"""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState
from ray.tune.search import Searcher

from model.config import TrialConfig
from model.system.seeds import hash_seed
from search_spaces import SearchSpace
from tune.records.trial import ORDER, RUNNING_BEST, Outcome, TrialRecord, configuration
from tune.sampling.optuna_study import (
    BASELINE,
    REPEAT,
    STOPPED,
    Queued,
    optuna_point,
    queue,
)
from tune.sampling.own_samplers import ERROR, NUMBER, Replay
from tune.sampling.samplers import ATTEMPTS, GENERATION, make_sampler, make_thinning
from tune.sampling.thinned_study import ThinnedStudy

EPOCHS = "epochs"
"""The field of TrialConfig that a time budget shortens."""


class StudySearcher(Searcher):
    """Proposes trials from an Optuna study and tells it how they went.

    A proposal is {"number": …, "baseline": …, "config": TrialConfig fields, "generation": of
    CMA-ES or None, "checkpoints": where to continue from, newest first, "part": 2 once it was
    promoted, …}. It depends only on the seed, the trial's number, what the study was told and,
    with a time budget, the clock: without one, a resumed search proposes what the uninterrupted
    one would have.
    """

    def __init__(
        self,
        study: optuna.Study,
        space: SearchSpace,
        *,
        seed: int,
        sampler: str,
        records: Iterable[TrialRecord] = (),
        checkpoints: Mapping[int, list[str]] | None = None,
        next_baseline: Callable[[int], str | None] | None = None,
        promotion: Callable[[bool], tuple[TrialRecord, list[str]] | None] | None = None,
        shorten: Callable[[TrialConfig], TrialConfig] = lambda config: config,
    ) -> None:
        """Search a space.

        Args:
            study: From `open_study`.
            space: The search space.
            seed: The search's seed.
            sampler: One of SAMPLERS.
            records: Trials of earlier sessions.
            checkpoints: Trial number to the locations of its checkpoints, newest first.
            next_baseline: Given the number of proposed trials, returns the name of the baseline
                that is due, or None. None if all baselines come first.
            promotion: Given whether no new trial will come, returns the trial to promote and its
                checkpoints, or None. None if trials are never promoted. With it, the searcher
                itself ends the proposals, including added ones.
            shorten: Returns a configuration with as many epochs as the time budget allows.
        """
        super().__init__(metric=RUNNING_BEST, mode="min")
        self._study = study
        self._space = space
        self._seed = seed
        self._sampler = sampler
        self._thinning = make_thinning(sampler)
        self._replay = Replay()
        self._records = {record.number: record for record in records}
        self._next_number = self._free_number(0)
        self._tried = {configuration(record.config) for record in self._records.values()}
        self._queue = queue(space, self._records.values())
        self._next_baseline, self._shorten = next_baseline, shorten
        self._promotion = promotion
        self._baselines = {each.number for each in self._records.values() if each.baseline}
        self._num_proposed = len(self._records)
        self._checkpoints = dict(checkpoints or {})
        self._live: dict[str, optuna.Trial] = {}
        self._added: list[Queued] = []
        self._parts: Counter[int] = Counter()  # proposals of each trial in this session
        # Each trial's latest number in Optuna, for which a promoted trial is a new one.
        self._optuna_numbers = {
            trial.user_attrs[NUMBER]: trial.number for trial in study.get_trials(deepcopy=False)
        }

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Propose the next trial: an unfinished one, else a promoted one, else a new one.

        None if there may be one later, FINISHED if there will be none.
        """
        queued = self._added.pop(0) if self._added else self._next_queued(only_begun=True)
        if queued is None and self._promotion is not None:
            is_last = self._num_proposed >= self._space.budget.trials
            promoted = self._promotion(is_last)
            if promoted is not None:
                queued = self._again(*promoted)
            elif is_last:
                return None if self._live else str(Searcher.FINISHED)
        trial, config = self._new_trial(queued)
        self._live[trial_id] = trial
        return self._proposal(trial, config)

    def _proposal(self, trial: optuna.Trial, config: TrialConfig) -> dict[str, Any]:
        """Number a new trial, or repeat to Optuna what one has reported that continues."""
        attributes = trial.user_attrs
        baseline = attributes.get(BASELINE, "")
        if NUMBER in attributes:
            record = self._records[attributes[NUMBER]]
            for epoch, value in record.running_best().items():
                trial.report(value, step=epoch)
            number, generation = record.number, record.generation
            if generation is not None:
                trial.storage.set_trial_system_attr(trial._trial_id, GENERATION, generation)
        else:
            number = self._next_number
            self._next_number = self._free_number(number + 1)
            self._num_proposed += 1
            if baseline:
                self._baselines.add(number)
            trial.set_user_attr(NUMBER, number)
            config = dataclasses.replace(config, seed=hash_seed(self._seed, number))
            known = trial.storage.get_trial(trial._trial_id).system_attrs
            generation = known.get(GENERATION)
            self._tried.add(configuration(config))
        self._parts[number] += 1
        if self._thinning is not None and number in self._optuna_numbers:
            self._thinning.hide(self._optuna_numbers[number])  # it continues as this one
        self._optuna_numbers[number] = trial.number
        ordered = {ORDER: attributes[ORDER]} if ORDER in attributes else {}
        return {
            **ordered,
            "number": number,
            "baseline": baseline,
            "config": config.to_dict(),
            "generation": generation,
            "checkpoints": self._checkpoints.get(number, []),
            "part": self._parts[number],
        }

    def try_next(self, point: dict[str, Any], order_id: str) -> None:
        """Have a point of the space tried next; its proposal has the order's id."""
        self._added.append(Queued(point, {ORDER: order_id}))

    def _again(self, record: TrialRecord, checkpoints: list[str]) -> Queued:
        """Return a trial of this session as one to continue."""
        self._records[record.number] = record
        self._checkpoints[record.number] = checkpoints
        attributes = {NUMBER: record.number, BASELINE: record.baseline}
        return Queued(optuna_point(self._space, record.config), attributes)

    def _free_number(self, least: int) -> int:
        """Return the next unused number, perhaps that of a trial whose start a kill prevented."""
        return next(number for number in itertools.count(least) if number not in self._records)

    def _new_trial(self, first: Queued | None) -> tuple[optuna.Trial, TrialConfig]:
        """Ask for a trial whose configuration was not tried, if there is one.

        Args:
            first: A point to ask for before the queue, if any.
        """
        for attempt in range(ATTEMPTS):
            queued = first if first is not None and not attempt else self._next_queued()
            if queued is not None:
                self._study.enqueue_trial(queued.point, user_attrs=queued.attributes)
            trial, config = self._ask(attempt)
            is_fixed = {NUMBER, BASELINE, ORDER} & trial.user_attrs.keys()
            if is_fixed or configuration(config) not in self._tried:
                return trial, config
            if attempt < ATTEMPTS - 1:
                self._tell_repeat(trial)
        untried = self._untried()
        if not untried:
            return trial, config  # a repeat, which is counted
        self._tell_repeat(trial)
        generator = np.random.default_rng(hash_seed(self._seed, self._next_number))
        self._study.enqueue_trial(untried[int(generator.integers(len(untried)))])
        return self._ask(0)

    def _next_queued(self, *, only_begun: bool = False) -> Queued | None:
        """Return the next point to try before the sampler's proposals, if any is left.

        Args:
            only_begun: Consider only trials that an earlier session began, or a due baseline.
        """
        # None: whatever is first in the queue; a name: that baseline; "": what is no baseline.
        wanted = self._next_baseline and (self._next_baseline(self._num_proposed) or "")
        for place, each in enumerate(self._queue):
            is_due = wanted or not only_begun or NUMBER in each.attributes
            if wanted in (None, each.baseline) and is_due:
                return self._queue.pop(place)
        return None

    def _ask(self, attempt: int) -> tuple[optuna.Trial, TrialConfig]:
        """Ask for a trial, and tell the study how many epochs it gets."""
        num_baselines = sum(number < self._next_number for number in self._baselines)
        self._study.sampler = make_sampler(
            self._sampler,
            self._space,
            seed=self._seed,
            number=self._next_number,
            num_ended=len(self._optuna_numbers) - len(self._live),
            num_baselines=num_baselines,
            attempt=attempt,
            replay=self._replay,
        )
        seen = ThinnedStudy(self._study, self._thinning) if self._thinning else self._study
        trial = seen.ask()
        params = _ask_point(trial, self._space)
        if NUMBER in trial.user_attrs:
            return trial, self._records[trial.user_attrs[NUMBER]].config
        if baseline := trial.user_attrs.get(BASELINE):
            of_name = {entry.name: entry.params for entry in self._space.baselines}
            # Baselines are never stopped early.
            fixed = {**of_name.get(baseline, {}), "patience_epochs": 0}
            return trial, self._space.config({**fixed, **params})
        config = self._space.config(params)
        shortened = self._shorten(config)
        if EPOCHS in params and shortened.epochs != params[EPOCHS]:  # ends at a report
            distribution = self._space.distributions[EPOCHS]
            value = optuna_point(self._space, shortened)[EPOCHS]
            trial.storage.set_trial_param(
                trial._trial_id, EPOCHS, distribution.to_internal_repr(value), distribution
            )
        return trial, shortened

    def _untried(self) -> list[dict[str, Any]]:
        """Return the untried points of a small space."""
        points = self._space.points() or []
        return [
            point
            for point in points
            if configuration(self._shorten(self._space.config(point))) not in self._tried
        ]

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Tell Optuna a report as an intermediate value."""
        if RUNNING_BEST not in result:
            return
        trial = self._live[trial_id]
        told = trial.storage.get_trial(trial._trial_id).intermediate_values
        # A report that is repeated after the driver or the worker died was told before.
        if result["report"] not in told:
            trial.report(result[RUNNING_BEST], step=result["report"])

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell Optuna how a trial ended."""
        if error:
            return  # `fail` is called next, with the reason, which Ray 2.60 does not pass here
        if result is not None:
            # Ray 2.60 passes a trial's last report only here, not to on_trial_result.
            self.on_trial_result(trial_id, result)
        trial = self._live.pop(trial_id)
        if result is None:
            self._tell_stopped(trial)
        elif result["outcome"] == Outcome.DIVERGED:
            self._tell_failed(trial, result["error"])
        elif result["outcome"] == Outcome.FINISHED:
            self._study.tell(trial, result[RUNNING_BEST])
        else:
            self._study.tell(trial, state=TrialState.PRUNED)

    def fail(self, trial_id: str, reason: str) -> None:
        """Tell Optuna why a trial failed: it raised, or its process died."""
        self._tell_failed(self._live.pop(trial_id), reason)

    def stop_running(self) -> None:
        """Tell Optuna that the search ended before the running trials: none stays RUNNING."""
        for trial in self._live.values():
            self._tell_stopped(trial)
        self._live.clear()

    def _tell_failed(self, trial: optuna.Trial, reason: str) -> None:
        trial.set_user_attr(ERROR, reason)
        self._study.tell(trial, state=TrialState.FAIL)

    def _tell_repeat(self, trial: optuna.Trial) -> None:
        trial.set_user_attr(REPEAT, True)
        self._study.tell(trial, state=TrialState.FAIL)

    def _tell_stopped(self, trial: optuna.Trial) -> None:
        trial.set_user_attr(STOPPED, True)
        self._study.tell(trial, state=TrialState.PRUNED)


def _ask_point(trial: optuna.Trial, space: SearchSpace) -> dict[str, Any]:
    """Suggest each axis that exists, given those before it."""
    params: dict[str, Any] = {}
    for axis, distribution in space.distributions.items():
        if space.exists(axis, params):
            params[axis] = trial._suggest(axis, distribution)  # optuna 5.0: nothing public does
    return params
