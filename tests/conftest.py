"""Fixtures: a small text in the file, a network that has learnt it, a clean working folder."""

import contextlib
import fcntl
import json
import logging
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from model.config import TrialConfig
from model.scoring.objective import PreparedCorpus, prepare_corpus
from model.system.files import cache_folder
from model.text.cleaning import CLEANINGS
from model.training.trainer import Trainer
from repository import SHARED_DATA
from tiny_search import (
    FinishedSearch,
    command,
    kill_family,
    num_epochs,
    run_command,
    wait_until,
    write_inputs,
)

# The figures here are a CPU's; `CUDA_VISIBLE_DEVICES=0 pytest -k float16` asks for a GPU.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

TINY_SENTENCES = (
    "The Hatter's tea-party went on; nobody had noticed that it was six o'clock.\n"
    "'Take some more tea,' the Hare said to Alice, very earnestly.\n"
    "'I've had nothing yet,' she replied in an offended tone: 'so I can't take more!'\n"
    "(It is always six o'clock now.) What day of the month is it?\n"
)


SLOW_SECONDS = 1_200
"""Limit of a slow test that names none. Like every limit of a test it is there for a hang alone,
and some ten times what the test takes on an idle machine: no wait inside a test has one."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.slow)
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_SECONDS))
    # What may take longest begins first, so that two processes of tests end together.
    items.sort(key=_timeout_seconds, reverse=True)


def _timeout_seconds(item: pytest.Item) -> float:
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0]) if marker else 0.0


@pytest.fixture(autouse=True)
def _in_tmp_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("RAY_ADDRESS", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"):  # the latter: by main()
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def measured_machine(
    _in_tmp_folder: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """What earlier tests measured and compiled: it takes each search's plan 4 s of a core."""
    kept, cache = tmp_path_factory.getbasetemp() / "measured", cache_folder()
    if kept.exists():
        shutil.copytree(kept, cache)
    yield
    for path in cache.glob("machine-*.json"):
        kept.mkdir(mode=0o700, exist_ok=True)
        shutil.copy(path, kept)
    if (cache / "kernels").exists():
        shutil.copytree(cache / "kernels", kept / "kernels", dirs_exist_ok=True)


@pytest.fixture
def short_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    """An n-gram of a page where a test asks what else a long text's plan says: of two million
    characters it takes 4 s of a core."""
    monkeypatch.setattr("model.scoring.objective.MAX_TRAIN_CHARS", 30_000)


@pytest.fixture(autouse=True)
def _slow_tests_know_the_machine(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("slow"):
        request.getfixturevalue("measured_machine")


@pytest.fixture(autouse=True)
def _no_ray_before_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    # A mistake in the text is found when a local Ray has begun to start.
    monkeypatch.setattr("tune.cluster.cluster.Cluster.start_local_soon", lambda _: None)


@pytest.fixture(autouse=True)
def _idle_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    # A plan warns of a busy machine.
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))


@pytest.fixture(autouse=True)
def _no_error_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    errors = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert not errors, errors


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    # A shell has what it starts in the background ignore SIGINT, and all that is started by it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _own_token() -> None:
    # Not the user's. Of two Rays that both find none, the second overwrites the first's file.
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


@pytest.fixture(scope="session", autouse=True)
def _workers_get_their_share() -> None:
    # Ray's workers have niceness 15 by default: beside any other program they hardly run.
    os.environ.update(RAY_worker_niceness="0", RAY_worker_register_timeout_seconds="600")


@pytest.fixture(scope="session")
def tiny_text() -> str:
    return TINY_SENTENCES * 12


@pytest.fixture(scope="session")
def tiny_corpus(tiny_text: str) -> PreparedCorpus:
    return prepare_corpus(tiny_text, list(CLEANINGS))


@pytest.fixture(scope="session")
def tiny_config() -> TrialConfig:
    return TrialConfig(
        epochs=3,
        hidden_size=24,
        batch_size=4,
        sequence_length=16,
        embedding_dim=8,
        learning_rate=1e-2,
        precision="float32",
        kernel="torch",
    )


@pytest.fixture(scope="session")
def trained_checkpoint(
    tiny_corpus: PreparedCorpus,
    tiny_config: TrialConfig,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "checkpoint"
    trainer = Trainer(tiny_config, tiny_corpus.encoded["lower"])
    for _ in trainer.reports():
        pass
    trainer.save(folder)
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real corpora, which the project does not contain."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the real corpora are not here: {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def wonderland_path(shared_data: Path) -> Path:
    return shared_data / "wonderland.txt"


@pytest.fixture
def running(tiny_text: str) -> Iterator[subprocess.Popen[str]]:
    """A search that would take hours, two trials under way."""
    flags = write_inputs(tiny_text, epochs=(100_000, 100_000))
    process = subprocess.Popen(
        command([*flags, "--name", "long", "--max-concurrent", "2"]),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a group of its own, as on a terminal
    )
    try:
        wait_until(lambda: sum(num_epochs("long") >= 2) >= 2, process)
        yield process
    finally:
        kill_family(process)


@pytest.fixture(scope="session")
def finished_search(tiny_text: str, tmp_path_factory: pytest.TempPathFactory) -> FinishedSearch:
    """A search, "one", from start to end with its finalists, one trial at a time.

    The test processes share it: the first that needs it runs it, and others wait meanwhile.
    """
    own = tmp_path_factory.getbasetemp()
    shared = own.parent / "shared" if "PYTEST_XDIST_WORKER" in os.environ else own
    folder = shared / "finished"  # as deep as a test's own: what is printed names Python from here
    folder.mkdir(parents=True, exist_ok=True)
    known = folder.with_suffix(".json")
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not known.exists():
            known.write_text(json.dumps(_searched(tiny_text, folder)), encoding="utf-8")
    flags, words, output = json.loads(known.read_text(encoding="utf-8"))
    done = subprocess.CompletedProcess(words, 0, stdout=output, stderr="")
    return FinishedSearch(folder=folder, flags=flags, done=done)


def _searched(text: str, folder: Path) -> tuple[list[str], list[str], str]:
    """Run a search in a folder; return its flags, its command and what it printed."""
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.delenv("RAY_worker_niceness")  # Ray's default, as users have it
        flags = [*write_inputs(text, trials=12), "--max-concurrent", "1", "--seed", "3"]
        done = run_command([*flags, "--name", "one", "--finalists", "2", "--finalist-seeds", "2"])
    assert (done.returncode, done.stderr) == (0, "")
    return flags, done.args, done.stdout


@pytest.fixture
def finished(finished_search: FinishedSearch) -> FinishedSearch:
    """The same, copied into the test's folder."""
    shutil.copytree(finished_search.folder, Path.cwd(), dirs_exist_ok=True)
    return finished_search
