"""What ASHA saved and what it cost, from tables whose figures are worked out by hand."""

import dataclasses
from types import SimpleNamespace

import pandas as pd
import pytest
from optuna.distributions import CategoricalDistribution
from ray.tune.schedulers import TrialScheduler

from hand_made_run import loaded_run
from hand_made_trials import epoch_record
from search_spaces import Budget, SearchSpace, load_space
from tune.records.tables import trials_frame
from tune.records.trial import RUNNING_BEST, Status, TrialRecord
from tune.reporting.asha_cost import asha_cost, rung_table, saved_seconds
from tune.reporting.section import markdown
from tune.trials.asha import FairASHA

QUICK = load_space("quick")
SPACE = dataclasses.replace(
    QUICK, budget=Budget(trials=10, grace_period_epochs=1, reduction_factor=3)
)

STOPPING = dataclasses.replace(SPACE.budget, promotes=False)


def record(
    number: int,
    bits: list[float],
    epochs: int = 4,
    status: Status = Status.COMPLETE,
    seconds_per_epoch: float = 1.0,
    baseline: str = "",
    decay_fraction: float = 0.0,
) -> TrialRecord:
    curve = [
        epoch_record(
            number,
            epoch,
            bits=value,
            elapsed_seconds=epoch * seconds_per_epoch,
            search_seconds=10.0 * number + epoch,
        )
        for epoch, value in enumerate(bits, start=1)
    ]
    config = dataclasses.replace(
        QUICK.base,
        epochs=epochs,
        patience_epochs=0 if baseline else QUICK.base.patience_epochs,
        decay_fraction=decay_fraction,
    )
    return TrialRecord(
        number=number, config=config, status=status, epochs=curve, baseline=baseline
    )


RECORDS = [
    record(0, [3.0, 2.9, 2.8, 2.0], baseline="experiment 1"),
    record(1, [2.0, 1.9, 1.9, 1.8]),
    record(2, [2.1, 2.0, 1.95, 1.9]),
    record(3, [2.2, 2.5, 2.4, 1.7], epochs=6),  # its patience was at an end
    record(4, [2.3, 2.2, 2.1, 2.05]),
    record(5, [2.6], status=Status.PRUNED, seconds_per_epoch=2.0),
    record(6, [2.5], epochs=3, status=Status.PRUNED, seconds_per_epoch=2.0),
    record(7, [1.95, 1.94, 2.3], epochs=6, status=Status.PRUNED),
    record(8, [2.4, 2.3], epochs=2),
    record(9, [], status=Status.DIVERGED),
]


def table_of(records: list[TrialRecord], space: SearchSpace = SPACE) -> pd.DataFrame:
    return rung_table(loaded_run(records, space=space)).set_index("rung, epoch")


def text_of(records: list[TrialRecord]) -> str:
    return markdown(asha_cost(loaded_run(records, space=SPACE)))


def test_rungs_count_who_came_who_went_and_who_was_told_apart() -> None:
    table = table_of(RECORDS)
    assert table.index.to_list() == [1, 3]  # quick trains 6 epochs at most
    assert table["reached"].to_list() == [9, 6]
    assert table["stopped"].to_list() == [2, 1]
    assert table["cut"].to_list() == [2.1, 1.94]  # the third best of 9, the second of 6
    # Trial 8 ends before epoch 3. Squared differences of ranks sum to 12 and 16.
    assert table["trained to the end"].to_list() == [6, 5]
    assert table["rank correlation"].to_list() == pytest.approx(
        [1 - 6 * 12 / (6 * 35), 1 - 6 * 16 / (5 * 24)]
    )
    # The best are 3, 1 and 2. Trial 3 lies outside the best third at both, trial 2 at the second.
    assert table["eventual best"].to_list() == [3, 3]
    assert table["stopped if last"].to_list() == [1, 2]


def test_rungs_that_stop_have_a_threshold_between_the_values() -> None:
    stopping = dataclasses.replace(SPACE, budget=STOPPING)
    table = table_of(RECORDS, stopping)
    # Of the sorted values the one at 8/3 and at 5/3, between its neighbours.
    assert table["cut"].to_list() == pytest.approx([2.1 + 0.2 / 3, 1.94 + 0.02 / 3])
    assert table["stopped if last"].to_list() == [1, 1]


@pytest.mark.parametrize("budget", [SPACE.budget, STOPPING], ids=["promotes", "stops"])
def test_asha_itself_stops_as_many_of_the_best_where_they_come_last(budget: Budget) -> None:
    stopped = {1: 0, 3: 0}
    for last in (RECORDS[1], RECORDS[2], RECORDS[3]):
        scheduler = FairASHA(budget, max_reports=6)
        scheduler.replay([record for record in RECORDS if record is not last])
        for rung in stopped:
            proposal = {"number": 100 + rung, "baseline": "", "config": last.config.to_dict()}
            trial = SimpleNamespace(config=proposal)
            scheduler.on_trial_add(None, trial)
            values = {"report": rung, RUNNING_BEST: last.running_best()[rung]}
            decision = scheduler.on_trial_result(None, trial, values)
            stopped[rung] += decision == TrialScheduler.STOP
    space = dataclasses.replace(SPACE, budget=budget)
    assert table_of(RECORDS, space)["stopped if last"].to_dict() == stopped


def test_trial_that_is_judged_before_the_rung_counts_as_stopped_but_not_in_its_values() -> None:
    moved = record(10, [1.0, 0.9], status=Status.PRUNED, decay_fraction=0.5)  # rung 3 at epoch 2
    before, after = table_of(RECORDS), table_of([*RECORDS, moved])
    assert after.loc[3, "reached"] == before.loc[3, "reached"] + 1
    assert after.loc[3, "stopped"] == before.loc[3, "stopped"] + 1
    assert after.loc[3, "cut"] == before.loc[3, "cut"]


def test_value_at_the_rung_is_no_forecast_for_a_trial_that_ended_there() -> None:
    records = [record(number, [3.0 - number / 10], epochs=1) for number in range(6)]
    table = table_of([*records, record(6, [3.5], status=Status.PRUNED)])
    assert table.loc[1, "trained to the end"] == 0
    assert table.loc[1, "rank correlation"] is None


def test_saved_time_is_the_epochs_left_at_each_trials_own_speed() -> None:
    assert saved_seconds(trials_frame(RECORDS)) == 3 * 2.0 + 2 * 2.0 + 3 * 1.0
    # 29 s were spent; of 13 saved, 13 / 42. With patience finished 18 epochs of 20.
    text = text_of(RECORDS)
    assert "ASHA saved 13s of worker time, 31% of what" in text
    assert "finished trials with patience ran 90% of their epochs" in text


def test_trial_that_was_stopped_before_its_first_report_saves_nothing() -> None:
    silent = record(10, [], status=Status.PRUNED)  # a stranger's: ours have one
    assert "ASHA saved 13s of worker time, 31% of what" in text_of([*RECORDS, silent])
    assert "ASHA saved 0s of worker time, 0% of what" in text_of([silent])
    barely = trials_frame(RECORDS).assign(epochs_run=1e-300)
    assert saved_seconds(barely) == 0


def test_what_too_few_trials_carry_is_not_shown() -> None:
    few = [RECORDS[1], RECORDS[2], RECORDS[5], RECORDS[7]]
    table = table_of(few)
    assert table["reached"].to_list() == [4, 3]
    unknown = ["cut", "rank correlation", "eventual best", "stopped if last"]
    assert all(value is None for value in table[unknown].to_numpy().ravel())
    assert "nan" not in text_of(few).lower()


def test_equal_values_have_no_correlation() -> None:
    records = [record(number, [2.5, 2.0 + number / 10]) for number in range(5)]
    text = text_of([*records, record(5, [2.6], status=Status.PRUNED)])
    assert "| 1 | 6 | 1 | 2.5000 | 5 |  | 3 | 0 |" in text


def test_rungs_of_a_search_with_groups_have_a_row_for_each() -> None:
    budget = dataclasses.replace(SPACE.budget, compare_within=("unit",))
    axes = {"unit": CategoricalDistribution(("char", "word")), **SPACE.distributions}
    space = dataclasses.replace(SPACE, distributions=axes, budget=budget, baselines=())
    words = [
        dataclasses.replace(each, number=each.number + 10, epochs=[], config=word)
        for each in RECORDS
        for word in [dataclasses.replace(each.config, unit="word")]
    ]
    for each, like in zip(words, RECORDS, strict=True):
        lower = [dataclasses.replace(e, number=each.number) for e in like.epochs]
        each.epochs = [
            dataclasses.replace(e, val_bits_per_char=e.val_bits_per_char - 1.5) for e in lower
        ]
    run = loaded_run([*RECORDS, *words], space=space)
    table, alone = rung_table(run), table_of(RECORDS).reset_index()
    assert table["rung, epoch"].to_list() == [1, 1, 3, 3]
    assert table["unit"].to_list() == ["char", "word"] * 2
    of_char = table[table["unit"] == "char"].drop(columns="unit").reset_index(drop=True)
    pd.testing.assert_frame_equal(of_char, alone.astype(object))
    cuts = table["cut"].to_list()
    assert cuts[1::2] == pytest.approx([cut - 1.5 for cut in cuts[::2]])
    assert "Each trial is compared only with those of their `unit`" in markdown(asha_cost(run))


def test_search_that_stopped_nothing_says_so() -> None:
    assert "ASHA stopped no trial" in text_of([RECORDS[1], RECORDS[2]])
