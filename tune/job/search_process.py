"""A search in its own process, started by Python code: its progress, its end, its errors.

It is a process so that a notebook's threads, signals and memory stay apart from the search's; the
notebook's own Ray, if any, is joined like a cluster. It prints events, one JSON object per line.
"""

import atexit
import contextlib
import html
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from model.errors import EXTERNAL_FAULT, ConfigError, ExternalFault
from model.system.terminal import ENDS_WITH_STDIN, SIGNALS, complain

_ROOT = Path(__file__).resolve().parents[2]
POLL_SECONDS = 0.1
_NOTHING_FOUND, _MISTAKE = 1, 2
_INTERRUPTED = tuple(128 + number for number in SIGNALS)


class SearchProcess:
    """`python -m tune.run` as a process to wait for or to stop."""

    def __init__(self, arguments: Sequence[str], *, console: Console) -> None:
        """Start a search.

        Args:
            arguments: Those of the command.
            console: Where a bar shows its progress.
        """
        self._said = ""  # stderr; known after the end
        self._has_ended = threading.Event()
        # A file, because a pipe that nobody reads would fill.
        errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed where it is read)
        path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tune.run", *arguments, "--log-format", "json"],
            stdin=subprocess.PIPE,  # closed when this Python ends, however it does
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, "PYTHONPATH": path, ENDS_WITH_STDIN: "1"},
            text=True,
            # Ctrl-C goes to this Python first, which passes it on.
            start_new_session=True,
        )
        in_notebook = console.is_jupyter and not console.quiet
        self._follower = _Follower(_NotebookBar() if in_notebook else _TerminalBar(console))
        threading.Thread(target=self._follow, args=[errors], daemon=True).start()
        atexit.register(self._end)

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def wait_for_run(self) -> Path:
        """Wait until the search runs, or has ended, and return the run folder; see `wait`.

        Raises:
            KeyboardInterrupt: Ctrl-C ended it before it ran.
            ExternalFault: Another signal did.
        """
        follower = self._follower
        try:
            while self.is_running and not follower.has_run:
                time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            self.interrupt()
            self.wait()
            if not follower.has_run or not _is_typed():
                raise
        if not follower.has_run:
            self.wait()
        if follower.run is None or not follower.has_run:
            raise ExternalFault("the search was ended before it started")
        return follower.run

    def wait(self) -> None:
        """Wait for its end; the first Ctrl-C ends it with its results, the second at once.

        Raises:
            KeyboardInterrupt: Ctrl-C ended it, in a script; where one types, the run is there.
            ConfigError: The user's mistake, in one line.
            ExternalFault: Something outside ended it.
        """
        is_interrupted = False
        while True:
            try:
                # Not join: after Ctrl-C interrupts it, Python 3.11 considers the thread ended.
                self._has_ended.wait()
                code = self._process.wait()
                break
            except KeyboardInterrupt:
                self.interrupt()
                is_interrupted = True
        atexit.unregister(self._end)
        said = self._said
        if _is_end(code, said):
            if is_interrupted and not _is_typed():
                raise KeyboardInterrupt
            return
        line = said.splitlines()[-1] if said else f"the search ended with code {code}"
        line = line.removeprefix("tune.run: ").removeprefix("python -m tune.run: error: ")
        if code == _MISTAKE:
            raise ConfigError(line)
        if code == EXTERNAL_FAULT:
            raise ExternalFault(line)
        raise RuntimeError(said or line)  # our own bug

    def interrupt(self) -> None:
        """Ask it to end, as Ctrl-C on the command line does."""
        if self.is_running:
            self._process.send_signal(signal.SIGINT)

    def _end(self) -> None:
        """End a search that still runs when Python ends."""
        self.interrupt()
        self._process.wait()

    def _follow(self, errors: IO[bytes]) -> None:
        try:
            self._show()
            code = self._process.wait()
            assert self._process.stdin is not None
            self._process.stdin.close()
            with errors:
                errors.seek(0)
                self._said = errors.read().decode(errors="replace").strip()
            if self._said and _is_end(code, self._said):
                print(self._said, file=sys.stderr)
        finally:
            self._has_ended.set()

    def _show(self) -> None:
        assert self._process.stdout is not None
        with self._follower.bar, self._process.stdout as lines:
            for line in lines:
                if (event := _event_of(line)) is not None:
                    self._follower.take(event)


def _is_typed() -> bool:
    """Return whether a user types Python here, in a notebook say, and has no script that runs."""
    return hasattr(sys, "ps1")


def _is_end(code: int, said: str) -> bool:
    """Return whether a search ended properly or by a signal, not by an error."""
    # A Python error also exits with 1; a tracker may print its own traceback.
    has_crashed = code == _NOTHING_FOUND and "Traceback (most recent call last)" in said
    return code in (0, _NOTHING_FOUND, *_INTERRUPTED) and not has_crashed


def _event_of(line: str) -> dict[str, Any] | None:
    """Return a line's event; None for lines that a tracker, a cell or a library printed."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


class _TerminalBar(Progress):
    """A bar by rich."""

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        # On a quiet console, it would also swallow what others print meanwhile.
        super().__init__(*columns, console=console, disable=console.quiet)
        self._bar = self.add_task("planning", total=None)

    def show(self, words: str, done: float, total: float | None) -> None:
        """Show the search's progress, with some words beside it."""
        self.update(self._bar, description=words, completed=done, total=total)


class _NotebookBar(contextlib.nullcontext[None]):
    """A bar in a notebook, where rich's would need ipywidgets in the server's version."""

    def __init__(self) -> None:
        from IPython.display import HTML, display

        super().__init__()
        self._html = HTML
        self._shown = display(HTML("planning"), display_id=True)  # below the cell that started it

    def show(self, words: str, done: float, total: float | None) -> None:
        """Show the search's progress, with some words beside it."""
        value = f' value="{min(1.0, done / total):.3f}"' if total else ""
        self._shown.update(self._html(f"<progress{value}></progress> {html.escape(words)}"))


class _Follower:
    """Shows a search's progress by its time budget, or by the number of ended trials.

    Attributes:
        bar: Shows the progress; a context manager.
        run: The run folder, once the search has announced its plan; None before.
    """

    def __init__(self, bar: _TerminalBar | _NotebookBar) -> None:
        self.bar = bar
        self.run: Path | None = None
        self._budget_seconds: float | None = None
        self._search_seconds = 0.0
        self._num_trials, self._num_ended, self._best = 0, 0, ""

    @property
    def has_run(self) -> bool:
        """Whether the search has started; a resumed one has its folder before it is checked."""
        return self.run is not None and self.run.exists()

    def take(self, event: dict[str, Any]) -> None:
        """Learn of an event."""
        kind = event["event"]
        if kind in ("warning", "order"):
            complain("tune.search", event["text"])
            return
        if kind == "search_ended":  # a run finished earlier has no plan
            self.run = Path(event["report"]).parent
        elif kind == "plan":
            self.run = Path(event["run_folder"])
            self._num_trials = event["num_trials"]
            self._budget_seconds = event["time_budget_seconds"]
        elif kind == "trial_ended" and not event["is_finalist"]:
            self._num_ended = event["num_ended"]
            if event["best_val_bits_per_char"] is not None:
                self._best = f", best {event['best_val_bits_per_char']:.4f}"
        self._search_seconds = max(self._search_seconds, event.get("search_seconds") or 0)
        done, total = float(self._num_ended), float(self._num_trials)
        if self._budget_seconds is not None:
            done, total = self._search_seconds, self._budget_seconds
        trials = f"{self._num_ended} of {self._num_trials} trials{self._best}"
        self.bar.show(event["ended"] if kind == "search_ended" else trials, done, total)
