"""A search that begins with the best configurations of earlier ones."""

import dataclasses
import io
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from rich.console import Console

from hand_made_run import FINALISTS, SPACE, STUDY, curve, hand_made
from model.config import TrialConfig
from model.errors import ConfigError
from search_spaces import SearchSpace, load_space
from search_spaces.long_text import for_text
from tiny_search import write_inputs
from tune import run
from tune.job.options import parse_options
from tune.job.prepare import prepare
from tune.job.resume import or_resumed, prepare_resumed
from tune.job.start_from import STARTS_PER_RUN, with_starts
from tune.job.study_json import study_file
from tune.planning.study import StudyOptions
from tune.records.finalist_table import FINALIST_TABLE
from tune.records.run_folder import RunFolder
from tune.records.trial import Status, TrialRecord

pytestmark = pytest.mark.usefixtures("measured_machine")

RESULTS = Path("results")


def write_run(name: str, records: list[TrialRecord], space: SearchSpace = SPACE) -> str:
    folder = RunFolder.create(Path("results").resolve() / name)
    folder.write_study(dataclasses.replace(STUDY, space=space))
    folder.write_tables(records)
    return name


def trial(
    number: int, bits: float, status: Status = Status.COMPLETE, **fields: Any
) -> TrialRecord:
    config = dataclasses.replace(SPACE.base, **fields)
    return TrialRecord(number=number, config=config, status=status, epochs=curve(number, [bits]))


def of(run: str, space: SearchSpace = SPACE) -> list[dict[str, Any]]:
    return [dict(start) for start in with_starts(space, [run], RESULTS).starts]


def sizes(run: str, space: SearchSpace = SPACE) -> list[int]:
    return [start["hidden_size"] for start in of(run, space)]


def test_the_best_quarter_gives_its_best_that_are_unlike() -> None:
    # Two that are nearly the best of all, one that ASHA stopped, one that is worse by far.
    good = [
        trial(0, 1.91, hidden_size=128),
        trial(1, 1.90, hidden_size=129),
        trial(2, 1.89, Status.PRUNED, hidden_size=512, num_layers=3),
        trial(3, 1.95, Status.STOPPED, hidden_size=400, cleaning="cased"),
    ]
    rest = [trial(number, 3.0, hidden_size=64, dropout=0.0) for number in range(4, 16)]
    assert sizes(write_run("some", [*good, *rest])) == [129, 400]
    assert sizes(write_run("few", good[:2])) == [129]


def test_a_run_gives_so_many_at_most() -> None:
    records = [
        trial(number, 2.0 + number / 100, cleaning=cleaning, num_layers=layers, batch_size=batch)
        for number, (cleaning, layers, batch) in enumerate(
            (cleaning, layers, batch)
            for batch in (8, 128)
            for layers in (1, 3)
            for cleaning in ("cased", "lower", "letters")
        )
    ]
    records += [trial(number, 4.0) for number in range(12, 48)]
    starts = of(write_run("many", records))
    assert len(starts) == STARTS_PER_RUN
    assert [start["cleaning"] for start in starts] == ["cased", "lower", "letters", "cased"]


@pytest.mark.slow
def test_what_lies_outside_the_new_space_is_left_out() -> None:
    name = write_run("some", [trial(0, 1.9, hidden_size=400), trial(1, 2.0, hidden_size=200)])
    narrow = {**SPACE.distributions, "hidden_size": IntDistribution(64, 256)}
    space = dataclasses.replace(
        SPACE, base=dataclasses.replace(SPACE.base, hidden_size=64), distributions=narrow
    )
    assert sizes(name, space) == [200]
    with pytest.raises(
        ConfigError, match="a trained configuration inside 'full', got 'untrained'"
    ):
        of(write_run("untrained", hand_made()[5:]))
    assert of(write_run("base", [trial(0, 1.9)])) == []  # the new search begins with it as it is


@pytest.mark.slow
def test_epochs_of_a_text_of_another_length_are_those_as_far_up_the_axis() -> None:
    full = dataclasses.replace(load_space("full"), baselines=())
    long = for_text(full, 16_000_000, on_gpu=False)
    axis = long.distributions["epochs"]
    assert isinstance(axis, FloatDistribution)
    trained = [
        dataclasses.replace(trial(n, 1.9), config=long.config({"epochs": epochs}))
        for n, epochs in enumerate((axis.low, axis.high))
    ]
    write_run("long", trained, long)
    assert [start["epochs"] for start in of("long", full)] == [8]
    inside = dataclasses.replace(trial(0, 1.9), config=long.config({"epochs": axis.high}))
    write_run("inside", [inside], long)
    write_run("book", [trial(0, 1.9, epochs=64)], full)
    assert [start["epochs"] for start in of("inside", full)] == [64]
    assert [start["epochs"] for start in of("book", long)] == [axis.high]
    # A text of the same length: as they are.
    assert [start["epochs"] for start in of("long", long)] == [axis.low]


def test_trial_that_a_time_budget_gave_fewer_epochs_than_the_axis_has_is_a_start() -> None:
    axes = {**SPACE.distributions, "epochs": IntDistribution(8, 64, step=4)}
    space = dataclasses.replace(
        SPACE, base=dataclasses.replace(SPACE.base, epochs=8), distributions=axes, baselines=()
    )
    records = [
        trial(0, 1.9, epochs=3, hidden_size=100),
        trial(1, 2.0, epochs=9, cleaning="cased"),  # between two steps
        *(trial(number, 3.0, epochs=8) for number in range(2, 8)),
    ]
    name = write_run("short", records, space)
    starts = of(name, space)
    assert [(each["epochs"], each["cleaning"]) for each in starts] == [(8, "lower"), (8, "cased")]
    # Of a space whose axis begins above it lies outside, as any other.
    high = {**axes, "epochs": IntDistribution(12, 64)}
    other = dataclasses.replace(
        space, base=dataclasses.replace(space.base, epochs=12), distributions=high
    )
    with pytest.raises(ConfigError, match="which has none"):
        of(name, other)


@pytest.mark.parametrize("status", [Status.PRUNED, Status.DIVERGED, Status.FAILED])
def test_trial_that_did_not_end_well_is_no_start(status: Status) -> None:
    records = [
        trial(0, 1.8, status, hidden_size=64),
        trial(1, 1.9, hidden_size=100),
        *(trial(number, 2.0 + number, dropout=0.1) for number in range(2, 8)),
    ]
    assert sizes(write_run("some", records)) == [100]


def test_second_run_gives_what_the_first_one_did_not() -> None:
    write_run("one", [trial(0, 1.9, hidden_size=100)])
    same = [trial(0, 1.8, hidden_size=100), trial(1, 1.9, hidden_size=64)]
    write_run("two", [*same, *(trial(number, 3.0) for number in range(2, 8))])
    starts = with_starts(SPACE, ["one", "two"], RESULTS).starts
    assert [start["hidden_size"] for start in starts] == [100, 64]


@pytest.mark.slow
def test_axes_of_another_space_are_taken_with_their_conditions() -> None:
    extended = dataclasses.replace(load_space("extended"), starts=())
    word = dataclasses.replace(extended.base, unit="word", min_word_count=3, hidden_size=200)
    char = dataclasses.replace(extended.base, hidden_size=300, cleaning="cased")
    records = [
        TrialRecord(
            number=number, config=config, status=Status.COMPLETE, epochs=curve(number, [bits])
        )
        for number, (config, bits) in enumerate(((word, 1.8), (char, 1.9)))
    ]
    records += [trial(number, 3.0) for number in range(2, 8)]
    name = write_run("words", records, extended)
    one, other = of(name, extended)
    assert one["min_word_count"] == 3 and "min_word_count" not in other
    assert set(one) == set(extended.distributions)
    assert set(of(name)[0]) == set(SPACE.distributions)


def test_starts_are_tried_after_the_base_each_once() -> None:
    base = TrialConfig(epochs=2, hidden_size=8)
    first = {"epochs": 3, "hidden_size": 8}
    space = dataclasses.replace(
        SPACE,
        base=base,
        distributions={"epochs": IntDistribution(1, 9), "hidden_size": IntDistribution(4, 8)},
        baselines=(dataclasses.replace(SPACE.baselines[0], params=first),),
        starts=({"epochs": 5}, {"epochs": 2}, {"epochs": 3}, {"epochs": 5, "hidden_size": 8}),
    )
    assert space.all_starts() == [
        {"epochs": 2, "hidden_size": 8},
        {"epochs": 5, "hidden_size": 8},
    ]
    assert SearchSpace.from_dict(space.to_json()) == space


def test_an_older_study_has_no_starts() -> None:
    values = SPACE.to_json()
    del values["starts"]
    assert SearchSpace.from_dict(values) == SPACE


@pytest.mark.slow
def test_plan_shows_them_and_a_resumed_run_keeps_them(
    tiny_text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = write_inputs(tiny_text)
    records = [trial(0, 2.0, epochs=5, hidden_size=30), trial(1, 2.1, epochs=5, hidden_size=4)]
    flags += ["--start-from", write_run("earlier", records), "--name", "new"]
    assert run.main([*flags, "--dry-run"]) == 0
    assert "start              epochs=5 hidden_size=30 cleaning=lower" in capsys.readouterr().out

    console = Console(file=io.StringIO())
    study = prepare(parse_options(flags), console)
    assert study.space.starts == ({"epochs": 5, "hidden_size": 30, "cleaning": "lower"},)
    folder = RunFolder.create(Path("results").resolve() / "new")
    folder.write_study(study_file(study, None, None))
    options = StudyOptions(resume="new", space="tiny.py")
    assert prepare_resumed(options, console).space.starts == study.space.starts
    with pytest.raises(ConfigError, match="start_from is only for a new search"):
        prepare_resumed(dataclasses.replace(options, start_from=("earlier",)), console)
    # A job that is queued again has the same command line.
    again = or_resumed(dataclasses.replace(parse_options(flags), or_resume=True))
    assert prepare_resumed(again, console).space.starts == study.space.starts


def test_runs_that_cannot_be_read_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    write_run("earlier", hand_made())
    FINALIST_TABLE.write(FINALISTS, RunFolder(Path("results/earlier").resolve()).finalists_file)
    flags = ["--space", "quick", "--corpus", "python-docs", "--dry-run", "--start-from"]
    assert run.main([*flags, "earler"]) == 2
    error = capsys.readouterr().err
    assert (
        error.count("\n") == 1
        and "unknown run in results 'earler'; did you mean earlier?" in error
    )
