"""What is printed does nothing to a terminal: errors, lines, names, generated text."""

import http.server
import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from model import train
from model.errors import CorpusError
from model.system.terminal import ENDS_WITH_STDIN, complain, printable, say
from model.text.corpus import resolve_corpus
from repository import ROOT

HOSTILE = "\x1b]0;owned\x07\x9b2J\u202egnp\u061c"
SHOWN = "\\x1b]0;owned\\x07\\x9b2J\\u202egnp\\u061c"


class Hostile(http.server.BaseHTTPRequestHandler):
    """Answers with a status line that would set a terminal's title."""

    def do_GET(self) -> None:
        self.wfile.write("HTTP/1.0 404 gone \x1b]0;owned\x07\r\n\r\n".encode("latin-1"))

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def url() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hostile) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/book.txt"
        server.shutdown()
        thread.join()


def test_error_of_others_is_one_line_that_does_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    complain("tune.run", f"no {HOSTILE}\nbook")
    assert capsys.readouterr().err == f"tune.run: no {SHOWN} book\n"


def test_line_of_others_does_nothing() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=200)
    say(console, f"trial [bold]{HOSTILE}")
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == f"trial [bold]{SHOWN}\n"


def test_marks_of_arabic_and_hebrew_text_are_text() -> None:
    assert printable("\u200fشعر\u200e abc\tdef\n") == "\u200fشعر\u200e abc\tdef\n"


@pytest.mark.slow
def test_status_line_of_a_server_does_nothing(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main(["--corpus", url]) == 2
    errors = capsys.readouterr().err
    assert "\\x1b]0;owned" in errors and "\x1b" not in errors and errors.count("\n") == 1


def test_name_of_a_file_does_nothing(tiny_text: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("book\x1b]0;owned\x07.txt")
    path.write_text(tiny_text, encoding="utf-8")
    flags = ["--epochs", "1", "--hidden-size", "4", "--batch-size", "4"]
    flags += ["--precision", "float32", "--kernel", "torch"]  # nothing is measured
    assert train.main(["--corpus", str(path), *flags]) == 0
    printed = capsys.readouterr()
    assert "book\\x1b]0;owned\\x07.txt" in printed.out + printed.err
    assert "\x1b" not in printed.out + printed.err


def test_signature_of_a_url_is_not_told(url: str) -> None:
    with pytest.raises(CorpusError) as refused:
        resolve_corpus(f"{url}?X-Amz-Expires=60&X-Amz-Signature=hush")
    assert "hush" not in str(refused.value) and "X-Amz-Expires=60" in str(refused.value)


_WAITS = """
import signal, sys, time
from model.system.terminal import end_on_signals, end_with_stdin
handler = end_on_signals()
end_with_stdin(handler)
signals = []
def graceful(number, frame):
    handler.note(number)
    signals.append(number)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, graceful)
print("ready", flush=True)
while not signals:
    time.sleep(0.01)
print("ends", flush=True)
time.sleep(1.0)
print(*signals, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("is_signalled", [True, False])
def test_end_of_stdin_is_a_signal_where_there_was_none(is_signalled: bool) -> None:
    """After a first one it would be the second, which ends at once and writes no results."""
    with subprocess.Popen(
        [sys.executable, "-c", _WAITS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, ENDS_WITH_STDIN: "1"},
    ) as child:
        assert child.stdin is not None and child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        if is_signalled:
            child.send_signal(signal.SIGINT)
            assert child.stdout.readline() == "ends\n"
        child.stdin.close()
        seen = child.stdout.read().split()
    assert seen == (["2"] if is_signalled else ["ends", "15"])


_IMPORTS = """
import sys
from model.system.terminal import end_on_signals
handler = end_on_signals()
try:
    import slow_module
except KeyboardInterrupt:
    print("cut off")
    raise
finally:
    print(getattr(sys.modules.get("slow_module"), "is_whole", False), flush=True)
while True:
    pass
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_amid_an_import_waits_for_its_end(number: signal.Signals, tmp_path: Path) -> None:
    """What is imported in part is imported again by the next thread: torch does not survive it."""
    module = """
import signal, time
print("begun", flush=True)
while signal.getsignal(signal.SIGINT).first is None:
    time.sleep(0.01)
time.sleep(0.2)
is_whole = True
"""
    (tmp_path / "slow_module.py").write_text(module, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "-c", _IMPORTS],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
    ) as child:
        assert child.stdout is not None and child.stderr is not None
        assert child.stdout.readline() == "begun\n"
        child.send_signal(number)
        assert child.stdout.read() == "True\n"
        assert child.stderr.read().rstrip().endswith("KeyboardInterrupt")
