"""The fronts of bits against costs, and the best network below a size."""

import dataclasses
from collections.abc import Sequence

import pandas as pd
import pytest

from hand_made_run import FINALISTS, SPACE, curve, finalist, loaded_run
from model.errors import ConfigError
from model.system.energy import Energy
from repository import ROOT
from tune import report
from tune.records.load import LoadedRun, load_run
from tune.records.trial import Status, TrialRecord
from tune.reporting.trade_off import best_below, front, trade_off, trial_costs, worked_seconds

PUBLISHED = ROOT / "results" / "reference"


def run_of(*trials: tuple[float, int, int], speeds: Sequence[float | None] = ()) -> LoadedRun:
    """Return a run of trials of these bits, parameters and epochs, of two seconds each.

    Speeds are milliseconds a character, of no trial where none are given.
    """
    records = [
        TrialRecord(
            number=number,
            config=dataclasses.replace(SPACE.base, hidden_size=64 + number),
            status=Status.COMPLETE,
            num_parameters=parameters,
            milliseconds_per_char=dict(enumerate(speeds)).get(number),
            epochs=curve(number, [bits] * epochs),
        )
        for number, (bits, parameters, epochs) in enumerate(trials)
    ]
    return loaded_run(records, [finalist(0, seed, bits) for seed, bits in ((0, 1.9), (1, 2.0))])


TRIALS = (
    (1.8, 900, 9),  # the best
    (1.9, 500, 9),  # smaller, no faster
    (1.9, 500, 9),  # no better than the one before
    (2.0, 700, 3),  # larger than a better one, but faster
    (2.9, 10, 1),  # no better than the n-gram
)
FIVE = run_of(*TRIALS)


def test_trial_is_on_a_front_if_none_of_its_cost_or_less_beats_it() -> None:
    costs = trial_costs(FIVE)
    assert list(costs["number"]) == [0, 1, 2, 3]
    assert list(front(costs, "num_parameters")["number"]) == [0, 1]
    assert list(front(costs, "elapsed_seconds")["number"]) == [0, 3]
    assert front(costs, "milliseconds_per_char").empty


def test_equal_bits_are_won_by_the_cheaper() -> None:
    costs = trial_costs(run_of((1.8, 900, 2), (1.8, 500, 2)))
    assert list(front(costs, "num_parameters")["number"]) == [1]


@pytest.mark.parametrize("name", ["full", "extended", "extended-python-docs"])
@pytest.mark.parametrize("cost", ["num_parameters", "elapsed_seconds"])
def test_front_of_a_published_run_is_that_of_all_pairs(name: str, cost: str) -> None:
    costs = trial_costs(load_run(PUBLISHED / name))
    pairs = list(zip(costs["number"], costs["val_bits_per_char"], costs[cost], strict=True))
    unbeaten = [
        number
        for number, bits, spent in pairs
        if not any((b < bits and s <= spent) or (b <= bits and s < spent) for _, b, s in pairs)
    ]
    assert list(front(costs, cost)["number"]) == unbeaten and len(unbeaten) >= 2


def test_section_has_spread_speed_worker_hours_and_pictures() -> None:
    section = trade_off(run_of(*TRIALS, speeds=(0.5, 0.0254, None, 0.5)))
    sentence, table, note = section.body
    assert worked_seconds(FIVE) == (2.0 * 31, 2.0 * 2 * 2)
    assert isinstance(sentence, str) and "0.02 worker-hours" in sentence
    assert isinstance(table, pd.DataFrame) and isinstance(note, str)
    assert list(table["trial"]) == [0, 1, 3]
    assert list(table["retrained"]) == ["1.9500 ± 0.0707", "", ""]
    assert list(table["ms per character"]) == ["0.500", "0.025", "0.500"]
    assert list(table["front"]) == [
        "parameters, training seconds, ms per character",
        *("parameters, ms per character", "training seconds"),
    ]
    assert "Left out: 1 trial no better than" in note and "ms per character" in note
    assert section.draw is not None
    pictures = section.draw()
    assert [picture.name for picture in pictures] == [
        *("bits-against-num-parameters", "bits-against-elapsed-seconds"),
        "bits-against-milliseconds-per-char",
    ]
    assert pictures[2].data[0]["x"] == [0.0254, 0.5]
    line, again = pictures[0].data[0], pictures[0].data[-1]
    assert line["x"] == [500, 900] and line["y"] == [1.9, 1.8]
    assert again["error_y"]["array"] == [0.0707]


@pytest.mark.parametrize(
    ("energy", "said"),
    [
        (Energy(), ""),
        (Energy(seconds=90.0), ""),
        (Energy(seconds=90.0, cpu_joules=1.8e6), "used 0.500 kWh (CPUs 0.500), including other"),
        (Energy(seconds=90.0, gpu_joules=0.0), "used 0.000 kWh (GPUs 0.000), including other"),
        (
            Energy(seconds=90.0, cpu_joules=1.8e6, gpu_joules=3.6e6),
            "In 1m30s, the driver's machine used 1.500 kWh (CPUs 0.500, GPUs 1.000), including",
        ),
    ],
)
def test_energy_stands_beside_the_worker_hours_where_the_machine_tells(
    energy: Energy, said: str
) -> None:
    without, sentence = (
        str(trade_off(run).body[0]) for run in (FIVE, dataclasses.replace(FIVE, energy=energy))
    )
    assert sentence.startswith(without) and said in sentence
    assert sentence.endswith("including other programs.") is bool(said) is ("kWh" in sentence)


def test_where_no_network_beats_the_ngram_all_are_compared() -> None:
    assert len(trial_costs(run_of((2.5, 10, 1), (2.6, 5, 1)))) == 2


def test_best_below_a_size_says_what_it_gives_up() -> None:
    text = best_below(FIVE, 600)
    assert text.startswith("The best network of at most 600 parameters is trial 1: 1.9000 bits")
    assert "hidden_size 65" in text
    assert text.endswith("It scores 0.1000 bits more than trial 0, which has 900 parameters.")
    whole = best_below(FIVE, 900)
    assert "(retrained: 1.9500 ± 0.0707)" in whole
    assert whole.endswith("It is also the best of any size.")
    with pytest.raises(
        ConfigError, match="size of the smallest trial that beats the n-gram, 500, got 499"
    ):
        best_below(FIVE, 499)
    # One of 4 is no better than the n-gram.
    beaten = run_of((1.8, 500, 1), (2.5, 4, 1))
    with pytest.raises(ConfigError, match="smallest trial that beats the n-gram, 500, "):
        best_below(beaten, 5)
    with pytest.raises(ConfigError, match="smallest trial, 5, got 4"):
        best_below(run_of((2.5, 10, 1), (2.6, 5, 1)), 4)
    with pytest.raises(ConfigError, match="got 5"):  # parameters are not known
        best_below(loaded_run([TrialRecord(number=0, config=SPACE.base)], FINALISTS[:0]), 5)


def test_command_names_it_and_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    folder = PUBLISHED / "full"
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert report.main([str(folder), "--max-parameters", "1e6"]) == 0
    assert "at most 1,000,000 parameters is trial 17: 1.9744" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    for flags in ([str(folder), str(folder)], [str(folder)]):
        most = "1e6" if len(flags) > 1 else "-1"
        assert report.main([*flags, "--max-parameters", most]) == 2
        assert "--max-parameters takes one run" in capsys.readouterr().err
