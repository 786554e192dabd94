"""The cost of a proposal after many trials: the project's searcher, with its journal file."""

import dataclasses
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution

from model.config import TrialConfig
from search_spaces import SearchSpace, load_space
from tune.records.trial import (
    RUNNING_BEST,
    SCORES,
    EpochRecord,
    Outcome,
    Status,
    TrialRecord,
    trial_id,
)
from tune.sampling.optuna_study import open_study
from tune.sampling.samplers import MAX_STARTUP_TRIALS
from tune.sampling.searcher import StudySearcher

NUM_SUGGESTIONS = 10


def sampler_cost(num_told: int, *, space_name: str, sampler: str) -> tuple[float, list[float]]:
    """Return the seconds to open a study of `num_told` trials, and of each proposal after that."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = load_space(space_name)
    records = made_up_records(space, num_told)
    if sampler == "cmaes":
        records = in_generations(records, space)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        study = open_study(Path(folder) / "optuna.journal", space, records=records)
        open_seconds = time.perf_counter() - start
        searcher = StudySearcher(study, space, seed=0, sampler=sampler, records=records)
        seconds = [_suggest(searcher, str(name)) for name in range(NUM_SUGGESTIONS)]
    return open_seconds, seconds


def made_up_records(space: SearchSpace, num_trials: int) -> list[TrialRecord]:
    """Return random trials of a space, about two thirds of them pruned at its rungs.

    The baselines come first, as in a search: otherwise the study would propose them now.
    """
    generator = np.random.default_rng(0)
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(sampler=sampler)
    records = []
    for number in range(num_trials):
        baseline = space.baselines[number] if number < len(space.baselines) else None
        params = baseline.params if baseline else study.ask(dict(space.distributions)).params
        config = space.config({**params, "seed": number})
        rungs = [
            rung for rung in space.budget.rungs(config.num_reports) if rung < config.num_reports
        ]
        is_pruned = baseline is None and bool(rungs) and generator.random() < 2 / 3
        # Most of these at the first rung.
        passed = min(generator.geometric(2 / 3), len(rungs)) - 1 if is_pruned else 0
        num_epochs = rungs[passed] if is_pruned else config.num_reports
        records.append(
            TrialRecord(
                number=number,
                config=config,
                baseline=baseline.name if baseline else "",
                status=Status.PRUNED if is_pruned else Status.COMPLETE,
                epochs=[
                    made_up_epoch(number, epoch, made_up_bits(config, epoch))
                    for epoch in range(1, num_epochs + 1)
                ],
            )
        )
    return records


def made_up_epoch(
    number: int, epoch: int, bits: float, *, chars_trained: int | None = None
) -> EpochRecord:
    """Return a trial's report with four equal scores."""
    scores: dict[str, Any] = dict.fromkeys(SCORES, bits)
    return EpochRecord(
        trial_id=trial_id(number),
        number=number,
        epoch=epoch,
        chars_trained=chars_trained,
        elapsed_seconds=float(epoch),
        search_seconds=float(number + epoch),
        **scores,
    )


def in_generations(records: list[TrialRecord], space: SearchSpace) -> list[TrialRecord]:
    """Return trials numbered as by CMA-ES, one full generation after another."""
    num_axes = sum(
        not isinstance(distribution, CategoricalDistribution) and axis not in space.conditions
        for axis, distribution in space.distributions.items()
    )
    population = 4 + math.floor(3 * math.log(num_axes))
    return [
        dataclasses.replace(record, generation=(record.number - MAX_STARTUP_TRIALS) // population)
        if record.number >= MAX_STARTUP_TRIALS
        else record
        for record in records
    ]


def made_up_bits(config: TrialConfig, epoch: int) -> float:
    """Return a realistic score: it falls with the epochs, and there is a best size.

    >>> config = TrialConfig(hidden_size=512)
    >>> made_up_bits(config, 1) > made_up_bits(config, 9) > 1.9
    True
    """
    size = math.log2(config.hidden_size / 512)
    rate = math.log10(config.learning_rate / 3e-3)
    final = 1.9 + 0.02 * size**2 + 0.1 * rate**2 + 0.2 * (config.dropout - 0.4) ** 2
    jitter = 0.01 * math.sin(config.seed * 7.0 + epoch)
    return final + 0.8 / epoch + jitter


def _suggest(searcher: StudySearcher, name: str) -> float:
    """Return the seconds of a proposal, and report its trial to the searcher as pruned."""
    start = time.perf_counter()
    searcher.suggest(name)
    seconds = time.perf_counter() - start
    result = {"report": 1, RUNNING_BEST: 3.0, "outcome": Outcome.TRAINING.value}
    searcher.on_trial_complete(name, result)
    return seconds
