"""Several runs in one table; those that were not judged alike are refused."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from hand_made_run import CACHE_ROW, FINALISTS, PREDICTOR_ROWS, STUDY, hand_made
from tune import report
from tune.records.finalist_table import FINALIST_TABLE
from tune.records.predictor_table import PREDICTOR_TABLE
from tune.records.run_folder import RunFolder
from tune.records.study_file import STILL_RUNNING, ObjectiveFacts, StudySettings


def make(
    name: str,
    *,
    finalists: bool = False,
    has_cache: bool = False,
    trials: int = 7,
    **study: Any,
) -> str:
    folder = RunFolder.create(Path(name).resolve())
    folder.write_study(dataclasses.replace(STUDY, **study))
    folder.write_tables(hand_made()[:trials])
    if finalists:
        FINALIST_TABLE.write(FINALISTS, folder.finalists_file)
        rows = [*PREDICTOR_ROWS, *[CACHE_ROW] * has_cache]
        PREDICTOR_TABLE.write(map(dataclasses.asdict, rows), folder.predictor_file)
    return name


def with_floor_of_lower(bits: float) -> ObjectiveFacts:
    floors = STUDY.objective.floors
    lower = dataclasses.replace(floors["lower"], validation_bits_per_char=bits)
    return dataclasses.replace(STUDY.objective, floors={**floors, "lower": lower})


def test_runs_stand_in_one_table_the_best_first(capsys: pytest.CaptureFixture[str]) -> None:
    make(
        "baselines",
        trials=3,
        settings=StudySettings(seed=4, sampler="random"),
        ended=STILL_RUNNING,
        search_seconds=0.0,
    )
    make("whole", finalists=True)
    make("nothing", trials=0)
    make("with-cache", finalists=True, has_cache=True)
    assert (
        report.main(["baselines", "nothing", f"file://{Path('whole').resolve()}", "with-cache"])
        == 0
    )
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    by_time = "10m5s | ended by its time budget"
    assert rows[2:] == [
        "| whole | full | tpe | 0 | book.txt | 7 | 1.9600 | 1.9800 ± 0.0100 | 2.0800 ± 0.0100 "
        f"| 1.8500 |  | {by_time} |",
        "| with-cache | full | tpe | 0 | book.txt | 7 | 1.9600 | 1.9800 ± 0.0100 "
        f"| 2.0800 ± 0.0100 | 1.8500 | 1.9700 | {by_time} |",
        "| baselines | full | random | 4 | book.txt | 3 | 2.1000 |  |  |  |  | 1m4s "
        "| still running |",
        f"| nothing | full | tpe | 0 | book.txt | 0 |  |  |  |  |  | {by_time} |",
    ]
    assert not Path("whole/report.md").exists()  # it only looks


def test_runs_stand_by_what_was_retrained_where_all_have_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The best of more trials is the more optimistic."""
    for name, shift in (("lucky", 0.0), ("sound", -0.05)):
        make(name, finalists=True, trials=7 if name == "lucky" else 6)
        rows = [
            {**row, "val_bits_per_char": row["val_bits_per_char"] + shift} for row in FINALISTS
        ]
        FINALIST_TABLE.write(rows, RunFolder(Path(name).resolve()).finalists_file)
    worse = [
        dataclasses.replace(
            record,
            epochs=[
                dataclasses.replace(epoch, val_bits_per_char=epoch.val_bits_per_char + 0.1)
                for epoch in record.epochs
            ],
        )
        for record in hand_made()
    ]
    RunFolder(Path("sound").resolve()).write_tables(worse)
    assert report.main(["lucky", "sound"]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [row.split()[1] for row in rows[2:]] == ["sound", "lucky"]


def with_finalists(name: str, shift: float, *, num_seeds: int = 3) -> str:
    """Make a run whose finalists differ by some bits from FINALISTS."""
    make(name, finalists=True)
    rows = [
        {**row, "val_bits_per_char": row["val_bits_per_char"] + shift}
        for row in FINALISTS
        if row["finalist_seed"] < num_seeds
    ]
    FINALIST_TABLE.write(rows, RunFolder(Path(name).resolve()).finalists_file)
    return name


@pytest.mark.slow
def test_lead_of_a_run_is_said_to_be_noise_or_more(capsys: pytest.CaptureFixture[str]) -> None:
    names = [with_finalists(name, shift) for name, shift in (("far", 0.2), ("near", 0.01))]
    assert report.main([make("nothing", trials=0), *names, with_finalists("_first_", 0.0)]) == 0
    *_, text = capsys.readouterr().out.strip().split("\n\n")
    method, near, far = text.split("\n")
    # Deviations 0.01, 0.01 and 0.005 of three seeds each, in each run.
    assert "the best of 9 equally good configurations" in method
    assert "(0.0087, from 27 trainings of 9 configurations)" in method
    assert method.endswith("The lowest `retrained` is that of \\_first\\_.")
    # The studentized range of 9 means with 18 degrees of freedom: 4.96 in any table; of these two
    # the deviation is the larger one.
    assert (
        near == "- near: 0.0100 bits more (up to 0.0286 would be noise): within noise. On the "
        "test passage, 0.0000 more."
    )
    assert far.startswith(
        "- far: 0.2000 bits more (up to 0.0286 would be noise): more than noise."
    )


def test_training_that_two_runs_share_counts_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert report.main([make("one", finalists=True), make("two", finalists=True)]) == 0
    text = capsys.readouterr().out
    assert "from 9 trainings of 3 configurations" in text
    assert "- two: 0.0000 bits more" in text and ": within noise." in text


@pytest.mark.slow
def test_nothing_is_said_of_noise_where_it_is_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    make("whole", finalists=True)
    make("other")
    alike = [with_finalists("one", 0.0, num_seeds=1), with_finalists("two", 0.1, num_seeds=1)]
    for names in (["whole", "other"], alike):
        assert report.main(names) == 0
        assert "noise" not in capsys.readouterr().out


@pytest.mark.slow
def test_runs_that_were_not_judged_alike_are_refused_with_the_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    make("one")
    make("text", corpus=dataclasses.replace(STUDY.corpus, sha256="11" * 32))
    parts = {"num_train_chars": 100_000, "num_validation_chars": 20_000}
    make("parts", corpus=dataclasses.replace(STUDY.corpus, **parts))
    make("version", objective=dataclasses.replace(STUDY.objective, version=1))
    make("order", objective=dataclasses.replace(STUDY.objective, floor_order=6))
    make("floor", objective=with_floor_of_lower(2.2223))
    for other, reason in (
        ("text", "the same corpus (sha256), but one has 70f0 and text has 111111111111"),
        ("parts", "but one has the default and parts has 100,000 and 20,000 characters"),
        ("version", "the same objective's version, but one has 2 and version has 1"),
        ("order", "the same objective's floor_order, but one has 5 and order has 6"),
        ("floor", "the same floor of lower, but one has 2.2213 and floor has 2.2223"),
        ("nowhere", "a run must be a folder with study.json"),
        ("one", "runs that are compared must differ, got one again"),
    ):
        assert report.main(["one", other]) == 2
        error = capsys.readouterr().err
        assert reason in error and error.count("\n") == 1


def test_floors_of_two_machines_may_differ_in_the_last_digit() -> None:
    objective = with_floor_of_lower(2.2213 * (1 + 1e-14))
    assert report.main([make("one"), make("two", objective=objective)]) == 0
