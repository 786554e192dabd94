"""Given configurations are compared as finalists of a search: `--configs a.json b.json`."""

import dataclasses
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

import documents
import own_cell
from model.errors import ConfigError, CorpusError
from model.network import own_cells
from model.training import speed
from model.training.cost import WORK_KINDS
from repository import ROOT
from tune import run
from tune.job.prepare import SEEDS_OF_GIVEN, prepare
from tune.job.resume import prepared_study
from tune.job.study_json import study_file
from tune.planning.finalist_budget import choose, left_to_train, reserved_seconds
from tune.planning.study import Study, StudyOptions
from tune.planning.training_time import longest_seconds
from tune.records.load import load_run
from tune.records.run_folder import RunFolder
from tune.records.trial import EpochRecord, Status, TrialRecord, trial_id
from tune.reporting.headline import facts, headline

QUIET = Console(quiet=True)
SMALL = {"batch_size": 4, "sequence_length": 16, "embedding_dim": 8}


@pytest.fixture
def files(tiny_text: str) -> tuple[str, str]:
    """Two configurations and a book."""
    Path("book.txt").write_text(tiny_text, encoding="utf-8")
    for name, fields in (
        ("large", {"epochs": 3, "hidden_size": 24}),
        ("small", {"epochs": 2, "hidden_size": 4}),
    ):
        Path(f"{name}.json").write_text(json.dumps(SMALL | fields), encoding="utf-8")
    return "large.json", "small.json"


def study_of(files: tuple[str, str], **options: Any) -> Study:
    return prepare(StudyOptions(configs=files, corpus="book.txt", **options), QUIET)


def trained(study: Study) -> list[TrialRecord]:
    """Return the study's configurations, trained to their ends in 30 and 20 s."""
    records = []
    for number, each in enumerate(study.space.baselines):
        config = study.space.config(each.params)
        epochs = [
            EpochRecord(
                trial_id=trial_id(number),
                number=number,
                epoch=epoch,
                train_nats_per_char=1.0,
                val_nats_per_char=1.0,
                val_own_bits_per_char=2.0 + number,
                val_bits_per_char=2.0 + number,
                elapsed_seconds=10.0 * epoch,
                search_seconds=10.0 * epoch,
            )
            for epoch in range(1, int(config.epochs) + 1)
        ]
        records.append(
            TrialRecord(
                number=number,
                config=config,
                baseline=each.name,
                status=Status.COMPLETE,
                num_parameters=1_000,
                epochs=epochs,
            )
        )
    return records


def test_every_configuration_is_a_finalist_with_all_seeds(files: tuple[str, str]) -> None:
    study = study_of(files)
    assert study.wants_finalists and study.settings.finalist_seeds == SEEDS_OF_GIVEN
    chosen = choose(trained(study), study.settings.finalists)
    assert [each.baseline for each in chosen] == ["large", "small"]
    assert len(left_to_train(study, chosen, {})) == 2 * SEEDS_OF_GIVEN
    assert study_of(files, finalist_seeds=2).settings.finalist_seeds == 2
    assert not study_of(files, finalists=0).wants_finalists


def test_time_budget_shortens_none_and_leaves_seeds_what_the_trainings_do(
    files: tuple[str, str],
) -> None:
    study = study_of(files, time_budget="1m")
    assert longest_seconds(study, 1) == float("inf")
    # Otherwise the second would be cut off, for other seeds of the first.
    assert reserved_seconds(study, trained(study), 1) == 0.0


@pytest.mark.slow
def test_documented_experiments_are_finalists_only_if_asked_for(tiny_text: str) -> None:
    Path("book.txt").write_text(tiny_text * 20, encoding="utf-8")
    options = StudyOptions(space="documented", corpus="book.txt")
    assert not prepare(options, QUIET).wants_finalists
    assert prepare(dataclasses.replace(options, finalists=3), QUIET).wants_finalists


@pytest.mark.slow
def test_plan_names_the_configurations(
    files: tuple[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "_PROBES", speed._PROBES[: len(WORK_KINDS)])
    flags = ["--configs", *files, "--corpus", "book.txt", "--fix", "epochs=4", "--dry-run"]
    for budget in ([], ["--time-budget", "10m"]):
        assert run.main([*flags, *budget]) == 0
        plan = capsys.readouterr().out
        assert "space: configs: 2 given configurations, nothing else" in plan
        assert "baseline           large: hidden_size=24\n" in plan
        assert "baseline           small: hidden_size=4\n" in plan
        assert "ASHA stops no trial: all are baselines" in plan
        assert "finalists: all, retrained with 5 seeds each\n" in plan
        assert "longer ones get fewer epochs" not in plan
        assert " for 2 trials, " in plan and "finalists" in plan.partition("time: about")[2]
    assert not Path("results").exists()


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"space": "full"}, "must be without --space"),
        ({"trials": 3}, "must be without --space, --trials"),
        ({"start_from": ("one",)}, "and --start-from"),
        ({"cell": ("gru",)}, "--cell must be a configuration's, got gru"),
        ({"fix": ("epochs=3", "hidden_size=4")}, "but small is large again"),
    ],
)
def test_options_that_contradict_are_refused(
    files: tuple[str, str], options: dict[str, Any], rule: str
) -> None:
    with pytest.raises(ConfigError, match=rule):
        study_of(files, **options)


def test_configuration_for_which_the_text_is_too_short_is_refused(files: tuple[str, str]) -> None:
    Path("small.json").write_text('{"batch_size": 100000}', encoding="utf-8")
    with pytest.raises(CorpusError, match="batch_size 100000"):
        study_of(files)


def test_own_cell_of_a_configuration_is_named_too(
    files: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_cells, "_KNOWN", {})
    own = json.dumps({**SMALL, "epochs": 1, "cell": own_cell.NAME})
    Path("small.json").write_text(own, encoding="utf-8")
    with pytest.raises(ConfigError, match="--cell"):
        study_of(files)
    study = study_of(files, cell=(own_cell.write(),))
    assert study.space.values("cell") == ["lstm", own_cell.NAME]
    assert study_file(study, None, None).resume.endswith(f" --cell {own_cell.NAME}")


def test_repeated_command_resumes_the_same_configurations(files: tuple[str, str]) -> None:
    study = study_of(files, name="two")
    RunFolder.create(study.run_path, study_file(study, None, None))
    again = StudyOptions(configs=files, corpus="book.txt", name="two", or_resume=True)
    resumed = prepared_study(again, QUIET)
    assert (resumed.space, resumed.settings) == (study.space, study.settings)
    with pytest.raises(ConfigError, match=r"must be the one in its study\.json, but 'configs'"):
        prepared_study(dataclasses.replace(again, fix=("epochs=9",)), QUIET)
    with pytest.raises(ConfigError, match=r"must be the one in its study\.json, but 'quick'"):
        prepared_study(dataclasses.replace(again, configs=(), space="quick"), QUIET)


@pytest.mark.slow
def test_command_of_the_page_compares_and_a_resume_changes_nothing(
    files: tuple[str, str],
) -> None:
    Path("results/mine").mkdir(parents=True)
    Path(files[0]).rename("results/mine/best.json")
    Path(files[1]).rename("mine.json")
    (line,) = [
        each for each in documents.commands(ROOT / "docs" / "search.md") if "--configs" in each
    ]
    documents.run([line])  # with two seeds
    compared = Path("results/compared")
    finalists = pd.read_csv(compared / "finalists.csv")
    assert finalists.groupby("baseline")["finalist_seed"].nunique().to_dict() == {
        "best": 2,
        "mine": 2,
    }
    assert finalists["test_bits_per_char"].notna().all()
    assert (finalists["status"] == "COMPLETE").all()
    trials = load_run(compared).trials
    assert (trials["epochs_run"] == trials["epochs"]).all()
    report = (compared / "report.md").read_text(encoding="utf-8")
    section = report.partition("## Is the winner confirmed?")[2].partition("\n## ")[0]
    for name, scores in finalists.groupby("baseline")["val_bits_per_char"]:
        assert f"| {name} | 2 | " in section
        assert f" | {scores.mean():.4f} | {scores.std():.4f} | " in section
    assert "(best) has the best mean" in section
    assert "- trial 1 (mine): " in section and " would be noise): more than noise." in section
    assert "It is a baseline, best; no other trial is better." in report
    assert (compared / "report.html").is_file() and (compared / "best.json").is_file()
    loaded = load_run(compared)
    assert headline(loaded).endswith("It is a baseline, best; no other trial is better.")
    label, kind, text = facts(loaded)[-1]
    assert (label, kind) == ("Confidence", "best's lead exceeds noise")
    assert text.startswith("the lead over mine is ")

    before = {path: path.read_bytes() for path in compared.glob("*.*") if path.is_file()}
    words = [sys.executable, "-m", "tune.run", "--resume", "compared"]
    assert subprocess.run(words, capture_output=True, text=True).returncode == 0
    assert {path: path.read_bytes() for path in compared.glob("*.*") if path.is_file()} == before
    again = [sys.executable, *shlex.split(line)[1:], "--or-resume", "--fix", "epochs=9"]
    done = subprocess.run(again, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
