"""Folders and files that are replaced whole."""

import errno
from pathlib import Path

import pytest

from model.errors import ConfigError
from model.system import files
from model.system.files import expanded, in_place_of, resolved, write_whole


def test_folder_that_cannot_be_filled_leaves_nothing_beside_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    with in_place_of(folder) as partial:
        (partial / "weights").write_text("old", encoding="utf-8")
    with pytest.raises(OSError, match="No space"), in_place_of(folder) as partial:
        (partial / "weights").write_text("new", encoding="utf-8")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (folder / "weights").read_text(encoding="utf-8") == "old"


def test_home_of_nobody_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expanded("~/ten") == tmp_path / "ten"
    with pytest.raises(ConfigError, match="a path must be that of somebody here, got '~nobody-"):
        expanded("~nobody-here/ten")


@pytest.mark.parametrize("path", ["s3://bucket/x", Path("gs://bucket/x"), "file:///x"])
def test_uri_is_no_path(path: str | Path) -> None:
    with pytest.raises(ConfigError, match=r"a path must be one of this machine, got '[sgf]"):
        expanded(path)
    assert expanded("a:b/c") == Path("a:b/c")


def test_links_that_lead_in_a_circle_stay_and_others_are_followed(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "there").symlink_to(tmp_path)
    assert resolved(tmp_path / "loop" / "ten") == tmp_path.resolve() / "loop" / "ten"
    assert resolved(tmp_path / "there" / "ten") == tmp_path.resolve() / "ten"


def test_file_whose_writing_is_interrupted_leaves_nothing_beside_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(number: int) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "kept"
    write_whole(path, b"old")
    monkeypatch.setattr(files.os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
