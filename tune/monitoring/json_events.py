"""Events of a search as JSON, one object per line: the output of `--log-format json`.

Text for people is dropped, so every line can be parsed. Display, plan and end of a job print
events, and otherwise need nothing of each other.
"""

import dataclasses
import json
import time
from typing import IO, Any

from rich.console import Console

from model.system.terminal import complain, say
from tune.records.trial import TrialRecord


class JsonConsole(Console):
    """A console that prints only events, no text."""

    def __init__(self, file: IO[str] | None = None) -> None:
        """Print to a file; None is standard output."""
        super().__init__(quiet=True, file=file)

    def event(self, name: str, **values: Any) -> None:
        """Print an event: its name, the seconds since 1970, and its values."""
        line = {"event": name, "time": round(time.time(), 3), **values}
        # In one piece, because other threads print events too.
        print(json.dumps(line) + "\n", end="", file=self.file, flush=True)


def event(console: Console, name: str, **values: Any) -> None:
    """Print an event, if the console prints events."""
    if isinstance(console, JsonConsole):
        console.event(name, **values)


def warn(console: Console, text: str) -> None:
    """Warn the user, while the search continues, by a line or an event.

    If the console is quiet, the line goes to stderr, as errors do.
    """
    if isinstance(console, JsonConsole):
        console.event("warning", text=text.strip())
    elif console.quiet:
        complain("tune.run", text.strip())
    else:
        say(console, text)


def trial_event(record: TrialRecord, label: str, *, is_finalist: bool) -> dict[str, Any]:
    """Return an event's values for a trial.

    Args:
        record: The trial.
        label: The trial's name for users.
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
    """Return an event's values for a trial's last report."""
    values = dataclasses.asdict(record.epochs[-1])
    return {"trial": values.pop("number"), **values}
