"""A search that found nothing exits with 1 and says why and what to do."""

import dataclasses
import io
from pathlib import Path

import pytest
from rich.console import Console

from hand_made_run import hand_made
from tiny_search import run_command, trials_of, write_inputs
from tune.job import finish
from tune.job.outcome import why_nothing
from tune.job.prepare import prepare
from tune.job.search import SearchResult
from tune.job.study_json import study_file
from tune.planning.study import Study, StudyOptions
from tune.records.run_folder import RunFolder
from tune.records.trial import Status, TrialRecord


def study_of(text: str) -> Study:
    _, space, _, corpus = write_inputs(text)
    options = StudyOptions(space=space, corpus=corpus, name="done", time_budget="10s")
    return prepare(options, Console(file=io.StringIO()))


def result_of(records: list[TrialRecord], *, timed_out: bool = False) -> SearchResult:
    return SearchResult(records=records, seconds=9.0, interrupted=False, timed_out=timed_out)


def without_epochs(*statuses: Status) -> list[TrialRecord]:
    return [
        dataclasses.replace(
            hand_made()[3],
            number=number,
            epochs=[],
            status=status,
            error="ValueError: a defect" if status == Status.FAILED else "",
        )
        for number, status in enumerate(statuses)
    ]


@pytest.mark.parametrize(
    ("statuses", "timed_out", "reason", "in_report"),
    [
        (
            [Status.STOPPED] * 2,
            True,
            "no trial trained an epoch: the time budget of 10s ended before the first epoch; "
            "use a larger --time-budget, a shorter text",
            "No trial trained an epoch: the time budget of 10s ended before the first epoch; u",
        ),
        (
            [],
            True,
            "no trial trained an epoch: the time budget of 10s",
            "No trial trained an epoch: the time budget of 10s",
        ),
        (
            [Status.FAILED, Status.STOPPED],
            True,
            "1 FAILED of 1 trial; last error: ValueError: a defect",
            "No trial trained an epoch: 1 FAILED of 1 trial; last error: ValueError",
        ),
    ],
)
def test_nothing_measured_is_no_success(
    statuses: list[Status],
    timed_out: bool,
    reason: str,
    in_report: str,
    tiny_text: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    study = study_of(tiny_text)
    folder = RunFolder.create(study.run_path, study_file(study, None, None))
    result = result_of(without_epochs(*statuses), timed_out=timed_out)
    console = Console(file=io.StringIO(), quiet=True)
    assert finish.finish(study, folder, result, None, console) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("tune.run: no trial trained an epoch: ") and reason in line
    report = Path("results/done/report.md").read_text(encoding="utf-8")
    assert in_report in report
    assert (Status.FAILED in statuses) == ("## Errors" in report)
    assert finish.show_finished(study, folder, result, console) == 1


def test_worthless_search_is_no_success_and_one_trial_of_use_makes_one(tiny_text: str) -> None:
    study = study_of(tiny_text)
    good = hand_made()[:4]
    assert why_nothing(study, result_of(good)) == ""
    worthless = []
    for record in good:
        epochs = [dataclasses.replace(each, val_bits_per_char=3.5e29) for each in record.epochs]
        changed = dataclasses.replace(record, epochs=[])
        for epoch in epochs:
            changed.add_epoch(epoch)
        worthless.append(changed)
    reason = why_nothing(study, result_of(worthless))
    assert reason.startswith(
        "no trial was better than a uniform guess: the best scores 3.5e+29 bits per character"
    )
    assert "lower learning rates" in reason
    assert why_nothing(study, result_of([*worthless, good[0]])) == ""


@pytest.mark.slow
def test_search_at_a_learning_rate_of_1e30_ends_early(tiny_text: str) -> None:
    flags = write_inputs(
        tiny_text,
        epochs=(1, 2),
        trials=40,
        axes='"learning_rate": FloatDistribution(1e29, 1e30),',
    )
    space = Path("tiny.py")
    text = space.read_text(encoding="utf-8").replace(
        '"learning_rate": 0.003', '"learning_rate": 1e30'
    )
    space.write_text(text, encoding="utf-8")
    done = run_command([*flags, "--name", "hot", "--max-concurrent", "2"])
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "the first 10 trials that ended were of no use" in line
    assert "trial 0 (experiment 0) is of no use: " in done.stdout
    assert len(trials_of("hot")) < 20 and "retraining finalists" not in done.stdout
    report, page = (Path("results/hot", f"report.{kind}").read_text() for kind in ("md", "html"))
    assert "ended early: " in report
    assert "**Warning**: no trial was better than a uniform guess" in report
    assert "The search found nothing: no trial was better than a uniform guess" in page
