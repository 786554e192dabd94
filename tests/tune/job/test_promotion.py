"""Trials that wait at a rung go on from their checkpoints in the same search."""

import json
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from tiny_search import run_command, trials_of, write_inputs

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
