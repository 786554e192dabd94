"""ASHA with hand-made curves."""

import dataclasses
import functools
from types import SimpleNamespace

import numpy as np
from ray.tune.schedulers import TrialScheduler

from hand_made_trials import epoch_record
from model.config import TrialConfig
from search_spaces import Budget
from tune.job.search import _settle_stopped
from tune.records.history import TrialEnded
from tune.records.trial import RUNNING_BEST, Outcome, Status, TrialRecord
from tune.trials.asha import FairASHA

BUDGET = Budget(trials=9, grace_period_epochs=1, reduction_factor=3, promotes=False)
STEADY = TrialConfig(epochs=30, decay_fraction=0.0)
"""A learning rate that never falls: the rungs are where they are."""


class Search:
    """Feeds curves to a scheduler as Ray would."""

    def __init__(self, budget: Budget = BUDGET, base: TrialConfig | None = None) -> None:
        self.scheduler = FairASHA(budget, max_reports=27, base=base)

    def run(
        self,
        name: int,
        curve: list[float],
        baseline: str = "",
        config: TrialConfig = STEADY,
    ) -> int:
        """Return the epoch in which the trial was stopped, or its length."""
        proposal = {"number": name, "baseline": baseline, "config": config.to_dict()}
        trial = SimpleNamespace(config=proposal)
        self.scheduler.on_trial_add(None, trial)
        for epoch in range(1, len(curve) + 1):
            values = {"report": epoch, RUNNING_BEST: min(curve[:epoch])}
            values["outcome"] = Outcome.TRAINING.value
            if self.scheduler.on_trial_result(None, trial, values) == TrialScheduler.STOP:
                self.scheduler.on_trial_complete(None, trial, values)  # as Ray 2.60 does
                return epoch
        return len(curve)


def test_worse_two_thirds_are_stopped_at_the_rung() -> None:
    search = Search()
    stopped = [search.run(n, [3.0 + n / 10] * 9) for n in range(6)]
    assert stopped == [9, 1, 1, 1, 1, 1]  # the first at a rung always goes on
    assert search.run(10, [2.0] * 9) == 9


def test_rungs_of_a_long_text_are_reports_which_are_equal_characters() -> None:
    config = TrialConfig(epochs=0.9, reports_per_epoch=10, decay_fraction=0.0)
    assert BUDGET.judged_reports(config, 27) == {1: 1, 3: 3}
    search = Search()
    assert search.run(0, [3.0, 3.0, 2.0, 2.0], config=config) == 4
    assert search.run(1, [2.9, 2.9, 2.5, 2.5], config=config) == 3
    # Another length, compared after as many reports.
    assert search.run(2, [2.8, 2.8, 1.9, 1.9], config=STEADY) == 4


def test_baseline_is_never_stopped_but_counts() -> None:
    search = Search()
    assert search.run(11, [2.0] * 9) == 9
    assert search.run(12, [4.0] * 9, baseline="experiment 1") == 9
    # Between the two recorded values: below the cut-off of the best third.
    assert search.run(13, [3.0] * 9) == 1
    alone = Search()
    assert alone.run(14, [2.0] * 9, baseline="experiment 1") == 9
    assert alone.run(15, [3.0] * 9) == 1


BY_UNIT = dataclasses.replace(BUDGET, compare_within=("unit",))
WORDS = dataclasses.replace(STEADY, unit="word")


def test_characters_are_not_stopped_by_words_that_are_ahead() -> None:
    search, pooled = Search(BY_UNIT), Search()
    for each in (search, pooled):
        for number in range(6):
            each.run(number, [2.0 + number / 10] * 9, config=WORDS)
    assert search.run(10, [3.0] * 9) == 9  # the first of its unit
    assert search.run(11, [2.9] * 9) == 9
    assert search.run(12, [3.1] * 9) == 1  # by the characters before it
    assert search.run(13, [2.9] * 9, config=WORDS) == 1
    assert pooled.run(10, [3.0] * 9) == 1


def test_replayed_history_has_the_same_groups() -> None:
    records = [record(number, [2.0 + number / 10], 10.0 * number) for number in range(3)]
    for each in records:
        each.config = WORDS
    search = Search(BY_UNIT)
    assert search.scheduler.replay([*records, record(3, [3.0], 90.0)]) == {1, 2}
    assert search.run(4, [3.1] * 9) == 1


def test_trial_is_not_stopped_for_reaching_the_longest_epochs() -> None:
    search = Search()
    assert search.run(16, [2.0] * 20) == 20


SHORT = TrialConfig(epochs=10, decay_fraction=0.3)
"""Its learning rate falls from epoch 8 on: the rung at epoch 9 is moved to epoch 7."""


def test_short_trial_is_judged_before_its_decay_against_the_same_epoch() -> None:
    search = Search()
    falling = [2.0, 2.0, 2.0, 1.9, 1.8, 1.7, 1.6, 1.55, 1.5, *[1.4] * 21]
    for number in range(3):
        assert search.run(number, falling) == 30
    # In epoch 9, in its decay, it would be the best of all: it does not escape by that.
    flat = [2.0] * 7 + [1.0] * 3
    assert search.run(3, flat, config=SHORT) == 7
    assert search.run(4, falling[:7] + [1.0] * 3, config=SHORT) == 10


def test_short_trial_does_not_stop_long_ones_by_its_decay() -> None:
    search = Search()
    for number in range(3):
        assert search.run(number, [2.0] * 7 + [1.0] * 3, config=SHORT) == 10
    # In epoch 9 the long trial is where the short ones were before their decay.
    assert search.run(3, [2.0] * 30) == 30


def test_trial_that_ends_before_a_rung_is_not_judged_at_it() -> None:
    assert BUDGET.judged_reports(dataclasses.replace(SHORT, epochs=8), 27) == {1: 1, 3: 3}


def test_trial_without_a_constant_phase_is_judged_but_counts_for_nobody() -> None:
    search = Search()
    falling = TrialConfig(epochs=30, decay_fraction=1.0)
    assert search.run(0, [1.0] * 30, config=falling) == 30
    assert search.run(1, [2.0] * 30) == 30
    assert search.run(2, [3.0] * 30, config=falling) == 1


def test_diverged_report_is_not_a_result() -> None:
    search = Search()
    trial = SimpleNamespace(config={"number": 0, "baseline": "", "config": STEADY.to_dict()})
    search.scheduler.on_trial_add(None, trial)
    decision = search.scheduler.on_trial_result(None, trial, {"outcome": "DIVERGED"})
    assert decision == TrialScheduler.CONTINUE
    search.scheduler.on_trial_complete(None, trial, {"outcome": "DIVERGED"})
    assert search.run(17, [3.0] * 9) == 9


def record(number: int, curve: list[float], seconds: float, baseline: str = "") -> TrialRecord:
    epochs = [
        epoch_record(number, epoch, bits=bits, search_seconds=seconds + epoch)
        for epoch, bits in enumerate(curve, start=1)
    ]
    return TrialRecord(number=number, config=STEADY, epochs=epochs, baseline=baseline)


def test_trial_that_was_stopped_and_fails_as_it_starts_again_ends_by_itself() -> None:
    search = Search()
    search.run(1, [2.0])
    assert search.run(2, [3.0, 3.0]) == 1  # stopped; its worker dies as it saves
    trial = SimpleNamespace(config={"number": 2, "baseline": "", "config": STEADY.to_dict()})
    failed = {"outcome": Outcome.FAILED, "error": "OSError: no such device"}
    # Stopped by ASHA it would be recorded as pruned, which a trial that failed cannot be.
    assert search.scheduler.on_trial_result(None, trial, failed) == TrialScheduler.CONTINUE


def test_replayed_history_gives_the_same_decisions() -> None:
    records = [
        record(0, [4.0, 3.9], 0.0, "experiment 1"),
        record(1, [3.0, 2.5, 2.6], 10.0),
        record(2, [3.5], 20.0),  # ASHA stops it, and its driver is killed before it says so
    ]
    live, resumed = Search(), Search()
    live.run(0, [4.0, 3.9], baseline="experiment 1")
    live.run(1, [3.0, 2.5, 2.5])
    assert live.run(2, [3.5] * 9) == 1
    assert resumed.scheduler.replay(records) == {2}
    for search in (live, resumed):
        assert search.run(1, [3.0, 2.5, 2.5, 9.0]) == 4  # goes on: its rungs are passed
        assert search.run(3, [3.6] * 9) == 1
        assert search.run(4, [2.9, 2.9, 2.6]) == 3
        assert search.run(5, [2.4] * 9) == 9


def test_killed_driver_leaves_what_patience_had_ended() -> None:
    """Both trials were poor at the rung after epoch 9, and the driver died before it said more."""
    records = {
        0: record(0, [2.0] * 8 + [1.5], 0.0, "experiment 1"),
        1: record(1, [2.0] * 9, 10.0),  # no better since epoch 1: it is complete
        2: record(2, [2.0] * 8 + [1.9], 20.0),
    }
    added: list[TrialEnded] = []
    history = SimpleNamespace(records=records, seconds=lambda: 99.0, add=added.append)
    scheduler = FairASHA(BUDGET, max_reports=27)
    assert scheduler.replay(records.values()) == {1, 2}
    _settle_stopped(FairASHA(BUDGET, max_reports=27), history)  # type: ignore[arg-type]
    assert [(event.number, event.status) for event in added] == [(2, Status.PRUNED)]


def test_trial_that_was_stopped_is_stopped_again_when_its_worker_died_while_it_saved() -> None:
    search = Search()
    assert search.run(0, [2.0] * 9) == 9
    assert search.run(1, [3.0] * 9) == 1
    assert search.run(1, [3.0] * 9) == 1  # the same trial, from its last checkpoint


def test_rungs_cut_is_the_quantile_of_the_others_while_values_come_and_change() -> None:
    generator = np.random.default_rng(0)
    scheduler, by_number = FairASHA(BUDGET, max_reports=27), dict[int, float]()
    for value in generator.normal(size=300).round(1).tolist():  # many are equal
        number = int(generator.integers(100))  # some are told again: they are not judged twice
        cut = np.quantile(list(by_number.values()), 1 / 3) if by_number else np.inf
        scheduler._judge(number, STEADY, 1, value, "")
        if number not in by_number:
            assert (number in scheduler._stopped) == (value > cut)
        by_number[number] = value


PROMOTING = dataclasses.replace(BUDGET, promotes=True)


def test_base_waits_at_no_rung_however_many_epochs_it_is_given() -> None:
    """It is the first there; in a search of two minutes it waited for the rest of it."""
    search = Search(PROMOTING, base=STEADY)
    given = dataclasses.replace(STEADY, epochs=12, seed=3)
    assert search.run(0, [2.0] * 9, config=given) == 9
    other = dataclasses.replace(STEADY, dropout=0.1)
    assert search.run(1, [2.5] * 9, config=other) == 1
    # The best of three at the first rung, and the second of two at the next: it waits there.
    assert search.run(2, [1.0] * 9, config=dataclasses.replace(STEADY, hidden_size=8)) == 3
    # What a sampler proposes is judged, also where it differs from the base in epochs alone.
    assert search.run(3, [2.6] * 9, config=dataclasses.replace(STEADY, epochs=20)) == 1


def test_trial_waits_until_it_is_in_the_best_third_of_its_rung() -> None:
    search = Search(PROMOTING)
    promoted = functools.partial(search.scheduler.promoted, lambda number: True, is_last=False)
    assert search.run(0, [2.0] * 9) == 1  # the first waits for others
    assert search.run(1, [3.0] * 9) == 1 and promoted() is None
    assert search.run(2, [2.5] * 9) == 1
    assert promoted() == 0 and promoted() is None
    assert search.run(0, [2.0] * 9) == 3  # from its checkpoint: the next rung
    assert search.run(3, [1.5] * 9) == 3  # one of four may, and it is the best
    assert promoted() is None
    # No other will come: the best of each rung goes on, the highest rung first.
    last = functools.partial(search.scheduler.promoted, lambda number: True, is_last=True)
    assert last() == 3 and last() is None
    assert search.run(3, [1.5] * 9) == 9


def test_no_trial_waits_where_all_are_in_their_decay_at_the_first_rung() -> None:
    """Each counts for nobody: all waited until the end of the search."""
    falling = dataclasses.replace(STEADY, decay_fraction=1.0)
    search = Search(PROMOTING)
    assert [search.run(n, [3.0 - n / 10] * 9, config=falling) for n in range(4)] == [9] * 4
    # A time budget leaves all trials 4 of their epochs, of which 2 are before the decay.
    short = TrialConfig(epochs=4, decay_fraction=0.3)
    search = Search(dataclasses.replace(PROMOTING, grace_period_epochs=3))
    assert [search.run(n, [2.0 + n / 10] * 4, config=short) for n in range(4)] == [4] * 4


def test_trial_in_its_decay_is_compared_with_those_that_are_before_theirs() -> None:
    search = Search(PROMOTING)
    falling = dataclasses.replace(STEADY, decay_fraction=1.0)
    assert search.run(0, [2.0] * 9, baseline="experiment 1") == 9
    assert search.run(1, [2.5] * 9, config=falling) == 1
    assert search.run(2, [1.9] * 9, config=falling) == 9
    assert search.run(3, [1.8] * 9) == 1  # one before its decay waits for others
    promoted = functools.partial(search.scheduler.promoted, lambda number: True, is_last=False)
    assert search.run(4, [3.0] * 9) == 1 and promoted() == 3
    # The second of four: before its decay it waits.
    assert search.run(5, [1.9] * 9, config=falling) == 9
    assert search.run(6, [1.9] * 9) == 1


def test_trial_that_has_not_ended_where_it_stopped_is_not_promoted() -> None:
    search = Search(PROMOTING)
    for number in range(3):
        assert search.run(number, [2.0 + number]) == 1
    assert search.scheduler.promoted(lambda number: number != 0, is_last=False) is None
    assert search.scheduler.promoted(lambda number: True, is_last=False) == 0
    alone = Search()
    alone.run(0, [2.0])
    alone.run(1, [3.0])
    assert alone.scheduler.promoted(lambda number: True, is_last=True) is None


def test_baseline_does_not_wait_but_others_wait_for_it() -> None:
    search = Search(PROMOTING)
    assert search.run(0, [2.0] * 9, baseline="experiment 1") == 9
    for number in (1, 2):
        assert search.run(number, [2.0 + number] * 9) == 1
    assert search.scheduler.promoted(lambda number: True, is_last=False) is None


def test_trials_that_wait_are_known_to_the_next_session() -> None:
    records = [record(number, [2.0 + number / 10], 10.0 * number) for number in range(3)]
    for each in records:
        each.status = Status.PRUNED
    gone_on = record(3, [2.05, 2.0, 1.9], 50.0)  # promoted once, waiting after epoch 3
    gone_on.status = Status.PRUNED
    failed = dataclasses.replace(record(4, [1.0], 70.0), status=Status.FAILED)
    search = Search(PROMOTING)
    assert search.scheduler.replay([*records, gone_on, failed]) == {0, 1, 2, 3}
    promoted = functools.partial(search.scheduler.promoted, lambda number: True, is_last=True)
    assert promoted() == 3  # the only one of the highest rung
    assert promoted() == 0  # two of five may, and the failed one is ahead
    assert promoted() is None


def test_trial_that_waits_is_known_although_a_report_came_again_since() -> None:
    """A worker that died as it saved reports again: judged in the order of now, it would pass."""
    first, second = record(0, [2.0], 40.0), record(1, [3.0], 2.0)
    first.baseline, second.baseline = "a", "b"
    waits = record(2, [2.5], 3.0)
    waits.status = Status.PRUNED
    search = Search(dataclasses.replace(PROMOTING, reduction_factor=2))
    records = [first, second, waits, record(3, [3.1], 50.0)]
    assert 2 in search.scheduler.replay(records)
    assert search.scheduler.promoted(lambda number: number == 2, is_last=True) == 2


def test_trial_that_a_user_lets_finish_is_not_stopped_and_is_promoted_first() -> None:
    search = Search(dataclasses.replace(BUDGET, promotes=True))
    search.scheduler.let_finish(2)
    assert [search.run(n, [3.0 + n / 10] * 9) for n in range(4)] == [1, 1, 9, 1]
    search.scheduler.let_finish(3)
    assert search.scheduler.promoted(lambda number: number < 2, is_last=False) == 0
    assert search.scheduler.promoted(lambda number: number != 2, is_last=False) == 3
    assert search.run(3, [3.3] * 9) == 9
