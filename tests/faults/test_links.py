"""Links and pipes where a stranger may write: in a run, a storage or fetched files."""

import dataclasses
import os
from pathlib import Path

import pytest
from pyarrow import fs
from rich.console import Console

from hand_made_run import STUDY, hand_made
from model.errors import ConfigError
from model.system.files import read_regular
from model.system.filesystem import read
from tune.job.resume import prepare_resumed
from tune.planning.study import StudyOptions
from tune.records.history import History
from tune.records.run_folder import RunFolder, find_run
from tune.sampling.optuna_study import StudyJournal
from tune.storage import lease
from tune.storage.checkpoints import CheckpointStore
from tune.storage.fetch import fetch_run
from tune.storage.mirror import Mirror


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "SETTLE_SECONDS", 0.01)


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A run in a storage, as a stranger may have written it."""
    folder = RunFolder.create(tmp_path / "storage" / "run")
    folder.write_study(STUDY)
    folder.write_tables(hand_made())
    folder.history_file.write_bytes(b"")
    (tmp_path / "secret").write_text("id_rsa", encoding="utf-8")
    return folder.path


@pytest.mark.parametrize(
    "name", ["notes.md", "report.md", "corpus.txt", "checkpoints/01/meta.json", "x/report.md"]
)
def test_link_in_a_storage_is_not_fetched(name: str, stored: Path, tmp_path: Path) -> None:
    link = stored / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(tmp_path / "secret")
    folder, _ = fetch_run(str(stored), tmp_path / "results")
    assert (folder.path / "trials.csv").is_file()
    assert not (folder.path / name).exists()
    assert "id_rsa" not in "".join(
        path.read_text(errors="replace") for path in folder.path.rglob("*") if path.is_file()
    )


def test_run_is_not_fetched_into_a_folder_that_has_a_link(stored: Path, tmp_path: Path) -> None:
    folder, _ = fetch_run(str(stored), tmp_path / "results")
    folder.history_file.unlink()
    folder.history_file.symlink_to(tmp_path / "secret")
    with pytest.raises(ConfigError, match=r"no links or pipes, got .*history\.jsonl"):
        fetch_run(str(stored), tmp_path / "results")
    assert (tmp_path / "secret").read_text(encoding="utf-8") == "id_rsa"


def test_folder_behind_a_link_is_not_fetched_nor_emptied(stored: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    checkpoint = other / "trial_00000" / "checkpoint_000000" / "checkpoint"
    checkpoint.mkdir(parents=True)
    (other / "01").mkdir()
    for folder in (checkpoint, other / "01"):
        (folder / "meta.json").write_text("{}", encoding="utf-8")
    (stored / "session-1").symlink_to(other)
    (stored / "checkpoints").symlink_to(other)
    assert CheckpointStore(str(stored)).newest_first() == {}
    assert CheckpointStore(str(stored)).next_session() == "session-1"
    fetched, _ = fetch_run(str(stored), tmp_path / "results")
    assert not (fetched.path / "checkpoints").exists()


def test_what_is_no_file_of_a_run_is_not_copied(stored: Path, tmp_path: Path) -> None:
    for name in ("mine.md", ".hidden", "checkpoints/01/meta.json", "tensorboard/x/events"):
        (stored / name).parent.mkdir(parents=True, exist_ok=True)
        (stored / name).write_text(name, encoding="utf-8")
    (stored / "report.md").symlink_to(tmp_path / "secret")
    with Mirror(stored, str(tmp_path / "copy"), text="text", say=print):
        pass
    copied = {path.name for path in (tmp_path / "copy").rglob("*") if path.is_file()}
    assert {"study.json", "trials.csv", "trials.parquet", "corpus.txt", "meta.json"} <= copied
    assert not {"mine.md", ".hidden", "events", "report.md"} & copied


@pytest.mark.parametrize(
    "name",
    [
        *("history.jsonl", "optuna.journal", "tensorboard", "ray", "checkpoints"),
        *("checkpoints/01/x", ".checkpoints.replaced", ".checkpoints.replaced/01/x"),
    ],
)
def test_link_in_a_run_is_one_line_and_its_target_stays(
    name: str, stored: Path, tmp_path: Path
) -> None:
    (stored / name).parent.mkdir(parents=True, exist_ok=True)
    (stored / name).unlink(missing_ok=True)
    (stored / name).symlink_to(tmp_path / "secret")
    with pytest.raises(ConfigError, match=f"no links or pipes, got .*{name}"):
        find_run(str(stored), tmp_path)
    assert (tmp_path / "secret").read_text(encoding="utf-8") == "id_rsa"


def test_pipes_and_links_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("id_rsa", encoding="utf-8")
    (tmp_path / "link").symlink_to("secret")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(OSError, match=name):
            read(fs.LocalFileSystem(), str(tmp_path / name))
        with pytest.raises(ConfigError, match="must be writable"):
            History(tmp_path / name)
    with pytest.raises(OSError, match="must be a regular file"):
        read_regular(Path("/dev/zero"))
    with pytest.raises(OSError, match="at most 5 bytes"):
        read_regular(tmp_path / "secret", max_bytes=5)
    # Optuna's journal is written under an unguessable name.
    (tmp_path / ".optuna.journal.partial").symlink_to("secret")
    StudyJournal().move_to(tmp_path / "optuna.journal")
    assert (tmp_path / "secret").read_text(encoding="utf-8") == "id_rsa"


def test_endpoint_that_a_run_names_is_not_asked(stored: Path) -> None:
    folder = RunFolder(stored)
    storage = "s3://bucket/runs?endpoint_override=127.0.0.1:9&scheme=http"
    settings = dataclasses.replace(STUDY.settings, storage=storage)
    folder.write_study(dataclasses.replace(STUDY, settings=settings))
    options = StudyOptions(resume=str(stored))
    with pytest.raises(ConfigError, match=r"--storage must be given again, .*: s3://bucket/runs"):
        prepare_resumed(options, Console(quiet=True))


def test_sampler_that_a_run_names_is_one_of_ours(stored: Path) -> None:
    settings = dataclasses.replace(STUDY.settings, sampler="os.system")
    RunFolder(stored).write_study(dataclasses.replace(STUDY, settings=settings))
    with pytest.raises(ConfigError, match=r"unknown sampler 'os\.system'"):
        prepare_resumed(StudyOptions(resume=str(stored)), Console(quiet=True))
