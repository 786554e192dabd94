"""How much of a real search is training, and how soon that starts: the command, from outside."""

import dataclasses
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tune.records.run_folder import RunFolder

POLL_SECONDS = 0.05
STARTS = 5
"""Number of commands whose start is timed."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SearchCost:
    """Where the time of a search went.

    Attributes:
        num_trials: Trials that were started.
        command_seconds: From the start to the end of the process.
        search_seconds: From the first training step to the end of the search.
        trained_seconds: Training and evaluation of all reported epochs, on all workers.
        num_workers: Number of parallel trials.
    """

    num_trials: int
    command_seconds: float
    search_seconds: float
    trained_seconds: float
    num_workers: int

    @property
    def share_of_search(self) -> float:
        """Training's share of worker time, from the first training step on."""
        return self.trained_seconds / (self.num_workers * self.search_seconds)

    @property
    def share_of_command(self) -> float:
        """Training's share of worker time, including start and final output."""
        return self.trained_seconds / (self.num_workers * self.command_seconds)


def start_seconds(corpus: str) -> float:
    """Return the seconds from the command, `quick` on a text, to its first training step.

    The search is interrupted after its first report.
    """
    with tempfile.TemporaryDirectory() as results:
        folder = RunFolder(Path(results) / "timed")
        start = time.perf_counter()
        process = _command(folder, "--space", "quick", "--corpus", corpus)
        event = _first_epoch(folder.history_file, process)
        # The report arrived just now; its epoch took `elapsed_seconds`.
        seconds = time.perf_counter() - start - event["elapsed_seconds"]
        process.send_signal(signal.SIGINT)
        process.wait()
        return seconds


def search_cost(minutes: float, num_workers: int) -> SearchCost:
    """Run the command for a number of minutes and measure where the time went."""
    with tempfile.TemporaryDirectory() as results:
        folder = RunFolder(Path(results) / "timed")
        start = time.perf_counter()
        process = _command(
            folder,
            *("--space", "full", "--corpus", "python-docs", "--finalists", "0"),
            *("--time-budget", f"{minutes:g}m", "--max-concurrent", str(num_workers)),
        )
        event = _first_epoch(folder.history_file, process)
        assert process.wait() == 0
        command_seconds = time.perf_counter() - start
        trials, _ = folder.read_tables()
        before_seconds = event["search_seconds"] - event["elapsed_seconds"]
        return SearchCost(
            num_trials=len(trials),
            command_seconds=command_seconds,
            search_seconds=folder.read_study().search_seconds - before_seconds,
            trained_seconds=float(trials["elapsed_seconds"].sum()),
            num_workers=num_workers,
        )


def _command(folder: RunFolder, *flags: str) -> subprocess.Popen[bytes]:
    """Start a search that writes into a folder."""
    place = ["--results", str(folder.path.parent), "--name", folder.path.name]
    command = [sys.executable, "-m", "tune.run", *flags, *place]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def _first_epoch(path: Path, process: subprocess.Popen[bytes]) -> dict[str, float]:
    """Wait for the first epoch in a history and return it."""
    while True:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        for line in whole.splitlines():
            event = json.loads(line)
            if event["event"] == "EpochEnded":
                epoch: dict[str, float] = event["epoch"]
                return epoch
        assert process.poll() is None, "the search ended before an epoch did"
        time.sleep(POLL_SECONDS)
