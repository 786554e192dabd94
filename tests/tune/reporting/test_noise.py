"""What is noise between single trainings, from finalists whose scatter is worked out by hand."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest

from hand_made_run import SPACE, loaded_run
from model.scoring.objective import Floor
from tune.records.finalist_table import FINALIST_TABLE
from tune.records.load import LoadedRun
from tune.records.study_file import ObjectiveFacts
from tune.reporting.confirmation import confirmation
from tune.reporting.noise import SeedNoise, seed_noise, table_notes
from tune.reporting.section import markdown

FLOOR = Floor(validation_bits_per_char=2.3, test_bits_per_char=2.3)
OBJECTIVE = ObjectiveFacts(
    floor_order=5, floors={"cased": FLOOR}, restoration_bits_per_char={"cased": 0.0}
)


def finalists_of(*rows: tuple[int, float, str]) -> pd.DataFrame:
    values = [
        {"number": number, "val_bits_per_char": bits, "status": status}
        for number, bits, status in rows
    ]
    return pd.DataFrame(values, columns=list(FINALIST_TABLE.dtypes)).astype(FINALIST_TABLE.dtypes)


def run_of(scores: list[float], finalists: pd.DataFrame) -> LoadedRun:
    trials = pd.DataFrame([SPACE.base.to_dict()] * len(scores))
    trials = trials.assign(number=range(len(scores)), val_bits_per_char=scores)
    run = loaded_run([], objective=OBJECTIVE)
    return dataclasses.replace(run, trials=trials, finalists=finalists)


MEASURED = finalists_of(
    # Squared deviations: 0.0002 of the first, 0.0008 of the second; 2 + 1 are free.
    *((3, bits, "COMPLETE") for bits in (1.97, 1.98, 1.99)),
    *((5, bits, "COMPLETE") for bits in (2.00, 2.04)),
    (7, 2.50, "COMPLETE"),  # alone: says nothing
    (5, 9.99, "FAILED"),
)
DEVIATION = math.sqrt(0.001 / 3)


def notes_of(scores: list[float], finalists: pd.DataFrame, num_shown: int = 10) -> list[str]:
    run = run_of(scores, finalists)
    return table_notes(run, run.trials.sort_values("val_bits_per_char").head(num_shown))


def test_scatter_between_seeds_is_pooled_over_the_finalists() -> None:
    noise = seed_noise(MEASURED)
    assert noise is not None
    assert noise.deviation == pytest.approx(DEVIATION)
    assert (noise.num_trainings, noise.num_settings) == (5, 2)
    # Of two it is Student's t, with three degrees of freedom: 3.1824 in any table.
    least = noise.least_lead(1, 1, num_compared=2)
    assert least == pytest.approx(3.1824 * math.sqrt(2) * DEVIATION, rel=1e-4)


def test_lead_of_the_lowest_is_held_against_the_range_of_all() -> None:
    noise = SeedNoise(deviation=0.01, num_trainings=15, num_settings=5)
    # The studentized range of 5 means with 10 degrees of freedom: 4.654 in any table.
    three_each = noise.least_lead(3, 3, num_compared=5)
    assert three_each == pytest.approx(4.654 * 0.01 / math.sqrt(3), rel=1e-3)
    assert noise.least_lead(3, 2, num_compared=5) > three_each  # Kramer's, of unequal numbers
    assert noise.least_lead(3, 3, num_compared=2) < three_each
    # Two that scatter more than the others are held against their own scatter; one seed has none.
    own = noise.least_lead(3, 3, num_compared=5, deviations=(0.03, 0.04))
    assert own == pytest.approx(3.5355 * three_each, rel=1e-4)
    assert noise.least_lead(3, 1, num_compared=5, deviations=(0.01, 0.0)) == (
        noise.least_lead(3, 1, num_compared=5)
    )


@pytest.mark.slow
def test_equal_configurations_are_seldom_told_apart() -> None:
    searches = np.random.default_rng(1).normal(2.0, 0.01, size=(4_000, 5, 3))
    deviations = np.sqrt(searches.var(axis=2, ddof=1).mean(axis=1))
    leads = np.ptp(searches.mean(axis=2), axis=1)
    false_alarms = np.array(
        [
            lead
            > SeedNoise(deviation=s, num_trainings=15, num_settings=5).least_lead(
                3, 3, num_compared=5
            )
            for lead, s in zip(leads, deviations, strict=True)
        ]
    )
    assert 0.04 < false_alarms.mean() < 0.06
    # And the report says so. Twice the standard error of each pair called 45 % more than noise.
    assert sum(_is_said_to_lead(searches[index]) for index in range(20)) <= 3
    found = np.flatnonzero(false_alarms)[:10]
    assert any(_is_said_to_lead(searches[index]) for index in found)


def _is_said_to_lead(scores: np.ndarray) -> bool:
    """Return whether the report says so of any of some configurations; shape (those, seeds)."""
    rows = [(n, bits, "COMPLETE") for n, each in enumerate(scores) for bits in each]
    said = markdown(confirmation(run_of([2.0] * len(scores), finalists_of(*rows))))
    return ": more than noise." in said


@pytest.mark.slow
def test_equal_configurations_that_scatter_unlike_are_seldom_told_apart() -> None:
    """By the pooled deviation alone 13.5 % of searches were; of these, 19 %."""
    deviations = np.array([0.0022, 0.0066, 0.0203, 0.0107, 0.0029, 0.0055])[:, None]
    searches = np.random.default_rng(2).normal(2.0, deviations, size=(100, 6, 3))
    assert np.mean([_is_said_to_lead(scores) for scores in searches]) < 0.09


@pytest.mark.slow
def test_ranks_within_noise_are_counted_from_the_winner_down() -> None:
    # The studentized range of 5, with three degrees of freedom: 7.50 in any table; times 0.0183.
    # The search's order is not the table's.
    scores = [2.2, 2.0, 2.05, 2.138, 2.01]
    (noise, _) = notes_of(scores, MEASURED)
    assert "best of 5 equally good trials would lead any other by less than 0.1370 bits" in noise
    assert noise.endswith("; ranks 1 to 3 are within noise of each other.")
    (noise, _) = notes_of([2.0, 2.09], MEASURED)
    assert noise.endswith("; no other rank is that close to the first.")
    # Also those that the table has no room for.
    (noise, _) = notes_of([2.0 + number / 1_000 for number in range(20)], MEASURED)
    assert "ranks 1 to 20" in noise


def test_one_pair_of_trainings_is_too_few_for_ranks() -> None:
    """With one degree of freedom 51 equal trials span 71 deviations in one search of twenty."""
    pair = finalists_of((0, 2.1171, "COMPLETE"), (0, 2.1265, "COMPLETE"))
    (noise, _) = notes_of([2.0 + number / 100 for number in range(51)], pair)
    assert noise == (
        "noise: the standard deviation between seeds is 0.0066, from 2 trainings of 1 "
        "configuration, which is too few to say which ranks are certain."
    )


@pytest.mark.parametrize(
    "finalists",
    [finalists_of(), finalists_of((3, 1.9, "COMPLETE"), (5, 2.0, "COMPLETE"), (3, 1.8, "FAILED"))],
)
def test_noise_that_was_not_measured_is_said_to_be_unknown(finalists: pd.DataFrame) -> None:
    assert seed_noise(finalists) is None
    (noise, _) = notes_of([2.0, 2.1], finalists)
    assert "not measured" in noise


def test_networks_no_better_than_the_floor_are_counted_among_those_shown() -> None:
    (_, floor) = notes_of([2.1, 2.3, 2.0, 2.5], MEASURED)
    assert floor == (
        "floor: a character 5-gram scores 2.3000 bits; 2 of these 4 beat it, the others do not."
    )
    (_, floor) = notes_of([2.1, 2.3, 2.0, 2.5], MEASURED, num_shown=2)
    assert floor.endswith("2 of these 2 beat it.")
    (_, floor) = notes_of([2.4, 2.3], MEASURED)
    assert floor.endswith("none of these 2 beats it; with more time (--resume) one may.")
    (_, floor) = notes_of([2.2, 2.4, 2.5], MEASURED)
    assert "1 of these 3 beats it, the others" in floor
    run = run_of([2.4, 2.3], MEASURED)
    given = dataclasses.replace(SPACE, distributions={}, starts=())
    run = dataclasses.replace(run, study=dataclasses.replace(run.study, space=given))
    (_, floor) = table_notes(run, run.trials)  # no more of them come
    assert floor.endswith("none of these 2 beats it.")
