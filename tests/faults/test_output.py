"""Output that cannot be printed ends no search and changes no exit code."""

import io
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hand_made_run import STUDY, hand_made
from model.system.terminal import (
    SteadyOutput,
    end_on_signals,
    interrupted_exit_code,
    steady_output,
    take_signals_back,
)
from repository import ROOT
from tiny_search import (
    command,
    kill_family,
    num_epochs,
    wait_until,
    write_inputs,
)
from tune.job import finish
from tune.records.history import History
from tune.records.run_folder import RunFolder


def test_stream_whose_reader_is_gone_is_muted() -> None:
    reading, writing = os.pipe()
    stream = SteadyOutput(open(writing, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
    os.close(reading)
    for num_lines in (1, 10_000, 1):
        assert stream.write("a line\n" * num_lines) == 7 * num_lines
        stream.flush()
    stream.close()  # the rest of the buffer raises no error


def test_letter_that_an_encoding_lacks_is_shown_as_another() -> None:
    buffer = io.BytesIO()
    stream = SteadyOutput(io.TextIOWrapper(buffer, encoding="ascii"))
    stream.write("measuring …")
    stream.flush()
    assert buffer.getvalue() == b"measuring ?"
    assert stream.encoding == "ascii" and not stream.isatty()


def test_full_disk_under_standard_output_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123
        monkeypatch.setattr(sys, "stdout", full)
        with steady_output():
            print("nobody reads it", flush=True)
            print("nor this")


@pytest.mark.slow
@pytest.mark.parametrize("module", ["tune.status", "tune.report", "model.score"])
def test_command_whose_output_finds_a_full_disk_says_so(
    module: str, trained_checkpoint: Path, tiny_text: str
) -> None:
    Path("book.txt").write_text(tiny_text, encoding="utf-8")
    run = RunFolder.create(Path("ten"))
    run.write_study(STUDY)
    run.write_tables(hand_made())
    with History(run.history_file):
        of_run = [str(run.path)]
    words = [str(trained_checkpoint), "--text", "book.txt"] if module == "model.score" else of_run
    with open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-m", module, *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    expected = "char-lstm-tune: cannot write the output: No space left on device\n"
    assert (done.returncode, done.stderr) == (75, expected)


@pytest.mark.slow
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("words", ["tune.run --space ful", "tune.status nowhere"])
def test_stream_that_is_closed_changes_no_exit_code(closed: str, words: str) -> None:
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh"]
    done = subprocess.run(
        [*shell, sys.executable, "-m", *words.split()], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == ("2>&-" not in closed)


_CLOSED_TERMINAL = """
import os, signal, subprocess, sys, threading, time
from model.system.terminal import end_on_signals, take_signals_back
signal.signal(signal.SIGHUP, signal.SIG_DFL)
# As those of numpy: begun before, it does not block the signal.
threading.Thread(target=time.sleep, args=(1e6,), daemon=True).start()
handler = end_on_signals()
code = "import os, signal; os.kill(os.getpid(), signal.SIGHUP); print('lives', flush=True)"
subprocess.run([sys.executable, "-c", code], check=True)
os.kill(os.getpid(), signal.SIGHUP)
print("starts", flush=True)
try:
    take_signals_back()
except KeyboardInterrupt:
    sys.exit(handler.exit_code())
"""


def test_terminal_that_is_closed_as_ray_starts_ends_it_when_it_has() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _CLOSED_TERMINAL],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (129, "lives\nstarts\n", "")


def test_exit_code_tells_the_first_signal() -> None:
    before = {number: signal.getsignal(number) for number in (1, 2, 15)}
    study: Any = None
    interrupted: Any = SimpleNamespace(interrupted=True)
    try:
        for under_nohup in (True, False):
            signal.signal(signal.SIGHUP, signal.SIG_IGN if under_nohup else signal.SIG_DFL)
            handler = end_on_signals()
            is_held = signal.SIGHUP in signal.pthread_sigmask(signal.SIG_BLOCK, ())
            assert is_held != under_nohup  # while Ray starts
            take_signals_back()
            assert signal.SIGHUP not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
            assert (signal.getsignal(signal.SIGHUP) == signal.SIG_IGN) == under_nohup
            handler.release()
            expected = signal.SIG_IGN if under_nohup else signal.SIG_DFL
            assert signal.getsignal(signal.SIGHUP) == expected
        assert handler.exit_code() == 130
        for number in (15, 2):
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), number)
            assert handler.exit_code() == interrupted_exit_code() == 143
            # `search_ended` reports it, and `tune.run` exits with it.
            assert finish._exit_code(study, interrupted) == 143
    finally:
        for number, known in before.items():
            signal.signal(number, known)
    assert interrupted_exit_code() == 130  # in a process that handles signals itself


@pytest.mark.slow
def test_reader_that_is_gone_ends_no_search(tiny_text: str) -> None:
    flags = write_inputs(tiny_text, trials=3)
    words = command([*flags, "--name", "unread", "--finalists", "0"])
    search = subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert search.stdout is not None
    assert search.stdout.readline().startswith("corpus: ")
    assert search.stdout.readline() == "measuring how fast a trial trains here ?\n"
    search.stdout.close()  # as `| head -2` does
    search.stdout = None
    _, errors = search.communicate()
    assert (search.returncode, errors) == (0, "")
    for name in ("report.md", "best.json", "samples.md"):
        assert Path("results/unread", name).is_file(), name


@pytest.mark.slow
def test_closed_terminal_leaves_the_results(tiny_text: str) -> None:
    flags = write_inputs(tiny_text, epochs=(4_000, 5_000), trials=2)
    ours, theirs = pty.openpty()
    # Inherited: these tests may run under `nohup`.
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    search = subprocess.Popen(
        command([*flags, "--name", "long", "--finalists", "0"]),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        text=True,
        start_new_session=True,
    )
    signal.signal(signal.SIGHUP, before)
    try:
        os.close(theirs)
        os.set_blocking(ours, False)
        wait_until(lambda: bool(drained(ours)) and len(num_epochs("long")) > 0, search)
        os.close(ours)  # from now on all its output fails
        os.killpg(search.pid, signal.SIGHUP)
        search.wait()
    finally:
        kill_family(search)
    assert search.returncode == 129
    assert "interrupted" in Path("results/long/report.md").read_text(encoding="utf-8")
    assert Path("results/long/best.json").is_file()


def drained(terminal: int) -> bool:
    """Read what was sent to a terminal, so that it accepts more."""
    try:
        while os.read(terminal, 65_536):
            pass
    except BlockingIOError:
        return True
    return True
