"""ASHA with hand-made curves."""

from types import SimpleNamespace

from ray.tune.schedulers import TrialScheduler

from search_spaces import Budget
from tune.outcome import RUNNING_BEST
from tune.scheduling import BaselineAwareASHA

BUDGET = Budget(trials=9, grace_period_epochs=1, reduction_factor=3)


class Search:
    """Feeds curves to a scheduler as Ray would."""

    def __init__(self) -> None:
        self.scheduler = BaselineAwareASHA(BUDGET, max_epochs=9)

    def run(self, name: str, curve: list[float], baseline: str = "") -> int:
        """Return the epoch in which the trial was stopped, or its length."""
        trial = SimpleNamespace(trial_id=name, config={"baseline": baseline})
        self.scheduler.on_trial_add(None, trial)
        for epoch, bits in enumerate(curve, start=1):
            values = {"epoch": epoch, RUNNING_BEST: bits}
            if self.scheduler.on_trial_result(None, trial, values) == TrialScheduler.STOP:
                return epoch
        return len(curve)


def test_worse_two_thirds_are_stopped_at_the_rung() -> None:
    search = Search()
    stopped = [search.run(str(n), [3.0 + n / 10] * 9) for n in range(6)]
    assert stopped == [9, 1, 1, 1, 1, 1]  # the first at a rung always goes on
    assert search.run("better", [2.0] * 9) == 9


def test_baseline_is_never_stopped_but_counts() -> None:
    search = Search()
    assert search.run("good", [2.0] * 9) == 9
    assert search.run("poor baseline", [4.0] * 9, baseline="experiment 1") == 9
    # Between the two recorded values: below the cut-off of the best third.
    assert search.run("between", [3.0] * 9) == 1
    alone = Search()
    assert alone.run("good baseline", [2.0] * 9, baseline="experiment 1") == 9
    assert alone.run("worse", [3.0] * 9) == 1


def test_trial_is_not_stopped_for_reaching_the_longest_epochs() -> None:
    search = Search()
    assert search.run("long", [2.0] * 20) == 20


def test_diverged_report_is_not_a_result() -> None:
    search = Search()
    trial = SimpleNamespace(trial_id="diverged", config={"baseline": ""})
    search.scheduler.on_trial_add(None, trial)
    decision = search.scheduler.on_trial_result(None, trial, {"outcome": "DIVERGED"})
    assert decision == TrialScheduler.CONTINUE
    search.scheduler.on_trial_complete(None, trial, {"outcome": "DIVERGED"})
    assert search.run("first", [3.0] * 9) == 9
