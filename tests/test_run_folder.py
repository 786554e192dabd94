import os
from pathlib import Path

import pytest

from model.errors import ConfigError
from tune.run_folder import RunFolder, check_new


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


def test_only_our_folders_open(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"must be a folder with study\.json"):
        RunFolder.open(tmp_path)
    folder = RunFolder.create(tmp_path / "run")
    folder.write_study({"seed": 3})
    assert RunFolder.open(folder.path).read_study()["seed"] == 3
    folder.study_file.write_text('{"format_version": 99}', encoding="utf-8")
    with pytest.raises(ConfigError, match="must be at most 1, got 99"):
        folder.read_study()
    folder.study_file.write_text('{"format_ver', encoding="utf-8")
    with pytest.raises(ConfigError, match="must be readable"):
        folder.read_study()
