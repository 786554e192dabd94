"""Storages that machines share: names, copies of a run, one driver, a run's size."""

import dataclasses
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs
from rich.console import Console

from hand_made_run import STUDY, hand_made
from hand_made_trials import epoch_record
from model.config import TrialConfig
from model.errors import ConfigError, ExternalFault
from model.system import filesystem
from model.system.filesystem import check_storage, join, normal, split, write
from model.training.cost import num_parameters
from repository import ROOT
from search_spaces import load_space
from search_spaces.random_configs import random_configs
from tiny_search import write_inputs
from tune import run
from tune.cluster.cluster import Cluster
from tune.job.finish import finish
from tune.job.job import run_study
from tune.job.prepare import prepare
from tune.job.resume import or_resumed, prepare_resumed
from tune.job.search import SearchResult
from tune.job.study_json import study_file
from tune.planning.study import Study, StudyOptions
from tune.records.history import EpochEnded, History, TrialStarted
from tune.records.run_folder import LEASE_FILE, RunFolder
from tune.records.trial import TrialRecord
from tune.storage import lease
from tune.storage import lease as lease_module
from tune.storage import mirror as mirror_module
from tune.storage.copies import files_of_run
from tune.storage.fetch import fetch_run
from tune.storage.lease import Lease
from tune.storage.mirror import Mirror


def quiet() -> Console:
    return Console(file=io.StringIO())


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "SETTLE_SECONDS", 0.01)
    monkeypatch.setattr(lease_module, "POLL_SECONDS", 0.02)


@pytest.mark.parametrize(
    ("place", "inside"),
    [
        ("/data/runs", "/data/runs/book"),
        ("s3://bucket/runs/", "s3://bucket/runs/book"),
        ("s3://bucket?scheme=http", "s3://bucket/book?scheme=http"),
        ("/odd?folder", "/odd?folder/book"),
    ],
)
def test_place_in_a_place(place: str, inside: str) -> None:
    assert join(place, "book") == inside
    assert split(inside) == (normal(place), "book")


def test_storage_that_holds_credentials_or_is_none_is_refused(tmp_path: Path) -> None:
    check_storage(str(tmp_path / "new"))
    assert list((tmp_path / "new").iterdir()) == []
    with pytest.raises(ConfigError, match="must hold no credentials") as caught:
        check_storage("s3://key:hush@bucket/runs")
    assert "hush" not in str(caught.value)
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match="a storage must be an absolute path or a URI"):
        check_storage(str(tmp_path / "file"))


def test_storage_that_does_not_return_what_was_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filesystem, "read", lambda file_system, path: b"prob")
    with pytest.raises(ConfigError, match=r"written and read: .*what was written cannot be read"):
        check_storage(str(tmp_path))


def test_file_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    file_system = fs.LocalFileSystem()
    with pytest.raises(OSError, match="taken"):
        write(file_system, f"{tmp_path}/taken", b"content")
    assert list(files_of_run(file_system, str(tmp_path))) == []
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


@pytest.mark.slow
def test_lease_keeps_a_living_driver_and_no_dead_one(tmp_path: Path) -> None:
    said: list[str] = []
    storage = tmp_path / "storage"
    storage.mkdir()
    first, second = Lease(str(storage)), Lease(str(storage))
    first.take(said.append)
    assert first.renew()
    # The holder is this process, which is alive: renewing shows it.
    child = subprocess.Popen(
        [sys.executable, "-c", RENEWS, str(storage)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None and child.stdout.readline() == "mine\n"
        with pytest.raises(ConfigError, match=f"one driver, but process {child.pid} on "):
            second.take(said.append)
        assert len(said) == 1 and "waiting" in said[0]
        assert not first.renew()
    finally:
        child.kill()
        child.communicate()
    second.take(said.append)  # at once: the process is gone
    assert len(said) == 1
    second.release()
    assert list(storage.iterdir()) == []


RENEWS = f"""
import sys, time
sys.path[:0] = [{str(ROOT)!r}]
from tune.storage.lease import Lease
lease = Lease(sys.argv[1])
lease._write()
print("mine", flush=True)
while lease.renew():
    time.sleep(0.05)
"""


NETWORKS = {"checkpoints/01/meta.json", "predictor/01/meta.json", "predictor/predictor.json"}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder.create(tmp_path / "results" / "shared")
    folder.write_study(STUDY)
    (folder.path / "checkpoints/01").mkdir(parents=True)
    (folder.path / "predictor/01").mkdir(parents=True)
    for name in NETWORKS:
        (folder.path / name).write_text("{}", encoding="utf-8")
    (folder.path / "ray/session-1").mkdir(parents=True)
    (folder.path / "ray/session-1/state.pkl").write_bytes(b"Ray's")
    (folder.path / ".study.json.partial").write_text("", encoding="utf-8")
    with History(folder.history_file) as history:
        history.add(started(0))
    return folder


def started(number: int) -> TrialStarted:
    return TrialStarted(number=number, baseline="", config={}, search_seconds=0.0)


def add_trial(folder: RunFolder, study: Study) -> None:
    """Give a run a trial that has reported once."""
    with History(folder.history_file) as history:
        history.add(dataclasses.replace(started(0), config=study.space.base.to_dict()))
        epoch = epoch_record(0, 1)
        facts = EpochEnded(epoch=epoch, precision="float32", num_parameters=1, vocabulary_size=9)
        history.add(facts)


def mirror(folder: RunFolder, root: Path, said: list[str], text: str = "text") -> Mirror:
    return Mirror(folder.path, str(root), text=text, say=said.append)


def names(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def test_copy_of_a_run_has_its_files_and_none_of_rays(folder: RunFolder, tmp_path: Path) -> None:
    root, said = tmp_path / "storage" / "shared", list[str]()
    with mirror(folder, root, said):
        copied = {"study.json", "history.jsonl", *NETWORKS, "corpus.txt"}
        assert names(root) == copied | {"driver.json"}
        with History(folder.history_file) as history:
            history.add(started(1))
        folder.drop_checkpoints()
    assert names(root) == copied - NETWORKS
    assert (root / "history.jsonl").read_bytes() == folder.history_file.read_bytes()
    assert (root / "corpus.txt").read_text(encoding="utf-8") == "text"
    assert said == []


def test_file_that_is_gone_from_the_storage_is_gone(folder: RunFolder, tmp_path: Path) -> None:
    root, said = tmp_path / "storage" / "shared", list[str]()
    with mirror(folder, root, said):
        shutil.rmtree(root / "checkpoints")
        folder.drop_checkpoints()
    assert not names(root) & NETWORKS and said == []


def test_folder_that_is_no_run_is_not_fetched_into(folder: RunFolder, tmp_path: Path) -> None:
    root, models = tmp_path / "storage" / "shared", tmp_path / "models"
    with mirror(folder, root, []):
        pass
    mine = models / "shared" / "checkpoints" / "01" / "nested" / "mine.pt"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    with pytest.raises(ConfigError, match=r"folder of its own, but .*models/shared has checkpo"):
        fetch_run(f"file://{root}", models)
    assert mine.read_bytes() == b"mine"
    # Files left by a killed attempt belong to the run.
    shutil.rmtree(models / "shared")
    (models / "shared" / "checkpoints" / "01").mkdir(parents=True)
    (models / "shared" / "checkpoints" / "01" / "meta.json").write_text("{}", encoding="utf-8")
    fetched, _ = fetch_run(f"file://{root}", models)
    assert fetched.history_file.exists()


def test_what_is_many_files_a_trial_or_a_lock_is_neither_copied_nor_fetched(
    folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, said = tmp_path / "storage" / "shared", list[str]()
    # In the storage from an earlier version.
    for place, name in ((folder.tensorboard_folder, "new.out"), (root / "tensorboard", "old.out")):
        (place / "trial_00000").mkdir(parents=True)
        (place / "trial_00000" / name).write_bytes(b"curves")
    folder.optuna_file.write_text("{}", encoding="utf-8")
    lock = folder.path / "optuna.journal.lock"  # as optuna-dashboard creates it
    lock.symlink_to(folder.optuna_file)
    walk = os.walk

    def hasty_walk(top: Path) -> Iterator[tuple[str, list[str], list[str]]]:
        for parent, below, files in walk(top):
            yield parent, below, [*files, "gone"]  # by the time it is read

    monkeypatch.setattr(os, "walk", hasty_walk)
    with mirror(folder, root, said):
        pass
    assert "optuna.journal" in names(root) and said == []
    fetched, _ = fetch_run(f"file://{root}", tmp_path / "other")
    assert names(fetched.path) == names(root) - {"tensorboard/trial_00000/old.out"}
    assert not names(root) & {"gone", lock.name, "tensorboard/trial_00000/new.out"}


def test_run_is_fetched_and_the_one_that_goes_further_is_kept(
    folder: RunFolder, tmp_path: Path
) -> None:
    root, said = tmp_path / "storage" / "shared", list[str]()
    with mirror(folder, root, said):
        pass
    other = tmp_path / "other"
    fetched, storage = fetch_run(f"file://{root}", other)
    assert storage == f"file://{tmp_path}/storage"
    assert names(fetched.path) == names(root)
    with History(fetched.history_file) as history, mirror(fetched, root, said):
        history.add(started(1))
    # Less here than there: a copy must not revert that, a fetch updates the folder.
    with pytest.raises(ConfigError, match=r"further along than .*; use --resume"):
        mirror(folder, root, said).__enter__()
    assert not (root / LEASE_FILE).exists()
    again, _ = fetch_run(f"file://{root}", folder.path.parent)
    assert again.path == folder.path
    assert folder.history_file.read_bytes() == (root / "history.jsonl").read_bytes()
    # More here than there: the local files stay.
    with History(folder.history_file) as history:
        history.add(started(2))
        with pytest.raises(ConfigError, match="one driver"):
            fetch_run(f"file://{root}", folder.path.parent)
    ours = folder.history_file.read_bytes()
    fetch_run(f"file://{root}", folder.path.parent)
    assert folder.history_file.read_bytes() == ours
    # Each has something that the other lacks.
    with History(fetched.history_file) as history, mirror(fetched, root, said):
        history.add(started(3))
    with pytest.raises(ConfigError, match="must continue in one place only"):
        fetch_run(f"file://{root}", folder.path.parent)
    with pytest.raises(ConfigError, match=r"must be a folder with study\.json"):
        fetch_run(f"file://{tmp_path}/storage/none", other)
    assert [path.name for path in other.iterdir()] == ["shared"]


def test_finalists_and_the_end_of_a_run_count_as_the_search_does(
    folder: RunFolder, tmp_path: Path
) -> None:
    root, said = tmp_path / "storage" / "shared", list[str]()
    place, results = f"file://{root}", folder.path.parent
    folder.write_study(dataclasses.replace(STUDY, finished=False))
    with mirror(folder, root, said):  # its machine dies after the search
        pass

    def refused() -> bool:
        with pytest.raises(ConfigError, match=r"further along than .*; use --resume"):
            mirror(folder, root, said).__enter__()
        return True

    # Another driver trains the finalists there, and is killed before its end.
    other, _ = fetch_run(place, tmp_path / "other")
    with History(other.finalists_history_file) as history, mirror(other, root, said):
        history.add(started(300))
    assert refused()
    fetch_run(place, results)
    trained = other.finalists_history_file.read_bytes()
    assert trained and folder.finalists_history_file.read_bytes() == trained
    # It continues: of two copies with the same events, the finished one is used.
    with mirror(other, root, said):
        (other.path / "checkpoints/02").mkdir()
        (other.path / "checkpoints/02/meta.json").write_text("{}", encoding="utf-8")
        other.write_study(dataclasses.replace(STUDY, finished=True))
    assert refused()
    fetch_run(place, results)
    with mirror(folder, root, said):
        pass
    assert folder.read_study().finished
    assert "checkpoints/02/meta.json" in names(root)
    assert (root / "finalists.jsonl").read_bytes() == trained
    # An unfinished copy there does not replace a finished one here.
    unfinished = dataclasses.replace(STUDY, finished=False)
    (root / "study.json").write_text(json.dumps(unfinished.to_json()), encoding="utf-8")
    fetch_run(place, results)
    assert folder.read_study().finished
    # More trials here and more finalists there: each has something that the other lacks.
    with History(folder.history_file) as history:
        history.add(started(1))
    with History(other.finalists_history_file) as history, mirror(other, root, said):
        history.add(started(301))
    assert refused()
    with pytest.raises(ConfigError, match="must continue in one place only"):
        fetch_run(place, results)
    assert said == []


@pytest.mark.parametrize("num_more", [0, 1])
def test_fetching_that_was_cut_off_anywhere_is_done_again(
    num_more: int, folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "storage" / "shared"
    place, results = f"file://{root}", folder.path.parent
    folder.finalists_history_file.touch()
    with mirror(folder, root, []):
        pass
    other, _ = fetch_run(place, tmp_path / "other")
    with History(other.finalists_history_file) as history, mirror(other, root, []):
        for number in range(num_more):
            history.add(started(number))
        for name in ("best.json", "trials.csv"):
            (other.path / name).write_text("new", encoding="utf-8")
        other.write_study(dataclasses.replace(STUDY, finished=True))
    replace, left = Path.replace, 0

    def dying(path: Path, target: Path | str) -> Path:
        nonlocal left
        if Path(target).is_relative_to(folder.path):
            if left == 0:
                raise OSError("killed")
            left -= 1
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", dying)
    as_it_was = {name: (folder.path / name).read_bytes() for name in names(folder.path)}
    for num_moved in range(len(names(root))):
        for name in names(folder.path):
            (folder.path / name).unlink()
        for name, content in as_it_was.items():
            (folder.path / name).parent.mkdir(exist_ok=True)
            (folder.path / name).write_bytes(content)
        left = num_moved
        with pytest.raises(ConfigError, match="killed"):
            fetch_run(place, results)
        left = 100
        fetch_run(place, results)
        for name in names(root):
            assert (folder.path / name).read_bytes() == (root / name).read_bytes(), num_moved


def test_driver_that_lost_its_lease_stops_copying_and_ends(
    folder: RunFolder, tmp_path: Path
) -> None:
    root, said, signals = tmp_path / "storage" / "shared", list[str](), list[int]()
    previous = signal.signal(signal.SIGTERM, lambda number, frame: signals.append(number))
    try:
        with mirror(folder, root, said):
            Lease(str(root))._write()
            with History(folder.history_file) as history:
                history.add(started(1))
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert signals == [signal.SIGTERM]
    assert len(said) == 1 and "another driver took over" in said[0]
    assert len((root / "history.jsonl").read_bytes().splitlines()) == 1
    assert (root / LEASE_FILE).exists()


def test_storage_that_fails_in_the_middle_ends_no_search(
    folder: RunFolder, tmp_path: Path
) -> None:
    root, said = tmp_path / "storage" / "shared", list[str]()
    lost = pytest.raises(ExternalFault, match=f"not all of {folder.path}")
    with lost, mirror(folder, root, said):
        shutil.rmtree(tmp_path / "storage")
        (tmp_path / "storage").write_text("no folder any more", encoding="utf-8")
        with History(folder.history_file) as history:
            history.add(started(1))
    assert said == []


@pytest.mark.parametrize("kind", [OSError, ValueError, NotImplementedError])
def test_storage_that_refuses_is_told_as_the_search_runs_and_so_is_its_return(
    kind: type[Exception], folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in (
        *((mirror_module, "FIRST_SECONDS"), (mirror_module, "COPY_SECONDS")),
        (lease_module, "RENEW_SECONDS"),
    ):
        monkeypatch.setattr(module, name, 0.01)
    root, said, refused = tmp_path / "storage" / "shared", list[str](), list[str]()

    def refuse(file_system: fs.FileSystem, path: str, data: bytes) -> None:
        refused.append(threading.current_thread().name)
        raise kind("ExpiredToken")

    with mirror(folder, root, said):
        with monkeypatch.context() as patched:
            patched.setattr(lease_module, "write", refuse)
            while refused.count("mirror") < 3 or refused.count("lease") < 3:
                time.sleep(0.01)
        while len(said) < 2:
            time.sleep(0.01)
    assert said == [
        f"the storage takes no files, and is tried again: {root}: ExpiredToken",
        f"the storage takes files again: {root}",
    ]


def test_what_waits_for_a_copy_comes_after_one_that_began_later(
    folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror_module, "FIRST_SECONDS", 1_000.0)  # this thread copies
    root, copied = tmp_path / "storage" / "shared", list[bytes]()
    there = root / "history.jsonl"

    def write_and_order(file_system: fs.FileSystem, path: str, data: bytes) -> None:
        write(file_system, path, data)
        if path.endswith("history.jsonl") and copies._after_copy.empty():  # after its turn
            with History(folder.history_file) as history:
                history.add(started(1))
            copies.after_copy(lambda: copied.append(there.read_bytes()))

    with mirror(folder, root, []) as copies:
        with History(folder.history_file) as history:
            history.add(started(2))
        monkeypatch.setattr(mirror_module, "write", write_and_order)
        copies._copy()
        assert copied == [] and b'"number": 1' not in there.read_bytes()
        monkeypatch.setattr(mirror_module, "write", write)
        (tmp_path / "storage").rename(tmp_path / "away")
        (tmp_path / "storage").touch()  # it does not answer
        copies._copy_or_remember()
        assert copied == []
        (tmp_path / "storage").unlink()
        (tmp_path / "away").rename(tmp_path / "storage")
    assert copied == [folder.history_file.read_bytes()]


def test_storage_whose_folders_must_be_made_has_them(tmp_path: Path) -> None:
    below = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    write(below, "run/checkpoints/01/meta.json", b"{}")
    assert (tmp_path / "run/checkpoints/01/meta.json").read_bytes() == b"{}"


def test_or_resume_starts_a_run_or_goes_on_with_it(
    tiny_text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_inputs(tiny_text)
    options = StudyOptions(space="tiny.py", corpus="book.txt", name="x", or_resume=True)
    assert or_resumed(options).resume is None
    study = prepare(options, quiet())
    RunFolder.create(study.run_path).write_study(study_file(study, None, None))
    assert or_resumed(options).resume == "results/x"
    assert prepare_resumed(or_resumed(options), quiet()).earlier is not None
    stored = dataclasses.replace(options, storage=str(tmp_path / "store"))
    with pytest.raises(ConfigError, match="storage must be that of the resumed run, None"):
        prepare_resumed(or_resumed(stored), quiet())
    shutil.copytree("results/x", "store/x")
    values = (tmp_path / "store/x/study.json").read_text()
    (tmp_path / "store/x/study.json").write_text(
        values.replace('"storage": null', f'"storage": "{tmp_path}/store"')
    )
    shutil.rmtree("results")
    found = prepare_resumed(or_resumed(stored), quiet())
    assert found.run_path == tmp_path / "results/x"
    assert found.mirror_root == f"{tmp_path}/store/x"
    # However its slashes are written, study.json spells a location in one way.
    slash = dataclasses.replace(options, storage=f"{tmp_path}/store/")
    assert prepare_resumed(or_resumed(slash), quiet()).settings.storage == f"{tmp_path}/store"
    # In the storage itself, there is nothing to copy.
    in_place = prepare_resumed(StudyOptions(resume="store/x"), quiet())
    assert in_place.run_path == tmp_path / "store/x" and in_place.mirror_root is None
    with pytest.raises(SystemExit) as ended:
        run.main(["--space", "tiny.py", "--or-resume"])
    assert ended.value.code == 2
    assert "--or-resume needs the --name" in capsys.readouterr().err


def test_run_from_its_storage_has_its_text_wherever_that_was(
    tiny_text: str, tmp_path: Path
) -> None:
    write_inputs(tiny_text)
    options = StudyOptions(space="tiny.py", corpus="book.txt", name="x", storage=f"{tmp_path}/s")
    study = prepare(options, quiet())
    folder = RunFolder.create(study.run_path, study_file(study, None, None))
    with mirror(folder, tmp_path / "s/x", [], text=tiny_text):
        pass
    shutil.rmtree("results")
    Path("book.txt").write_text(tiny_text + "More.", encoding="utf-8")  # as a URL's text may be
    again = prepare_resumed(StudyOptions(resume=f"file://{tmp_path}/s/x"), quiet())
    assert again.corpus == study.corpus
    changed = StudyOptions(resume=f"file://{tmp_path}/s/x", corpus="book.txt")
    with pytest.raises(ConfigError, match="corpus must be its original text"):
        prepare_resumed(changed, quiet())


def test_lease_is_renewed_while_a_file_is_copied_for_long(
    folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.02)
    root, said, renewed = tmp_path / "storage" / "shared", list[str](), set[int]()

    def slow_write(file_system: fs.FileSystem, path: str, data: bytes) -> None:
        if path.endswith("history.jsonl"):
            while len(renewed) < 3:
                renewed.add((root / LEASE_FILE).stat().st_mtime_ns)
                time.sleep(0.02)
        write(file_system, path, data)

    monkeypatch.setattr(mirror_module, "write", slow_write)
    with mirror(folder, root, said):
        pass
    assert len(renewed) >= 3
    assert said == []


def test_driver_that_lost_its_lease_may_not_delete(folder: RunFolder, tmp_path: Path) -> None:
    previous = signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        with mirror(folder, tmp_path / "storage" / "shared", []) as ours:
            assert ours.may_delete()
            Lease(str(tmp_path / "storage" / "shared"))._write()
            assert not ours.may_delete()
    finally:
        signal.signal(signal.SIGTERM, previous)


def test_or_resume_goes_on_with_a_run_that_was_never_copied(
    tiny_text: str, tmp_path: Path
) -> None:
    write_inputs(tiny_text)
    options = StudyOptions(
        space="tiny.py", corpus="book.txt", name="x", storage=f"{tmp_path}/store/", or_resume=True
    )
    new = or_resumed(options)
    assert new.resume is None
    study = prepare(new, quiet())
    RunFolder.create(study.run_path, study_file(study, None, None))
    again = prepare_resumed(or_resumed(options), quiet())
    assert again.earlier is not None and again.settings.storage == f"{tmp_path}/store"
    assert again.mirror_root == f"{tmp_path}/store/x"


@pytest.mark.slow
def test_resuming_a_finished_run_copies_what_its_last_session_could_not(
    tiny_text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_inputs(tiny_text)
    options = StudyOptions(space="tiny.py", corpus="book.txt", name="x", storage=f"{tmp_path}/s")
    study = prepare(options, quiet())
    folder = RunFolder.create(study.run_path, study_file(study, None, None))
    add_trial(folder, study)
    root = tmp_path / "s/x"
    result = SearchResult(records=hand_made(), seconds=9.0, interrupted=False, timed_out=False)
    failing = pytest.raises(ExternalFault, match="not all of")
    with failing, mirror(folder, root, []):
        monkeypatch.setattr(mirror_module, "write", full)
        assert finish(study, folder, result, None, quiet()) == 0
    monkeypatch.setattr(mirror_module, "write", write)
    assert "report.md" not in names(root)
    (root / LEASE_FILE).unlink()  # its process is gone

    def resume(**words: Any) -> int:
        again = StudyOptions(resume="results/x", **words)
        with Cluster(None) as cluster:
            return run_study(prepare_resumed(again, quiet()), again, cluster, quiet())

    assert resume(dry_run=True) == 0 and "report.md" not in names(root)
    assert resume() == 0
    for name in names(root) - {"corpus.txt"}:
        assert (root / name).read_bytes() == (folder.path / name).read_bytes()
    assert "report.md" in names(root) and LEASE_FILE not in names(root)
    assert RunFolder(root).read_study().finished
    # There is nothing to copy: the run is shown, whoever has the lease.
    Lease(str(root))._write()
    assert resume() == 0 and (root / LEASE_FILE).exists()


def full(file_system: fs.FileSystem, path: str, data: bytes) -> None:
    raise OSError("no space")


def test_storage_says_that_a_run_has_finished_when_it_has_all_of_it(
    folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror_module, "FIRST_SECONDS", 1_000.0)  # this thread copies
    root, finished = tmp_path / "storage" / "shared", dataclasses.replace(STUDY, finished=True)
    folder.write_study(dataclasses.replace(STUDY, finished=False))

    def ends_meanwhile(file_system: fs.FileSystem, path: str, data: bytes) -> None:
        write(file_system, path, data)
        if path.endswith("history.jsonl"):
            folder.trials_file.write_text("all of them", encoding="utf-8")
            folder.write_study(finished)

    def fails_at_trials(file_system: fs.FileSystem, path: str, data: bytes) -> None:
        if path.endswith("trials.csv"):
            raise OSError("no answer")
        write(file_system, path, data)

    with mirror(folder, root, []) as copies:
        with History(folder.history_file) as history:
            history.add(started(1))
        folder.write_study(dataclasses.replace(STUDY, finished=False, search_seconds=1.0))
        for how in (ends_meanwhile, fails_at_trials):
            monkeypatch.setattr(mirror_module, "write", how)
            copies._copy_or_remember()
            assert not RunFolder(root).read_study().finished and copies.is_behind()
        monkeypatch.setattr(mirror_module, "write", write)
    assert RunFolder(root).read_study().finished and RunFolder(root).trials_file.exists()
    assert not copies.is_behind()


def test_storage_has_the_epochs_of_each_trial_that_has_a_score(
    folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror_module, "FIRST_SECONDS", 1_000.0)  # this thread copies
    root = tmp_path / "storage" / "shared"

    def write_tables(num_epochs: int) -> None:
        trial = TrialRecord(number=0, config=TrialConfig())
        for epoch in range(1, num_epochs + 1):
            trial.add_epoch(epoch_record(0, epoch))
        folder.write_tables([trial])

    def reports_meanwhile(file_system: fs.FileSystem, path: str, data: bytes) -> None:
        write(file_system, path, data)
        if path.endswith("epochs.csv"):
            write_tables(1)

    with mirror(folder, root, []) as copies:
        write_tables(0)
        monkeypatch.setattr(mirror_module, "write", reports_meanwhile)
        copies._copy()
        trials, epochs = RunFolder(root).read_tables()
        assert len(trials) == 1 and epochs.empty
        monkeypatch.setattr(mirror_module, "write", write)
        copies._copy()
        trials, epochs = RunFolder(root).read_tables()
        assert len(trials) == 1 and len(epochs) == 1


@pytest.mark.parametrize("has_name", [True, False])
def test_renamed_folder_of_a_run_has_its_storage_or_is_refused(
    has_name: bool, tiny_text: str, tmp_path: Path
) -> None:
    write_inputs(tiny_text)
    options = StudyOptions(space="tiny.py", corpus="book.txt", name="x", storage=f"{tmp_path}/s")
    study = prepare(options, quiet())
    facts = study_file(study, None, None)
    assert facts.name == "x"
    if not has_name:  # as before 2026-11-30
        facts = dataclasses.replace(facts, name="")
    folder = RunFolder.create(study.run_path, facts)
    add_trial(folder, study)
    with mirror(folder, tmp_path / "s/x", [], text=tiny_text):
        pass
    folder.path.rename("results/old-x")

    def resumed(place: str) -> Study:
        return prepare_resumed(StudyOptions(resume=place), quiet())

    if has_name:
        again = resumed("results/old-x")
        assert again.checkpoints_root == again.mirror_root == f"{tmp_path}/s/x"
        assert study_file(again, None, None).name == "x"
    else:
        with pytest.raises(ConfigError, match=rf"results/old-x has .*{tmp_path}/s/old-x is no r"):
            resumed("results/old-x")
        Path("results/old-x").rename("results/x")
        assert resumed("results/x").mirror_root == f"{tmp_path}/s/x"
    # If the storage's folder was renamed or copied, the user's name for it counts.
    (tmp_path / "s/x").rename(tmp_path / "s/y")
    fetched = resumed(f"file://{tmp_path}/s/y")
    assert fetched.checkpoints_root == fetched.mirror_root == f"file://{tmp_path}/s/y"
    (tmp_path / "s/y").rename(tmp_path / "s/my run")
    in_place = resumed("s/my run")
    assert in_place.checkpoints_root == f"{tmp_path}/s/my run" and in_place.mirror_root is None
    assert study_file(in_place, None, None).name == ""


@pytest.mark.slow
def test_what_a_thousand_trials_occupy_is_what_the_docs_say() -> None:
    text = (ROOT / "docs/storage.md").read_text(encoding="utf-8")
    stated = re.findall(r"([\d.]+) GiB in `(\w+)`", text)
    assert {name for _, name in stated} == {"quick", "full", "extended"}
    for gibibytes, name in stated:
        configs = random_configs(load_space(name), 1_000, seed=0)
        numbers = sum(num_parameters(config, 60) for config in configs)
        assert 16 * numbers / 2**30 == pytest.approx(float(gibibytes), rel=0.02), name
