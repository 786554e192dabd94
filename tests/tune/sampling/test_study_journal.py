"""The journal that the search writes: what Optuna reads from it, and what it costs."""

import os
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from search_spaces import load_space
from tune.sampling.optuna_study import StudyJournal, open_study

SPACE = {"x": FloatDistribution(0.0, 1.0), "kind": CategoricalDistribution(("a", "b"))}


def from_file(path: Path) -> list[optuna.trial.FrozenTrial]:
    """Return the trials as optuna-dashboard sees them."""
    storage = JournalStorage(JournalFileBackend(str(path)))
    return optuna.load_study(storage=storage, study_name="kept").trials


def play(study: optuna.Study) -> None:
    trial = study.ask(SPACE)
    trial.report(2.5, step=1)
    trial.set_user_attr("pair", (1, 2))
    trial.storage.set_trial_system_attr(trial._trial_id, "cma:0", "state")
    study.tell(trial, trial.params["x"])


def test_optuna_reads_each_entry_once_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", flushed.append)
    journal, path = StudyJournal(), tmp_path / "optuna.journal"
    study = optuna.create_study(storage=JournalStorage(journal), study_name="kept")
    play(study)
    path.write_text("an earlier session's", encoding="utf-8")
    journal.move_to(path)
    play(study)
    assert study.trials == from_file(path)
    assert [trial.user_attrs["pair"] for trial in study.trials] == [[1, 2], [1, 2]]
    # A driver that is killed now leaves it, and no lock that makes the next one wait.
    study.ask(SPACE)
    assert len(from_file(path)) == 3
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert len(flushed) == 1  # the first session's entries as a whole, none of the later


def test_entries_that_were_read_are_forgotten(tmp_path: Path) -> None:
    journal = StudyJournal()
    study = optuna.create_study(storage=JournalStorage(journal), study_name="kept")
    journal.move_to(tmp_path / "optuna.journal")
    for _ in range(5):
        play(study)
    assert len(journal._unread) <= 1
    assert len(study.trials) == 5


def test_full_disk_leaves_no_half_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "optuna.journal"
    path.write_bytes(b'{"whole":1}\n')

    class Full:
        """A file on a disk that takes three bytes more."""

        def __init__(self) -> None:
            self._file = path.open("ab", buffering=0)
            self._room = 3

        def __enter__(self) -> "Full":
            return self

        def __exit__(self, *error: object) -> None:
            self._file.close()

        def seek(self, offset: int, whence: int) -> int:
            return self._file.seek(offset, whence)

        def truncate(self, size: int) -> int:
            return self._file.truncate(size)

        def write(self, content: bytes) -> int:
            if not self._room:
                raise OSError(28, "No space left on device")
            written = self._file.write(content[: self._room])
            self._room -= written
            return written

    journal = StudyJournal()
    journal._path = path
    full = Full()
    monkeypatch.setattr(Path, "open", lambda self, mode, buffering: full)
    with pytest.raises(OSError, match="No space"):
        journal.append_logs([{"next": 2}])
    monkeypatch.undo()
    assert path.read_bytes() == b'{"whole":1}\n' and not journal._unread


def test_damaged_journal_is_made_anew(tmp_path: Path) -> None:
    path, space = tmp_path / "optuna.journal", load_space("quick")
    open_study(path, space)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"{", b"\x00", 2))
    open_study(path, space)
    assert path.read_bytes().count(b"\n") == whole.count(b"\n")
    assert b"\x00" not in path.read_bytes()
