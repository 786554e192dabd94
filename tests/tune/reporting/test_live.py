"""Tables and page are written beside the search: it never waits, and learns what went wrong."""

import dataclasses
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from hand_made_run import SPACE, STUDY, curve
from tune.records.run_folder import RunFolder
from tune.records.study_file import STILL_RUNNING
from tune.records.trial import Status, TrialRecord
from tune.reporting import live as live_files
from tune.reporting.live import LiveFiles


@pytest.fixture
def folder() -> RunFolder:
    folder = RunFolder.create(Path("live").resolve())
    folder.write_study(dataclasses.replace(STUDY, ended=STILL_RUNNING))
    return folder


def trial(number: int, bits: list[float], status: Status = Status.RUNNING) -> TrialRecord:
    return TrialRecord(number=number, config=SPACE.base, status=status, epochs=curve(number, bits))


def wait_until(true: Callable[[], bool]) -> None:
    while not true():
        time.sleep(0.01)


@pytest.mark.slow
def test_search_goes_on_while_tables_are_written(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_write, write = threading.Event(), RunFolder.write_tables
    given: list[list[TrialRecord]] = []

    def slow(self: RunFolder, records: list[TrialRecord]) -> tuple[pd.DataFrame, pd.DataFrame]:
        given.append(records)
        may_write.wait()
        return write(self, records)

    monkeypatch.setattr(RunFolder, "write_tables", slow)
    running, ended = trial(0, [3.0]), trial(1, [2.0, 1.9], Status.COMPLETE)
    waiting = trial(2, [2.5], Status.PRUNED)
    with LiveFiles(folder) as live:
        live.save([running, ended, waiting])
        running.add_epoch(curve(0, [3.0, 2.5])[-1])
        waiting.add_epoch(curve(2, [2.5, 2.4])[-1])  # it is promoted
        live.save([running, ended, waiting])  # comes back at once, and nothing is written twice
        may_write.set()
        wait_until(folder.page_file.exists)
    assert [len(each.epochs) for each in given[0]] == [1, 2, 1]  # of one moment
    assert given[0][1] is ended  # what has ended is not copied
    assert len(given) == 1
    live.save_all([running, ended])
    assert pd.read_csv(folder.trials_file)["epochs_run"].to_list() == [2, 2]


def test_writing_takes_a_share_of_the_time(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_files, "SAVE_SHARE", 1e-6)
    with LiveFiles(folder) as live:
        live.save([trial(0, [3.0])])
        wait_until(folder.page_file.exists)
        folder.trials_file.unlink()
        live.save([trial(0, [3.0, 2.0])])
    # The end of the search does not wait for the rest, which would take hours.
    assert not folder.trials_file.exists()


def test_full_disk_is_raised_where_the_search_is(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: RunFolder, records: list[TrialRecord]) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RunFolder, "write_tables", full)
    with pytest.raises(OSError, match="No space"), LiveFiles(folder) as live:
        live.save([trial(0, [3.0])])
        wait_until(lambda: live._writing is not None and live._writing.done())
        live.save([trial(0, [3.0])])
    with pytest.raises(OSError, match="No space"), LiveFiles(folder) as live:
        live.save([trial(0, [3.0])])  # the last of the search
    with pytest.raises(KeyError), LiveFiles(folder) as live:
        live.save([trial(0, [3.0])])
        raise KeyError("what ended the search")
