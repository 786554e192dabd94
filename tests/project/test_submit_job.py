"""Jobs submitted by deploy/submit_job.py: to a server and a client of the test, and to a Ray."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from ray_nodes import free_port, ray_nodes
from repository import ROOT
from tiny_search import kill_family, trials_of, wait_until, write_inputs

SUBMIT_JOB = ROOT / "deploy" / "submit_job.py"
OUTPUT = "one\ntwo\nthree\n"


def needs_cluster_tools() -> None:
    pytest.importorskip("aiohttp", reason="jobs need Ray's cluster tools: pip install .[cluster]")
    pytest.importorskip("opencensus", reason="jobs need Ray's cluster tools")


class Dashboard(BaseHTTPRequestHandler):
    """As Ray's dashboard answers about a job that has ended with 3; it has no websockets."""

    tokens: list[str | None]

    def do_GET(self) -> None:
        if self.path.endswith("/tail"):
            self.send_error(404)
        elif self.path.endswith("/logs"):
            self.answer({"logs": OUTPUT})
        elif self.path == "/api/version":
            self.answer({"ray_version": "2.60.0", "version": "4"})
        else:
            ended = {"status": "FAILED", "driver_exit_code": 3, "entrypoint": "", "message": ""}
            self.answer({"type": "SUBMISSION", "submission_id": "a", **ended})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer({"job_id": "a", "submission_id": "a"})

    def answer(self, values: dict[str, Any]) -> None:
        self.tokens.append(self.headers.get("Authorization"))
        body = json.dumps(values).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def dashboard() -> Iterator[str]:
    Dashboard.tokens = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Dashboard) as server:
        threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize("place", ["home", "RAY_AUTH_TOKEN", "none"])
def test_token_is_sent_by_who_has_one(place: str, dashboard: str, tmp_path: Path) -> None:
    needs_cluster_tools()
    token = "0123456789abcdef" * 4
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")
    }
    environment["HOME"] = str(tmp_path)
    if place == "home":
        (tmp_path / ".ray").mkdir()
        (tmp_path / ".ray" / "auth_token").write_text(token, encoding="utf-8")
    elif place == "RAY_AUTH_TOKEN":
        environment["RAY_AUTH_TOKEN"] = token
    done = subprocess.run(
        [sys.executable, str(SUBMIT_JOB), "--address", dashboard, "--", "true"],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert (done.returncode, done.stdout) == (3, OUTPUT), done.stderr
    sent = None if place == "none" else f"Bearer {token}"
    assert Dashboard.tokens and set(Dashboard.tokens) == {sent}


class Client:
    """A client of Ray's whose connections end: each entry is what one of them brings.

    A number is how many characters of the output it shows before it ends, an error what it ends
    with; the job has ended when there are no more. "gone" is a dashboard that does not answer.
    """

    def __init__(self, connections: list[int | str | Exception]) -> None:
        self.connections = connections
        self.stopped = 0

    def submit_job(self, *, entrypoint: str) -> str:
        assert entrypoint == "python -m tune.run --space 'my space.py'"
        return "a"

    async def tail_job_logs(self, job_id: str) -> AsyncIterator[str]:
        brought = self.connections[0] if self.connections else len(OUTPUT)
        if isinstance(brought, Exception):
            raise brought
        if isinstance(brought, int):
            for start in range(0, brought, 3):
                yield OUTPUT[start : min(start + 3, brought)]

    def get_job_info(self, job_id: str) -> SimpleNamespace:
        from ray.job_submission import JobStatus

        if self.connections and self.connections[0] == "gone":
            raise RuntimeError("Request failed with status code 500")
        self.connections = self.connections[1:]
        if self.connections:
            return SimpleNamespace(status=JobStatus.RUNNING)
        status = JobStatus.STOPPED if self.stopped else JobStatus.FAILED
        return SimpleNamespace(status=status, driver_exit_code=None if self.stopped else 75)

    def get_job_logs(self, job_id: str) -> str:
        return OUTPUT

    def stop_job(self, job_id: str) -> bool:
        self.stopped += 1
        return True


@pytest.fixture
def submit_job(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, on a clock of its own: each second of sleep takes none."""
    needs_cluster_tools()
    spec = importlib.util.spec_from_file_location("submit_job", SUBMIT_JOB)
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    seconds = 0.0

    def sleep(more: float) -> None:
        nonlocal seconds
        seconds += more

    monkeypatch.setattr(script, "time", SimpleNamespace(monotonic=lambda: seconds, sleep=sleep))
    monkeypatch.setattr(script, "prepare_ray_environment", lambda address: None)
    return script


def exit_code(script: ModuleType, client: Client, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("ray.job_submission.JobSubmissionClient", lambda address: client)
    code: int = script.main(["--", "python", "-m", "tune.run", "--space", "my space.py"])
    return code


@pytest.mark.parametrize(
    "connections",
    [
        [],
        [5],
        [5, 2, 0, 9],
        [5, RuntimeError("WebSocket connection closed unexpectedly"), 9],
        [OSError("no route to host")],  # also at the end
    ],
)
def test_job_is_followed_over_connections_that_end(
    connections: list[int | str | Exception],
    submit_job: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert exit_code(submit_job, Client(connections), monkeypatch) == 75
    assert capsys.readouterr() == (OUTPUT, "job a\n")


def test_dashboard_that_answers_no_more_ends_the_following(
    submit_job: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert exit_code(submit_job, Client([5, "gone"]), monkeypatch) == 75
    assert submit_job.time.monotonic() >= submit_job.SILENT_SECONDS
    output, errors = capsys.readouterr()
    assert output == OUTPUT[:5]
    assert errors == "job a\nno answer about job a, which may still run\n"


def test_silent_connection_is_made_anew(
    submit_job: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import asyncio

    class Silent(Client):
        async def tail_job_logs(self, job_id: str) -> AsyncIterator[str]:
            yield OUTPUT[:5]
            await asyncio.Event().wait()

    monkeypatch.setattr(submit_job, "TAIL_SECONDS", 0.01)
    assert exit_code(submit_job, Silent([5, 5]), monkeypatch) == 75
    assert capsys.readouterr().out == OUTPUT


def test_interrupt_stops_the_job_and_shows_its_end(
    submit_job: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Interrupted(Client):
        async def tail_job_logs(self, job_id: str) -> AsyncIterator[str]:
            yield OUTPUT[:5]
            if not self.stopped:
                raise KeyboardInterrupt

    client = Interrupted([])
    assert exit_code(submit_job, client, monkeypatch) == 130
    assert client.stopped == 1
    assert capsys.readouterr() == (OUTPUT, "job a\nstopping job a\n")


@pytest.mark.long
@pytest.mark.timeout(2_000)
def test_job_is_submitted_followed_and_ends_with_our_exit_code(
    tiny_text: str, tmp_path: Path
) -> None:
    needs_cluster_tools()
    flags = write_inputs(tiny_text, trials=3)
    flags = [flags[0], str(tmp_path / flags[1]), flags[2], str(tmp_path / flags[3])]
    flags += ["--address", "auto", "--results", str(tmp_path / "results"), "--finalists", "0"]
    folder = tmp_path / "nodes"
    folder.mkdir()
    dashboard = free_port()
    with ray_nodes(folder) as nodes:
        nodes.add(
            "head",
            "--num-cpus=2",
            "--dashboard-host=127.0.0.1",
            f"--dashboard-agent-listen-port={free_port()}",
            f"--metrics-export-port={free_port()}",
            dashboard_port=dashboard,
            environment={"RAY_JOB_STOP_WAIT_TIME_S": "600"},  # the image has 120: a busy machine
        )
        address = f"http://127.0.0.1:{dashboard}"
        ours = [sys.executable, str(SUBMIT_JOB), "--address", address, "--"]
        rays = [sys.executable, "-m", "ray.scripts.scripts", "job", "submit"]
        rays += [f"--address={address}", "--"]
        environment = {**os.environ, "RAY_AUTH_MODE": "token"}

        def submit(how: list[str], *more: str) -> subprocess.CompletedProcess[str]:
            words = [*how, sys.executable, "-m", "tune.run", *flags, *more]
            return subprocess.run(words, capture_output=True, text=True, env=environment)

        done = submit(rays, "--name", "job")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "best configurations (tiny, all trials done):" in done.stdout
        assert len(trials_of("job")) == 3
        mistake = submit(ours, "--name", "job")  # it is there
        assert mistake.returncode == 2, mistake.stdout + mistake.stderr
        assert "a run folder must not exist yet" in mistake.stdout + mistake.stderr
        # Ray's own command knows 0 and 1 alone.
        assert submit(rays, "--name", "job").returncode == 1
        write_inputs(tiny_text, trials=3, epochs=(100_000, 100_000))
        words = [*ours, sys.executable, "-m", "tune.run", *flags, "--name", "stopped"]
        stopped = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        try:
            epochs = tmp_path / "results" / "stopped" / "epochs.csv"
            wait_until(epochs.exists, stopped)
            wait_until(lambda: len(epochs.read_text().splitlines()) > 5, stopped)
            stopped.send_signal(signal.SIGINT)
            output, _ = stopped.communicate()
        finally:
            kill_family(stopped)
        assert stopped.returncode == 130, output
        assert set(trials_of("stopped")["status"]) == {"STOPPED"}
        assert (tmp_path / "results" / "stopped" / "report.md").exists()
