"""Events of a search as JSON, one object a line: the output of `--log-format json`.

Text for people is dropped, so every line can be parsed. The display, the plan and the end of a
job print them, and need nothing else of each other.
"""

import dataclasses
import json
import time
from typing import IO, Any

from rich.console import Console

from model.system.terminal import complain, say
from tune.records.trial import TrialRecord


class JsonConsole(Console):
    """A console that prints no words, only events."""

    def __init__(self, file: IO[str] | None = None) -> None:
        """Print to a file; None is standard output."""
        super().__init__(quiet=True, file=file)

    def event(self, name: str, **values: Any) -> None:
        """Print an event: its name, the seconds since 1970, and its values."""
        line = {"event": name, "time": round(time.time(), 3), **values}
        # In one piece: other threads print events, too.
        print(json.dumps(line) + "\n", end="", file=self.file, flush=True)


def warn(console: Console, text: str) -> None:
    """Say what a user should know though the search goes on: a line, or an event.

    Where the console is quiet, the line goes to stderr, as errors do.
    """
    if isinstance(console, JsonConsole):
        console.event("warning", text=text.strip())
    elif console.quiet:
        complain("tune.run", text.strip())
    else:
        say(console, text)


def trial_event(record: TrialRecord, label: str, *, is_finalist: bool) -> dict[str, Any]:
    """Return what an event says of a trial.

    Args:
        record: The trial.
        label: What it is called.
        is_finalist: Whether it retrains a finalist.
    """
    return {
        "trial": record.number,
        "label": label,
        "is_finalist": is_finalist,
        "baseline": record.baseline or None,
        "status": record.status.value,
        "epochs": record.config.epochs,
        "epochs_run": record.epochs_run,
        "val_bits_per_char": record.objective if record.best else None,
        "search_seconds": record.search_seconds,
        "error": record.error or None,
    }


def epoch_event(record: TrialRecord) -> dict[str, Any]:
    """Return what an event says of a trial's last epoch."""
    values = dataclasses.asdict(record.epochs[-1])
    return {"trial": values.pop("number"), **values}
