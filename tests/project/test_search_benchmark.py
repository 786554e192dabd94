"""benchmarks/search.py: its clock, its figures and its worlds, by hand."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
from numpy.typing import NDArray
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from benchmarks.record_curves import (
    CURVES,
    EPOCHS,
    configurations,
    recorded_space,
    rows,
    write_table,
)
from search_spaces.distributions import contains

pytest.importorskip("sklearn", reason="it is not installed (pip install .[dev])")
threadpoolctl = pytest.importorskip("threadpoolctl", reason="it comes with scikit-learn")

from benchmarks import landscape, search  # noqa: E402
from benchmarks.landscape import Curves, Fit, Landscape, features  # noqa: E402
from benchmarks.search_methods import METHODS, SLOW  # noqa: E402
from benchmarks.simulation import simulate  # noqa: E402

Array = NDArray[np.float64]
INF = float("inf")


@pytest.fixture(scope="module", autouse=True)
def _quiet_with_one_thread() -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    # On a busy machine two threads take 20 times as long for small matrices as one.
    with threadpoolctl.threadpool_limits(1):
        yield
    optuna.logging.set_verbosity(before)


class HandMadeWorld(Landscape):
    """A world whose curves are given: values of the epochs, seconds of each."""

    def __init__(self, *curves: tuple[list[float], float]) -> None:
        self._given = curves
        self.num_epochs = len(curves[0][0])
        self.full_seconds = 8.0
        self.best = 1.0

    def curve(self, params: dict[str, Any]) -> tuple[Array, float]:
        values, seconds = self._given[params["number"] % len(self._given)]
        return np.array(values), seconds


class HandMadeMethod:
    """Proposes 0, 1, 2 and so on, stops where it is told to, and writes down its calls."""

    def __init__(self, *stops: tuple[str, int]) -> None:
        self._stops = stops
        self.calls: list[str | tuple[str, int, float, bool]] = []
        self._asked = 0

    def suggest(self, trial: str) -> dict[str, Any]:
        self.calls.append(trial)
        self._asked += 1
        return {"number": self._asked - 1}

    def epochs_done(self, trial: str) -> int:
        return 0

    def epoch_ended(self, trial: str, epoch: int, running_best: float, *, last: bool) -> bool:
        self.calls.append((trial, epoch, running_best, last))
        return (trial, epoch) not in self._stops


WORLD = HandMadeWorld(
    ([3.0, 2.5, 2.7], 2.0),
    ([2.8, 2.0, 1.0], 3.0),
    ([1.5, 1.9, 1.6], 1.0),
    ([1.2, 0.5, 0.5], 4.0),
    ([0.1, 0.1, 0.1], 5.0),
)


def test_clock_and_order_of_two_workers() -> None:
    method = HandMadeMethod(("00001", 2))
    found = simulate(method, WORLD, num_workers=2, budget_seconds=10.0)
    assert method.calls == [
        "00000",
        "00001",
        ("00000", 1, 3.0, False),  # 2 s
        ("00001", 1, 2.8, False),  # 3 s
        ("00000", 2, 2.5, False),  # 4 s
        # Both end at 6 s; this one began first. It is stopped: nobody sees its 1.0.
        ("00001", 2, 2.0, False),
        "00002",
        ("00000", 3, 2.5, True),
        "00003",
        ("00002", 1, 1.5, False),  # 7 s
        ("00002", 2, 1.5, False),
        ("00002", 3, 1.5, True),  # 9 s
        "00004",  # would end at 14 s
        ("00003", 1, 1.2, False),  # 10 s, the last that counts
    ]
    assert found.seconds == [2.0, 3.0, 4.0, 6.0, 7.0, 10.0]
    assert found.values == [3.0, 2.8, 2.5, 2.0, 1.5, 1.2]
    moments = (0.0, 1.9, 2.0, 3.9, 4.0, 5.9, 6.0, 9.9, 10.0, 99.0)
    best = [INF, INF, 3.0, 2.8, 2.5, 2.5, 2.0, 1.5, 1.2, 1.2]
    assert [found.best_at(moment) for moment in moments] == best


def test_more_workers_have_less_time() -> None:
    world = HandMadeWorld(([2.0, 1.5], 4.0))
    for num_workers, points_of_an_epoch in ((1, 4), (2, 8)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(search, "_landscape", world, raising=False)
            patch.setitem(METHODS, "hand-made", lambda *_: HandMadeMethod())
            regrets = search.replay(("hand-made", num_workers, 0))
        # 25 trainings of 8 s: a point of the budget is 1 s of one worker, 0.5 s of each of two.
        once, twice = points_of_an_epoch - 1, 2 * points_of_an_epoch - 1
        expected = [INF] * once + [1.0] * (twice - once) + [0.5] * (search.GRID - twice)
        assert regrets.tolist() == expected


def test_share_to_reach_is_of_the_median() -> None:
    regrets = np.full((3, search.GRID), 0.5)
    regrets[0, 20:] = 0.1
    regrets[1, 80:] = 0.2
    regrets[2, 150:] = 0.3
    assert search.share_to_reach(regrets, 0.5) == 1 / 200
    assert search.share_to_reach(regrets, 0.2) == 81 / 200
    assert np.isnan(search.share_to_reach(regrets, 0.19))


def test_share_has_an_interval_and_may_lie_beyond_the_budget() -> None:
    falling = np.linspace(1.0, 0.0, search.GRID)
    chance = np.random.default_rng(0)
    ours, other = np.tile(falling, (9, 1)), np.full((9, search.GRID), 0.5)
    assert search.reach(ours, other, chance) == "50% (50%-50%)"
    assert search.reach(ours, other - 1.0, chance) == "not reached"
    # The others of nine seeds end at 0.9 or below ours: so do the medians of many resamples.
    other[:5], other[5:] = 0.9, -1.0
    assert search.reach(ours, other, chance) == "10% (10%-not reached)"


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ([0.3] * 9, 0.3, 0.3),
        # The median of a resample is 1 with a chance of 1.0 %: of a tail of 2.5 %, too little.
        ([0.0] * 6 + [1.0], 0.0, 0.0),
        # With 4.7 %: enough.
        ([0.0] * 7 + [1.0] * 3, 0.0, 1.0),
        ([0.0] * 7 + [-1.0] * 3, -1.0, 0.0),
    ],
)
def test_interval_is_of_the_middle_95_percent(
    values: list[float], low: float, high: float
) -> None:
    assert search.interval(np.array(values), np.random.default_rng(0)) == (low, high)


def table_of(capsys: pytest.CaptureFixture[str], **arguments: Any) -> dict[str, list[str]]:
    search.print_table(4, **arguments)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0][1:-1] == ["10%", "25%", "50%", "100%"]
    return {name: row for name, *row in cells[1:]}


def test_table_of_curves(capsys: pytest.CaptureFixture[str]) -> None:
    falling = np.full((5, search.GRID), 0.4)
    falling[:, 99:] = 0.1  # from a half of the budget on
    level = {
        name: np.full_like(falling, value) for name, value in (("other", 0.2), ("best", 0.05))
    }
    at = {value: f"{value} ({value}-{value})" for value in (400, 200, 100, 50)}
    assert table_of(capsys, regrets={"ours": falling, **level}) == {
        "ours": [at[400], at[400], at[100], at[100], ""],
        "other": [f"{at[200]} *", f"{at[200]} *", at[200], at[200], "50% (50%-50%)"],
        "best": [*[f"{at[50]} *"] * 4, "not reached"],
    }
    alone = table_of(capsys, regrets=level)  # without ours nobody is compared
    assert alone == {"other": [at[200]] * 4 + [""], "best": [at[50]] * 4 + [""]}


@pytest.mark.slow
def test_star_where_ours_is_worse_seed_by_seed(capsys: pytest.CaptureFixture[str]) -> None:
    ours = np.repeat(np.linspace(0.1, 0.8, 8)[:, None], search.GRID, axis=1)
    half = np.where(np.arange(8) % 2, 0.05, -0.05)[:, None]
    regrets = {
        "ours": ours,
        "ahead": ours - 0.01,  # on each seed, by far less than seeds differ
        "equal": ours.copy(),
        "behind": ours + 0.01,
        "half": ours + half,
    }

    def starred(**arguments: str) -> set[str]:
        table = table_of(capsys, regrets=regrets, **arguments)
        stars = {name: {cell.endswith(" *") for cell in row[:-1]} for name, row in table.items()}
        assert all(len(each) == 1 for each in stars.values())  # all columns are alike
        assert [name for name, row in table.items() if not row[-1]] == [
            arguments.get("ours", "ours")
        ]
        return {name for name, each in stars.items() if True in each}

    assert starred() == {"ahead"}
    assert starred(ours="ahead") == set()
    assert starred(ours="behind") == {"ours", "ahead", "equal"}


def numbers(table: pd.DataFrame | None) -> set[int]:
    assert table is not None
    return set(table["configuration"].astype(int))


def test_worlds_of_the_first_text_are_its_halves() -> None:
    even, odd = set(range(0, 160, 2)), set(range(1, 160, 2))
    for name, of_world, of_judges in (("choose", even, odd), ("report", odd, even)):
        world, [(seen, judges)] = search.tables(name)
        assert numbers(world[0]) == numbers(seen[0]) == of_world
        assert world[1] is None and seen[1] is None
        assert numbers(judges) == of_judges


def test_judges_of_the_second_text_are_in_neither_table() -> None:
    (second, other), folds = search.tables("second")
    assert numbers(other) == numbers(search.tables("report")[0][0])
    judged: list[int] = []
    for (seen, learnt_from), judges in folds:
        hidden = numbers(judges)
        assert numbers(seen) == numbers(second) - hidden
        assert numbers(learnt_from) == numbers(other) - hidden
        judged += hidden
    assert len(folds) == 4
    assert sorted(judged) == sorted(numbers(second))  # each once


def test_agreement_of_texts_is_of_what_both_have() -> None:
    first = pd.DataFrame(
        {"configuration": [0, 1, 1, 2, 3], "val_bits_per_char": [9.0, 7.0, 1.0, 2.0, 3.0]}
    )
    second = pd.DataFrame(
        {"configuration": [1, 2, 3, 3, 4], "val_bits_per_char": [1.0, 3.0, 5.0, 2.0, 0.0]}
    )
    # Ranks 1, 2, 3 and 1, 3, 2.
    correlation, shared = search.agreement(first, second)
    assert correlation == pytest.approx(0.5)
    assert shared == 3


def test_features_are_shares_of_their_ranges() -> None:
    distributions = {
        "rate": FloatDistribution(1e-4, 1e-2, log=True),
        "layers": IntDistribution(0, 4),
        "batch": CategoricalDistribution((8, 32, 128)),
        "cleaning": CategoricalDistribution(("cased", "lower", "letters")),
    }
    params = {"rate": 1e-3, "layers": 1, "batch": 32, "cleaning": "lower"}
    assert features(params, distributions) == pytest.approx([0.5, 0.25, 0.5, 0.0, 1.0, 0.0])


def test_fit_of_two_pairs_of_curves() -> None:
    def curves(bits: list[list[float]], *seconds: float) -> Curves:
        return Curves(bits=np.array(bits), seconds=np.array(seconds))

    recorded = curves([[3.0, 2.0], [4.0, 5.0]], 1.0, 2.0), curves([[6.0, 7.0]], 3.0)
    # The best are 2, 4, 6; told are 3, 2, 6. The second curve takes e times what it is told to.
    told = curves([[3.0, 9.0], [2.0, 2.0]], 1.0, 2.0 / np.e), curves([[8.0, 6.0]], 3.0)
    fit = Fit.of(list(zip(recorded, told, strict=True)))
    assert fit.num_curves == 3
    assert fit.spearman == pytest.approx(0.5)
    assert fit.error_bits == pytest.approx((5 / 3) ** 0.5)
    assert fit.spread_bits == pytest.approx((8 / 3) ** 0.5)
    assert fit.seconds_error == pytest.approx((1 / 3) ** 0.5)
    assert recorded[0].floor == pytest.approx(1.9)


NUM_EPOCHS = 8


def recorded_curves(numbers: range) -> pd.DataFrame:
    table = pd.read_parquet(CURVES / "alice.parquet")
    return table[table["configuration"].isin(numbers) & (table["epoch"] <= NUM_EPOCHS)]


def small_world(table: pd.DataFrame, other_text: pd.DataFrame | None = None) -> Landscape:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(landscape, "_RANDOM_POINTS", 300)  # its lowest point, sooner
        patch.setattr(landscape, "_ROUNDS", 2)
        patch.setattr(landscape, "_KEPT", 12)
        return Landscape(table, recorded_space(), other_text=other_text)


FEW = range(14)


@pytest.fixture(scope="module")
def world() -> Landscape:
    return small_world(recorded_curves(FEW))


@pytest.mark.slow
def test_world_of_few_curves(world: Landscape) -> None:
    table = recorded_curves(FEW)
    floor = 0.95 * table["val_bits_per_char"].min()
    points = configurations(40)
    curves = [world.curve(point) for point in points]
    for values, seconds in curves:
        assert values.shape == (NUM_EPOCHS,)
        assert values.min() > floor
        assert seconds > 0
    assert len({seconds for _, seconds in curves}) == len(points)
    assert floor < world.best <= min(float(values.min()) for values, _ in curves)
    mean = table.groupby("configuration")["seconds"].median().mean()
    assert world.num_epochs == NUM_EPOCHS
    assert world.full_seconds == pytest.approx(NUM_EPOCHS * mean)
    # What it was made of it tells again, and better than what it was not made of.
    known, unknown = (
        Fit.of([world.recorded_and_told(each)]) for each in (table, recorded_curves(range(14, 40)))
    )
    assert known.spearman > 0.9
    assert known.error_bits < min(known.spread_bits / 3, unknown.error_bits)


@pytest.mark.slow
def test_world_repeats_itself(world: Landscape) -> None:
    again = small_world(recorded_curves(FEW))
    assert again.best == world.best
    for point in configurations(20):
        values, seconds = world.curve(point)
        for repeated in (world, again):
            assert repeated.curve(point)[0].tolist() == values.tolist()
            assert repeated.curve(point)[1] == seconds


@pytest.mark.slow
def test_world_that_learns_from_another_text(world: Landscape) -> None:
    other_text = recorded_curves(range(14, 40))
    unseen = recorded_curves(range(40, 80))
    learnt = small_world(recorded_curves(FEW), other_text)
    alone, helped = (Fit.of([each.recorded_and_told(unseen)]) for each in (world, learnt))
    assert helped.error_bits < alone.error_bits
    assert helped.spearman > alone.spearman


def test_diverged_curve_is_cut_and_filled(world: Landscape) -> None:
    table = recorded_curves(range(8)).copy()
    third = table["configuration"] == 3
    table.loc[third & (table["epoch"] == 2), "val_bits_per_char"] = 9.0
    table = table[~third | (table["epoch"] <= 2)]
    third = table["configuration"] == 3
    curves, _ = world.recorded_and_told(table)
    first = table[third]["val_bits_per_char"].iloc[0]
    assert curves.bits[3].tolist() == [first, *[5.0] * 7]  # cut at 5.0, then none
    assert (curves.bits[:, -1] < 5.0).tolist() == [True] * 3 + [False] + [True] * 4


def test_configurations_are_those_that_were_recorded() -> None:
    space = recorded_space()
    chosen = configurations(160)
    assert chosen[:3] == [baseline.params for baseline in space.baselines]
    assert chosen[3:4] == space.all_starts()
    assert configurations(160) == chosen
    assert configurations(2) == chosen[:2]
    for text in search.TEXTS:
        table = pd.read_parquet(CURVES / f"{text}.parquet")
        assert set(table.groupby("configuration").size()) == {EPOCHS}
        for row in table[table["epoch"] == 1].to_dict("records"):
            expected = chosen[int(row["configuration"])]
            assert {axis: row[axis] for axis in space.distributions} == expected


def test_recorded_table_is_sorted() -> None:
    curves = [
        {
            "configuration": number,
            "params": {"layers": number + 1},
            "curve": [{"epoch": epoch, "seconds": 0.5} for epoch in epochs],
        }
        for number, epochs in ((1, (1, 2)), (0, (2, 1)), (2, ()))
    ]
    table = pd.DataFrame([row for curve in curves for row in rows(curve)])
    path = Path("table.parquet")
    write_table(table, path)
    assert pd.read_parquet(path).to_dict("list") == {
        "configuration": [0, 0, 1, 1],
        "layers": [1, 1, 2, 2],
        "epoch": [1, 2, 1, 2],
        "seconds": [0.5] * 4,
    }
    assert [each.name for each in path.absolute().parent.glob("table*")] == ["table.parquet"]


@pytest.mark.parametrize("name", [name for name in METHODS if name not in SLOW])
def test_method_proposes_a_recorded_point_and_learns(name: str) -> None:
    space = recorded_space()
    method = METHODS[name](space, EPOCHS, 0, 4)
    params = method.suggest("00000")
    assert params.keys() == space.distributions.keys()
    assert all(contains(each, params[axis]) for axis, each in space.distributions.items())
    (base,) = space.all_starts()
    first: dict[str, Any] = {
        "OptunaSearch, ASHA, base first": base,
        **{each: base for each in METHODS if each.startswith("ours")},
        "ours, baselines first": space.baselines[0].params,
    }
    assert (params == base or params == space.baselines[0].params) == (name in first)
    assert params == first.get(name, params)
    # Alone at a rung it goes on: ours is the base, or a baseline. Others of ours wait.
    assert method.epoch_ended("00000", 1, 2.6, last=False) is True
    if name.startswith("ours") and name not in ("ours, judged once", "ours, baselines first"):
        second = method.suggest("00001")
        assert method.epoch_ended("00001", 1, 2.5, last=False) is False
        method.suggest("00002")
        assert method.epochs_done("00002") == 0
        assert method.epoch_ended("00002", 1, 2.7, last=False) is False
        assert method.suggest("00003") == second and method.epochs_done("00003") == 1
    assert method.epoch_ended("00000", EPOCHS, 2.0, last=True) is False
