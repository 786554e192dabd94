"""deploy/slurm.sh with stand-ins for Slurm: what each node is given, and how a job ends."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model.system.limits import free_bytes
from repository import ROOT
from tiny_search import free_port, kill_family, trials_of, wait_until, write_inputs
from tune.cluster.temporary_folder import MAX_SOCKET_BYTES
from tune.wait_for_nodes import SOME_NODES

SLURM = ROOT / "deploy" / "slurm.sh"

SRUN = """#!{python}
# A stand-in for Slurm's srun: each task is a process here, in a folder of its own.
import os, signal, subprocess, sys
flags, words = {{}}, sys.argv[1:]
while words[0].startswith("--"):
    name, _, value = words.pop(0).partition("=")
    flags[name] = value
nodes = [flags["--nodelist"]] if "--nodelist" in flags else [
    node for node in os.environ["SLURM_JOB_NODELIST"].split(",") if node != flags["--exclude"]
]
assert len(nodes) == int(flags["--nodes"]) == int(flags["--ntasks"]), (nodes, flags)
assert os.environ["SRUN_CPUS_PER_TASK"] == os.environ["SLURM_CPUS_PER_TASK"]
if len(nodes) == 1:
    os.makedirs(nodes[0], exist_ok=True)
    os.chdir(nodes[0])
    os.execvp(words[0], words)
tasks = [
    subprocess.Popen([sys.argv[0], "--nodes=1", "--ntasks=1", f"--nodelist={{node}}", *words])
    for node in nodes
]
signal.signal(signal.SIGTERM, lambda *_: [task.terminate() for task in tasks])
codes = []
for task in tasks:
    codes.append(task.wait())
    if codes[-1] and (flags.get("--kill-on-bad-exit"), flags.get("--wait")) != ("0", "0"):
        for task in tasks:
            task.terminate()
sys.exit(max(codes))
"""
SCONTROL = """#!{python}
# A stand-in for Slurm's scontrol.
import sys
if sys.argv[1:3] == ["show", "hostnames"]:
    print(*sys.argv[3].split(","), sep="\\n")
else:
    with open("scontrol.log", "a") as log:
        print(*sys.argv[1:], file=log)
"""
SQUEUE = """#!{python}
# A stand-in for Slurm's squeue.
import os
print(os.environ["JOB_STATE"])
"""
PYTHON = """#!{python}
# A stand-in for the job's Python: it writes down how it was called, and does as CODES says.
import json, os, signal, socket, sys, time
words = sys.argv[1:]
if words[0] == "-c":
    os.execv("{python}", ["{python}", *words])
codes = json.loads(os.environ["CODES"])
module = words[1]
code = codes.get(module, 0)
nodes = os.environ["SLURM_JOB_NODELIST"].split(",")
def wait_for_nodes():
    paths = [os.path.join(os.environ["SLURM_SUBMIT_DIR"], node, "started.json") for node in nodes]
    while not all(map(os.path.exists, paths)):
        time.sleep(0.01)
if module == "ray.scripts.scripts":
    place = os.environ["RAY_TMPDIR"]
    code = codes.get(os.path.basename(os.getcwd()))
    store = int(os.environ["RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES"])
    mode = os.stat(place).st_mode & 0o777
    with open("started.json.part", "w") as file:
        values = {{"words": words, "place": place, "store": store, "mode": mode}}
        json.dump({{**values, "pid": os.getpid()}}, file)
    if code is None and "--head" in words:
        address = [word.partition("=")[2] for word in words if "address=" in word][0]
        port = [word.partition("=")[2] for word in words if word.startswith("--port=")][0]
        listening = socket.create_server((address, int(port)))
    os.rename("started.json.part", "started.json")
    if code and "--head" not in words:
        wait_for_nodes()  # its folder, which is removed, is theirs on this one machine
elif module == "tune.wait_for_nodes":
    assert words[2] == str(len(nodes))
    wait_for_nodes()
elif module == "tune.run":
    pids = {{node: json.load(open(f"{{node}}/started.json"))["pid"] for node in nodes}}
    places = {{node: f"/proc/{{pid}}" for node, pid in pids.items()}}
    while any(os.path.exists(places[node]) for node in codes if node in nodes):
        time.sleep(0.01)
    with open("search.json", "w") as file:
        json.dump([os.path.exists(place) for place in places.values()], file)
if code is None:
    signal.pause()
sys.exit(code)
"""


def slurm_environment(folder: Path) -> dict[str, str]:
    """Return what a job sees that was submitted in a folder, with Slurm's commands there."""
    commands = folder / "bin"
    commands.mkdir()
    programs = {"srun": SRUN, "scontrol": SCONTROL, "squeue": SQUEUE, "python": PYTHON}
    for name, text in programs.items():
        (commands / name).write_text(text.format(python=sys.executable), encoding="utf-8")
        (commands / name).chmod(0o755)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RAY_AUTH", "SLURM_"))
    }
    return {
        **kept,
        "PATH": f"{commands}:{os.environ['PATH']}",
        "SLURM_JOB_ID": str((free_port() - 20_000) // 2),  # the script makes its ports of it
        "SLURM_SUBMIT_DIR": str(folder),
        "SLURM_CPUS_PER_TASK": "2",
        "SLURM_GPUS_ON_NODE": "0",
        "JOB_STATE": "RUNNING",
    }


@dataclasses.dataclass(kw_only=True)
class Job:
    """A job of stand-ins alone.

    Attributes:
        folder: Where it was submitted.
        environment: What its script sees.
        output: What it printed.
    """

    folder: Path
    environment: dict[str, str]
    output: str = ""

    def start(self, codes: dict[str, int | None], **changes: str) -> subprocess.Popen[str]:
        """Start it; codes has what modules and nodes end with, None is that they do not."""
        (self.folder / "search.json").unlink(missing_ok=True)
        return subprocess.Popen(
            ["bash", str(SLURM), "--space", "full"],
            env={**self.environment, "CODES": json.dumps(codes), **changes},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def ended(self, codes: dict[str, int | None], **changes: str) -> tuple[int, bool]:
        """Return its exit code, and whether it was queued again."""
        log = self.folder / "scontrol.log"
        log.unlink(missing_ok=True)
        job = self.start(codes, **changes)
        try:
            self.output, _ = job.communicate()
        finally:
            kill_family(job)
        return job.returncode, log.exists()

    def started(self, node: str) -> dict[str, Any]:
        """Return how Ray was started on a node."""
        values: dict[str, Any] = json.loads((self.folder / node / "started.json").read_text())
        return values

    def flag(self, node: str, name: str) -> int:
        """Return a number that it was started with."""
        (word,) = (word for word in self.started(node)["words"] if word.startswith(f"--{name}="))
        return int(word.partition("=")[2])

    @property
    def num_searched(self) -> int | None:
        """Return on how many nodes the search found a Ray; None where there was no search."""
        path = self.folder / "search.json"
        return sum(json.loads(path.read_text())) if path.exists() else None

    @property
    def faults(self) -> Path:
        return self.folder / f"slurm-{self.environment['SLURM_JOB_ID']}.faults"


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="t") as short:
        environment = {
            **slurm_environment(tmp_path),
            "PYTHON": str(tmp_path / "bin" / "python"),
            "RAY_TMPDIR": short,
            "SLURM_JOB_NODELIST": "one",
        }
        yield Job(folder=tmp_path, environment=environment)
        assert not any(Path(short).iterdir())  # each node removes its folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "mebibytes"),
    [
        ({"SLURM_MEM_PER_NODE": "1000"}, 1000),
        ({"SLURM_MEM_PER_CPU": "100"}, 200),
        ({"SLURM_MEM_PER_GPU": "500", "SLURM_GPUS_ON_NODE": "3"}, 1500),
        ({"SLURM_MEM_PER_NODE": "0"}, None),  # --mem=0
        ({}, None),
        ({"SLURM_MEM_PER_NODE": str(1 << 40)}, None),  # more than there is
    ],
)
def test_each_node_gives_trials_what_the_job_has_there(
    asked: dict[str, str], mebibytes: int | None, job: Job
) -> None:
    nodes = "one,two,three"
    assert job.ended({}, SLURM_JOB_NODELIST=nodes, **asked) == (0, False), job.output
    for node in nodes.split(","):
        total = job.flag(node, "memory") + job.started(node)["store"]
        if mebibytes is None:
            assert total == pytest.approx(free_bytes(), rel=0.6)  # others take and give back
        else:
            assert total == mebibytes << 20
        assert job.started(node)["store"] == pytest.approx(0.3 * total, abs=1)
        assert job.flag(node, "num-cpus") == 2
    assert job.num_searched == 3


@pytest.mark.slow
def test_rays_files_lie_in_a_folder_of_the_job_alone(job: Job) -> None:
    # The fixture looks whether they are gone.
    assert job.ended({}, SLURM_JOB_NODELIST="one,two") == (0, False), job.output
    for node in ("one", "two"):
        started = job.started(node)
        place = Path(job.environment["RAY_TMPDIR"], f"ray-{job.environment['SLURM_JOB_ID']}")
        assert Path(started["place"]) == place
        assert started["mode"] == 0o700
    # By default it is in /tmp, and short enough for Ray's sockets.
    del job.environment["RAY_TMPDIR"]
    longest = str(2**32)
    assert job.ended({}, SLURM_JOB_ID=longest) == (0, False), job.output
    place = Path(job.started("one")["place"])
    assert place == Path(f"/tmp/ray-{longest}") and not place.exists()
    session = f"/ray/session_2026-11-28_09-01-06_155854_{2**22}/sockets/plasma_store"
    assert len(f"{place}{session}") <= MAX_SOCKET_BYTES


@pytest.mark.slow
def test_folder_of_somebody_else_is_not_used(job: Job, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    place = Path(job.environment["RAY_TMPDIR"], f"ray-{job.environment['SLURM_JOB_ID']}")
    place.symlink_to(tmp_path / "theirs")
    assert job.ended({}) == (75, True)
    assert f"{place} must be a folder of this job's" in job.output
    assert place.is_symlink() and not (tmp_path / "one" / "started.json").exists()
    place.unlink()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("codes", "ends", "num_searched"),
    [
        ({}, (0, False), 3),
        ({"two": 1}, (0, False), 2),  # its Ray does not start, and ends no other's
        ({"tune.wait_for_nodes": SOME_NODES}, (0, False), 3),
        ({"tune.wait_for_nodes": 1}, (1, False), None),  # Python failed
        ({"tune.wait_for_nodes": 75}, (75, True), None),  # all are
        ({"one": 1}, (75, True), None),  # the head
        ({"tune.run": 2}, (2, False), 3),  # the user's mistake
        ({"tune.run": 75}, (75, True), 3),
    ],
)
def test_search_runs_on_the_nodes_that_there_are(
    codes: dict[str, int | None], ends: tuple[int, bool], num_searched: int | None, job: Job
) -> None:
    nodes = "one,two,three"
    assert job.ended(codes, SLURM_JOB_NODELIST=nodes) == ends, job.output
    assert job.num_searched == num_searched


@pytest.mark.slow
def test_faults_in_a_row_are_counted_and_preemptions_are_not(job: Job) -> None:
    often = {"SLURM_RESTART_COUNT": "50"}
    assert job.ended({"tune.run": 75}, **often) == (75, True), job.output
    assert job.ended({"tune.run": 75}, **often) == (75, True), job.output
    assert job.faults.read_text() == "2\n"
    running = job.start({"tune.run": None}, **often)
    try:
        wait_until((job.folder / "search.json").exists, running, poll_seconds=0.01)
        running.send_signal(signal.SIGTERM)
        running.communicate()
    finally:
        kill_family(running)
    assert running.returncode == 143 and (job.folder / "scontrol.log").exists()
    assert not job.faults.exists()  # the row has ended
    job.faults.write_text("19\n")
    assert job.ended({"tune.run": 75}) == (75, True), job.output
    assert job.ended({"tune.run": 75}) == (75, False), job.output
    assert job.ended({"tune.run": 75}, JOB_STATE="COMPLETING") == (75, False), job.output
    assert job.ended({}) == (0, False) and not job.faults.exists()


@pytest.mark.slow
def test_where_faults_cannot_be_counted_all_restarts_are(job: Job) -> None:
    job.faults.mkdir()  # as where the disk is full
    for restarts, is_requeued in (("19", True), ("20", False)):
        ended = job.ended({"tune.run": 75}, SLURM_RESTART_COUNT=restarts)
        assert ended == (75, is_requeued), job.output
    assert job.ended({}) == (0, False), job.output


@pytest.mark.long
@pytest.mark.timeout(2_500)
def test_slurm_job_uses_its_nodes_is_preempted_and_goes_on(tiny_text: str, tmp_path: Path) -> None:
    flags = write_inputs(tiny_text, trials=5, epochs=(150, 250))
    environment = {
        **slurm_environment(tmp_path),
        "PYTHON": sys.executable,
        "SLURM_JOB_NODELIST": "one,two",
        "SLURM_CPUS_PER_TASK": "1",
    }
    run = f"slurm-{environment['SLURM_JOB_ID']}"

    def start(**changes: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", str(SLURM), *flags, "--finalists", "0"],
            env={**environment, **changes},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    job = start(JOB_STATE="COMPLETING")  # as after scancel
    try:
        for state in ("COMPLETING", "RUNNING"):
            # The first node's Ray starts, no search yet.
            wait_until((tmp_path / "one").exists, job, poll_seconds=0.1)
            job.send_signal(signal.SIGTERM)
            output, _ = job.communicate()
            assert job.returncode in (130, 143), output
            assert not (tmp_path / "results" / run).exists()
            assert (tmp_path / "scontrol.log").exists() == (state == "RUNNING")
            (tmp_path / "one").rmdir()
            job = start()
        requeued = f"requeue {environment['SLURM_JOB_ID']}\n"
        assert (tmp_path / "scontrol.log").read_text() == requeued
        epochs = tmp_path / "results" / run / "epochs.csv"
        wait_until(epochs.exists, job)
        wait_until(lambda: len(epochs.read_text().splitlines()) >= 20, job)
        job.send_signal(signal.SIGTERM)
        output, _ = job.communicate()
        assert job.returncode == 143, output
        assert "2 of 2 nodes are there" in output
        assert ", 2 at once" in output  # one core on each of the two nodes
        assert (tmp_path / "scontrol.log").read_text() == 2 * requeued
        before = len(epochs.read_text().splitlines())
        shutil.rmtree(tmp_path / "results")  # the next time it may be other machines
        job = start()
        output, _ = job.communicate()
        assert job.returncode == 0, output
    finally:
        kill_family(job)
    trials = trials_of(run)
    assert trials["number"].to_list() == list(range(5))
    assert trials["status"].isin(["COMPLETE", "PRUNED"]).all()
    assert len(epochs.read_text().splitlines()) > before
    assert json.loads((tmp_path / "runs" / run / "study.json").read_text())["ended"]
    assert (tmp_path / "scontrol.log").read_text() == 2 * requeued
