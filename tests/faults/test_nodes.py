"""Searches over two real Ray nodes on this machine, each with its own files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ray_nodes import ray_nodes
from repository import ROOT, SUPPORT
from tiny_search import command, kill_family, run_command, trials_of, wait_until, write_inputs


def hiding(*folders: Path) -> tuple[str, ...]:
    """Return a command prefix that makes folders look empty, as on another machine."""
    mounts = "".join(f"mount -t tmpfs none {folder} && " for folder in folders)
    prefix = ("unshare", "--mount", "sh", "-c", f'cd / && {mounts}exec "$@"', "sh")
    try:
        tried = subprocess.run([*prefix, "true"], capture_output=True, text=True)
    except FileNotFoundError as error:
        pytest.skip(f"folders cannot be hidden from a node here: {error}")
    if tried.returncode != 0:
        pytest.skip(f"folders cannot be hidden from a node here: {tried.stderr.strip()}")
    return prefix


def code_folders() -> list[Path]:
    """Return all folders in the checkout except environments."""
    return [path for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")]


def num_running(name: str) -> int:
    path = Path("results") / name / "trials.csv"
    return int((trials_of(name)["status"] == "RUNNING").sum()) if path.exists() else 0


@pytest.mark.long
@pytest.mark.timeout(2_000)
def test_two_machines_share_a_search_through_the_storage_alone(
    tiny_text: str, tmp_path: Path
) -> None:
    # The second node has neither this checkout nor the driver's folder with the text, but keeps
    # a virtual environment in the checkout, because that is its Python.
    ours, nodes_folder, shared = (tmp_path / name for name in ("driver", "nodes", "shared"))
    for folder in (ours, nodes_folder, shared):
        folder.mkdir()
    flags = write_inputs(tiny_text, trials=5, epochs=(200, 250))
    for name in ("tiny.py", "book.txt"):
        Path(name).rename(ours / name)
    flags = [flags[0], str(ours / flags[1]), flags[2], str(ours / flags[3])]
    with ray_nodes(nodes_folder) as nodes:
        nodes.add("first", "--num-cpus=1", "--num-gpus=1")
        nodes.add("second", "--num-cpus=4", "--num-gpus=1", prefix=hiding(*code_folders(), ours))
        flags += ["--address", nodes.address, "--results", str(ours / "results")]
        flags += ["--gpus-per-trial", "0.5", "--finalists", "0"]
        own = run_command([*flags, "--name", "own"])
        assert own.returncode == 2
        rule = f"every node must write and read the storage {ours}, but second cannot: it does"
        assert rule in own.stderr
        assert own.stderr.count("\n") == 1
        assert not (ours / "results" / "own").exists()
        storage = ["--storage", f"file://{shared}", "--name", "both"]
        done = run_command([*flags, *storage])
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        # One trial on the first node, whose GPU could take two, and two on the second.
        assert "1 CPU and 0.5 GPU per trial" in done.stdout and ", 3 at once" in done.stdout
    assert not list(shared.glob(".node-probe*"))
    events = (ours / "results/both/history.jsonl").read_text().splitlines()
    running = most = 0
    for event in map(json.loads, events):
        running += {"TrialStarted": 1, "TrialEnded": -1}.get(event["event"], 0)
        most = max(most, running)
    # The first node has one core, so others ran on the second, whose GPU has two halves.
    assert 2 <= most <= 3
    # A promoted trial continues in a folder with a second number.
    folders = (shared / "both").glob("session-1/trial_*")
    assert len({path.name.partition("-")[0] for path in folders}) == 5


@pytest.mark.long
@pytest.mark.timeout(2_000)
def test_node_that_joins_gets_trials_and_one_that_leaves_ends_no_search(
    tiny_text: str, tmp_path: Path
) -> None:
    flags = write_inputs(tiny_text, trials=400, epochs=(100_000, 100_000))
    folder = tmp_path / "nodes"
    folder.mkdir()
    with ray_nodes(folder) as nodes:
        nodes.add("first", "--num-cpus=1")
        driver = subprocess.Popen(
            command([*flags, "--address", nodes.address, "--name", "grown", "--finalists", "0"]),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            wait_until(lambda: num_running("grown") == 1, driver)
            second = nodes.add("second", "--num-cpus=2")
            wait_until(lambda: num_running("grown") == 3, driver)
            before = len(trials_of("grown"))
            nodes.remove(second)
            epochs = Path("results/grown/epochs.csv")
            seen = len(epochs.read_text().splitlines())
            wait_until(lambda: len(epochs.read_text().splitlines()) > seen + 5, driver)
            driver.terminate()
            _, errors = driver.communicate()
            assert driver.returncode == 143, errors
        finally:
            kill_family(driver)
    trials = trials_of("grown")
    assert trials["number"].is_unique
    assert len(trials) >= before


@pytest.mark.long
def test_trials_see_the_gpu_that_ray_gives_them_and_no_other(
    tiny_text: str, tmp_path: Path
) -> None:
    # Logical GPUs by the names given to the node; no real GPU has them, so all train on the CPU.
    # No trial gets the driver's own list of GPUs.
    flags = [*write_inputs(tiny_text, trials=9), "--finalists", "0", "--name", "told"]
    with ray_nodes(tmp_path) as nodes:
        visible = {"CUDA_VISIBLE_DEVICES": "97,95"}
        nodes.add("only", "--num-cpus=8", "--num-gpus=2", environment=visible)
        flags += ["--address", nodes.address, "--gpus-per-trial", "0.5"]
        done = subprocess.run(
            [sys.executable, str(SUPPORT / "telling_search.py"), *flags],
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "3", "RAY_AUTH_MODE": "token"},
            capture_output=True,
            text=True,
        )
    assert done.returncode == 1, done.stderr
    assert ", 4 at once" in done.stdout
    trials = trials_of("told")
    assert len(trials) == 9  # ten useless ones would end the search
    told = [error.removeprefix("ValueError: ") for error in trials["error"]]
    assert set(told) == {f"sees {gpu}, trains on cpu" for gpu in (95, 97)}
    gpu_of = dict(zip(trials["number"], told, strict=True))
    running: dict[int, str] = {}
    for event in map(json.loads, Path("results/told/history.jsonl").read_text().splitlines()):
        if event["event"] == "TrialStarted":
            running[event["number"]] = gpu_of[event["number"]]
        elif event["event"] == "TrialEnded":
            del running[event["number"]]
        assert all(list(running.values()).count(gpu) <= 2 for gpu in set(told))
