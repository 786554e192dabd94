"""Finding the trials' checkpoints in a run's storage."""

from pathlib import Path
from typing import cast

import pytest
from pyarrow import fs

from model.errors import ExternalFault
from tune.storage.checkpoints import CheckpointStore, drop_older, fetch, stored_checkpoint


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for place in (
        "session-1/trial_00000/checkpoint_000009",
        "session-2/trial_00000/checkpoint_000001",
        "session-10/trial_00000/checkpoint_000000",
        "session-1/trial_00007/checkpoint_000002",
    ):
        folder = tmp_path / "ray" / place / "checkpoint"
        folder.mkdir(parents=True)
        (folder / "meta.json").write_text(place, encoding="utf-8")
    (tmp_path / "ray/session-1/trial_00008/checkpoint_000000").mkdir(parents=True)  # cut off
    return tmp_path / "ray"


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_newest_first(root: Path, scheme: str, tmp_path: Path) -> None:
    store = CheckpointStore(f"{scheme}{root}")
    found = store.newest_first()
    assert sorted(found) == [0, 7]
    folder = fetch(stored_checkpoint(found[0][0]), tmp_path / "fetched")
    assert (folder / "meta.json").read_text() == "session-10/trial_00000/checkpoint_000000"
    assert len(found[0]) == 3
    assert store.next_session() == "session-11"


def test_folders_of_others_are_no_sessions(tmp_path: Path) -> None:
    for name in ("session-2", "session-3.bak", "session-", "other"):
        (tmp_path / name).mkdir()
    assert CheckpointStore(str(tmp_path)).next_session() == "session-3"


def test_storage_that_does_not_answer_ends_a_search_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = CheckpointStore(str(tmp_path / "file"))
    for ask in (store.newest_first, store.next_session):
        with pytest.raises(ExternalFault, match="the trials' checkpoints must be readable: "):
            ask()


def test_only_the_newest_of_a_session_is_kept(root: Path) -> None:
    folder = root / "session-1/trial_00000"
    (folder / "checkpoint_000010").mkdir()
    drop_older(fs.LocalFileSystem(), str(folder))
    assert [path.name for path in folder.iterdir()] == ["checkpoint_000010"]
    assert (root / "session-2/trial_00000/checkpoint_000001").exists()


def test_storage_that_cannot_be_listed_ends_no_trial() -> None:
    class Silent:
        def get_file_info(self, selector: fs.FileSelector) -> None:
            raise OSError("AWS Error NETWORK_CONNECTION during ListObjectsV2")

    drop_older(cast("fs.FileSystem", Silent()), "bucket/runs/session-1/trial_00000")


def test_nothing_there_is_the_first_session(tmp_path: Path) -> None:
    store = CheckpointStore(str(tmp_path / "nowhere"))
    assert store.newest_first() == {}
    assert store.next_session() == "session-1"
