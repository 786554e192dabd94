"""Trials that wait at a rung go on from their checkpoints in the same search."""

import json
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from hand_made_trials import epoch_record
from model.config import TrialConfig
from search_spaces import Budget
from tiny_search import run_command, trials_of, write_inputs
from tune.job.search import promoted
from tune.records.search_record import SearchRecord
from tune.records.trial import Status, TrialRecord
from tune.trials.asha import FairASHA

FLAGS = ["--max-concurrent", "1", "--finalists", "0", "--name", "promoting"]


@pytest.mark.slow
def test_trial_that_waited_goes_on_where_it_stopped(tiny_text: str) -> None:
    flags = write_inputs(tiny_text, epochs=(5, 6), trials=10, reduction_factor=3)
    done = run_command([*flags, *FLAGS])
    assert done.returncode == 0, done.stderr
    run = Path("results/promoting")
    events = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    starts = Counter(each["number"] for each in events if each["event"] == "TrialStarted")
    again = [number for number, times in starts.items() if times > 1]
    assert again and sorted(starts) == list(range(10))  # all were proposed, some twice
    trials, epochs = trials_of("promoting"), pd.read_csv(run / "epochs.csv")
    assert list(trials["number"]) == list(range(10))
    # One report an epoch, none trained twice: it went on from its checkpoint.
    counted = epochs.groupby("number")["report"].apply(list)
    assert all(reports == list(range(1, len(reports) + 1)) for reports in counted)
    ended = [each["epoch"]["number"] for each in events if each["event"] == "EpochEnded"]
    reported = Counter(ended)
    assert dict(reported) == {number: len(reports) for number, reports in counted.items()}
    assert all((run / f"ray/session-1/trial_{number:05d}-2").is_dir() for number in again)
    # The best of each rung goes on at the end: a trial of the search is trained to its end.
    own = trials[trials["baseline"].isna()]
    assert (own["status"] == "COMPLETE").any() and (own["status"] == "PRUNED").any()
    assert done.stderr == ""


def waiting(*trials: tuple[float, float, int]) -> tuple[FairASHA, SearchRecord]:
    """Return a search in which trials wait at the first rung.

    Args:
        trials: Of each the bits, the seconds of an epoch, and the epochs of a whole training.
    """
    search = SearchRecord()
    for number, (bits, seconds, epochs) in enumerate(trials):
        report = epoch_record(
            number, 1, bits=bits, elapsed_seconds=seconds, search_seconds=float(number)
        )
        search.records[number] = TrialRecord(
            number=number,
            config=TrialConfig(epochs=epochs, decay_fraction=0.0),
            status=Status.PRUNED,
            epochs=[report],
        )
    budget = Budget(trials=9, grace_period_epochs=1, reduction_factor=3)
    scheduler = FairASHA(budget, max_reports=27)
    scheduler.replay(search.records.values())
    return scheduler, search


@pytest.mark.parametrize(
    ("seconds_left", "goes_on"),
    [(None, 0), (90.0, 0), (89.0, 1), (18.0, 1), (17.0, None), (0.0, None)],
)
def test_trial_whose_training_is_longer_than_the_time_left_is_not_promoted(
    seconds_left: float | None, goes_on: int | None
) -> None:
    """Two of six are due: 9 epochs of 10 s are left of the best, 9 of 2 s of the second."""
    others = [(2.5, 0.1, 10)] * 4
    scheduler, search = waiting((2.0, 10.0, 10), (2.1, 2.0, 10), *others)
    assert promoted(scheduler, search, is_last=False, seconds_left=seconds_left) == goes_on


def test_trial_that_a_user_lets_finish_goes_on_however_long_it_takes() -> None:
    scheduler, search = waiting((2.0, 10.0, 10), (2.5, 10.0, 10))
    scheduler.let_finish(1)
    assert promoted(scheduler, search, is_last=False, seconds_left=5.0) == 1
    assert promoted(scheduler, search, is_last=True, seconds_left=5.0) is None
    assert promoted(scheduler, search, is_last=True, seconds_left=90.0) == 0
