import os
from pathlib import Path
from typing import Any

import pytest

from hand_made_run import STUDY
from model.config import TrialConfig
from model.errors import ConfigError
from tune.job.live_run import Run
from tune.job.options import parse_options
from tune.monitoring.tracker import load_tracker
from tune.records.load import load_run
from tune.records.run_folder import (
    RunFolder,
    check_name,
    check_new,
    default_name,
    find_run,
    location_of,
)
from tune.records.trial import EpochRecord, TrialRecord

FIGURES = [
    *("train_nats_per_char", "val_nats_per_char", "val_own_bits_per_char"),
    *("val_bits_per_char", "elapsed_seconds", "search_seconds"),
]


def test_existing_folder_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"must not exist yet.*another --name"):
        RunFolder.create(tmp_path / "run")
    assert (tmp_path / "run" / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_results_that_are_a_file_or_unwritable_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match="must be a folder, got the file"):
        check_new(tmp_path / "file" / "run")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(ConfigError, match="must be writable"):
        check_new(tmp_path / "run")


def test_results_may_be_in_a_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ten = RunFolder.create(tmp_path / "results" / "ten", STUDY).path
    RunFolder(ten).write_tables([])
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_run("ten", Path("~/results")).path == ten
    assert location_of("~/results/ten", Path("elsewhere")) == ten
    with pytest.raises(ConfigError, match="a path must be that of somebody here"):
        find_run("ten", Path("~nobody-here/results"))
    options = parse_options(["--space", "quick", "--results=~/results"])
    assert options.results == tmp_path / "results"
    assert Run("~/results/ten").location == ten


def test_links_that_lead_in_a_circle_are_no_run() -> None:
    Path("loop").symlink_to("loop")
    for opened in (
        lambda: find_run("loop", Path("results")),
        lambda: find_run("ten", Path("loop")),
        lambda: load_run("loop"),
        lambda: Run(Path("loop")),
    ):
        with pytest.raises(ConfigError, match=r"must be a folder with study\.json, got .*loop"):
            opened()
    with pytest.raises(ConfigError, match="a tracker's file must exist"):
        load_tracker("loop/mine.py:Mine")
    Path("dangling").symlink_to("nowhere")
    for results in ("loop", "dangling"):
        with pytest.raises(ConfigError, match=f"must be a folder, got the link .*{results}"):
            check_new(Path(results, "new", "ten"))


def test_only_our_folders_open(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"must be a folder with study\.json"):
        RunFolder.open(tmp_path)
    folder = RunFolder.create(tmp_path / "run")
    folder.write_study(STUDY)
    assert RunFolder.open(folder.path).read_study() == STUDY
    folder.study_file.write_text('{"format_version": 99}', encoding="utf-8")
    with pytest.raises(ConfigError, match="must be at most 1, got 99"):
        folder.read_study()
    folder.study_file.write_text('{"format_ver', encoding="utf-8")
    with pytest.raises(ConfigError, match="must be readable"):
        folder.read_study()


def test_a_run_is_found_by_name_or_folder_and_a_misspelt_one_is_suggested(tmp_path: Path) -> None:
    results = tmp_path / "results"
    with pytest.raises(ConfigError, match=r"must be a folder with study\.json.*; a name is look"):
        find_run("ten", results)
    ten = RunFolder.create(results / "ten", STUDY).path
    RunFolder.create(results / "first", STUDY)
    assert find_run("ten", results).path == find_run(str(ten), Path("elsewhere")).path == ten
    for wrong in ("tne", str(results / "tne")):
        with pytest.raises(ConfigError) as caught:
            find_run(wrong, results)
        assert str(caught.value) == (
            f"unknown run in {results} 'tne'; did you mean ten? choose from first, ten"
        )


def test_folder_appears_with_its_study_or_not_at_all(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", STUDY)
    assert folder.read_study() == STUDY
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_tables_are_read_as_of_one_moment(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    record = TrialRecord(number=0, config=TrialConfig())
    folder.write_tables([record])
    trials_text = folder.trials_file.read_bytes()
    record.add_epoch(
        EpochRecord(trial_id="trial_00000", number=0, epoch=1, **dict.fromkeys(FIGURES, 1.0))
    )
    folder.write_tables([record])
    assert [len(table) for table in folder.read_tables()] == [1, 1]
    folder.trials_file.write_bytes(trials_text)  # epochs.csv is written first
    assert [len(table) for table in folder.read_tables()] == [1, 0]


def test_folder_is_opened_while_its_driver_replaces_networks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder.create(tmp_path / "run", STUDY)
    folder.checkpoint(1).mkdir(parents=True)
    (folder.path / "checkpoints" / "link").symlink_to("/etc")
    scandir = os.scandir

    def gone(path: Path | str) -> Any:
        if Path(path).name == "01":
            raise FileNotFoundError(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", gone)
    with pytest.raises(ConfigError, match=r"no links or pipes, got .*/checkpoints/link"):
        RunFolder.open(folder.path)
    (folder.path / "checkpoints" / "link").unlink()
    assert RunFolder.open(folder.path) == folder


def test_searches_of_the_same_second_have_two_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.strftime", lambda _: "20261128-090145")
    names = {default_name("full") for _ in range(20)}
    assert len(names) == 20
    assert all(check_name(name).startswith("full-20261128-090145-") for name in names)
