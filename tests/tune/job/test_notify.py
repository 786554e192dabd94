"""`--notify`: a command or a webhook is told how a search ended; what fails there is one line."""

import http.server
import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hand_made_run import STUDY, hand_made
from model.errors import ConfigError, ExternalFault
from tune.job import notify
from tune.job.notify import check_notify, notified, told
from tune.planning.study import StudyOptions
from tune.records.run_folder import RunFolder

HUSH = "/services/T0/hush"


class Webhook(http.server.BaseHTTPRequestHandler):
    """Answers a code, after an event, and keeps what it was sent."""

    code = 200
    bodies: list[Any]
    answers: threading.Event

    def do_POST(self) -> None:
        self.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.answers.wait()
        self.send_response(self.code)
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def do_GET(self) -> None:
        self.bodies.append("a GET")
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def webhook(code: int = 200, *, silent: bool = False) -> Iterator[tuple[str, list[Any]]]:
    """Start a server; yield a URL of it and what it is sent."""
    answers = threading.Event()
    if not silent:
        answers.set()
    handler = type("Handler", (Webhook,), {"code": code, "bodies": [], "answers": answers})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}{HUSH}", handler.bodies  # type: ignore[attr-defined]
        finally:
            answers.set()
            server.shutdown()
            thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder.create(tmp_path / "ten", STUDY)
    made.write_tables(hand_made())
    return made


def end(
    folder: RunFolder, target: str, error: BaseException | None = None, **options: Any
) -> None:
    """Have a search end, with exit code 0 or an error."""

    def run() -> int:
        if error is not None:
            raise error
        return 0

    assert notified(StudyOptions(notify=target, **options), folder, run) == 0


def test_command_has_the_outcome_on_its_standard_input(
    folder: RunFolder, capfd: pytest.CaptureFixture[str]
) -> None:
    end(folder, "cat > told.json; echo much")
    values = json.loads(Path("told.json").read_text(encoding="utf-8"))
    assert values["run"] == "ten" and Path(values["folder"]) == folder.path.resolve()
    assert (values["exit_code"], values["ended"]) == (0, STUDY.ended)
    assert (values["best_trial"], values["best_val_bits_per_char"]) == (3, 1.96)
    assert values["best"]["hidden_size"] == 512 and values["trials"] == 7
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_webhook_is_posted_the_same(folder: RunFolder, capfd: pytest.CaptureFixture[str]) -> None:
    with webhook() as (url, bodies):
        end(folder, url)
    assert bodies == [told(folder, 0, "")]
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("error", "code"),
    [(ExternalFault("disk full"), 75), (ConfigError("too large"), 2), (ZeroDivisionError(), 1)],
)
def test_search_that_an_error_ends_is_told_with_it(
    error: Exception, code: int, tmp_path: Path
) -> None:
    with pytest.raises(type(error)):
        end(RunFolder(tmp_path / "never begun"), "cat > told.json", error)
    values = json.loads(Path("told.json").read_text(encoding="utf-8"))
    assert values["exit_code"] == code
    assert values["ended"] == (str(error) or "ZeroDivisionError")
    assert "best" not in values


def test_plan_and_second_ctrl_c_are_not_told(folder: RunFolder) -> None:
    end(folder, "touch told", dry_run=True)
    with pytest.raises(KeyboardInterrupt):
        end(folder, "touch told", KeyboardInterrupt())
    assert not Path("told").exists()


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("echo no mail >&2; exit 3 # hush", "exit code 3: no mail"),
        ("exit 4 # hush", "exit code 4"),
        # What it leaves running would hold a pipe, and outlive it.
        ("sleep 600 & sleep 600 # hush", "the command took longer than 0.5 s"),
    ],
)
def test_command_that_fails_or_hangs_is_one_line_without_it(
    command: str,
    line: str,
    folder: RunFolder,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(notify, "NOTIFY_SECONDS", 0.5 if "sleep" in command else 300.0)
    end(folder, command)
    assert capfd.readouterr() == ("", f"--notify failed: {line}\n")


def test_command_that_leaves_something_running_is_not_waited_for(
    folder: RunFolder, capfd: pytest.CaptureFixture[str]
) -> None:
    end(folder, "sleep 600 >&2 & echo $! > left")
    assert capfd.readouterr().err == ""
    os.kill(int(Path("left").read_text()), signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("code", [302, 307, 500])
def test_webhook_that_refuses_is_one_line_without_its_address(
    code: int, folder: RunFolder, capfd: pytest.CaptureFixture[str]
) -> None:
    with webhook(code) as (url, bodies):
        end(folder, url)
    assert capfd.readouterr().err == f"--notify failed: the server answered {code}\n"
    assert len(bodies) == 1  # no redirect was followed


@pytest.mark.slow
def test_webhook_that_is_silent_or_gone_is_one_line(
    folder: RunFolder, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with webhook(silent=True) as (url, _), monkeypatch.context() as patched:
        patched.setattr(notify, "NOTIFY_SECONDS", 0.2)
        end(folder, url)
    silent = capfd.readouterr().err
    assert silent.count("\n") == 1 and silent.startswith("--notify failed: ")
    end(folder, url)
    gone = capfd.readouterr().err
    assert gone.count("\n") == 1 and "Connection refused" in gone
    assert "hush" not in silent + gone


def test_what_is_no_target_is_refused_without_showing_it() -> None:
    for target in ("", " ", "https://", "https:///hush", "https://host/hush hush"):
        with pytest.raises(ConfigError, match="--notify needs a command, or a URL") as caught:
            check_notify(target)
        assert "hush" not in str(caught.value)
    check_notify("mail -s done me")
    check_notify("https://host/path")
