"""Finding the trials' checkpoints in a run's storage."""

from pathlib import Path

import pytest

from tune.checkpoints import CheckpointStore, fetch, place_of


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
    folder = fetch(place_of(found[0][0]), tmp_path / "fetched")
    assert (folder / "meta.json").read_text() == "session-10/trial_00000/checkpoint_000000"
    assert len(found[0]) == 3
    assert store.next_session() == "session-11"


def test_only_the_newest_is_kept(root: Path) -> None:
    store = CheckpointStore(str(root))
    store.drop_superseded(store.newest_first())
    assert {number: len(places) for number, places in store.newest_first().items()} == {0: 1, 7: 1}
    assert not (root / "session-1/trial_00000/checkpoint_000009").exists()


def test_nothing_there_is_the_first_session(tmp_path: Path) -> None:
    store = CheckpointStore(str(tmp_path / "nowhere"))
    assert store.newest_first() == {}
    assert store.next_session() == "session-1"
