"""What `import tune` provides: `run = tune.search(space="full", corpus="book.txt")` and runs."""

import hashlib
import inspect
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from model.errors import ConfigError, unknown_choice
from model.system.files import write_text
from model.system.filesystem import is_uri
from search_spaces import SearchSpace
from tune.job.flags import FIELDS, flags_of
from tune.job.live_run import Run
from tune.job.search_process import SearchProcess
from tune.planning.study import StudyOptions
from tune.records.run_folder import find_run

__all__ = ["Run", "load_run", "search"]

SPACES = ".spaces"
"""Folder, beside the runs, of spaces passed from Python."""
_LISTS = {field.name for field in FIELDS if field.type == Sequence[str]}


def search(*, wait: bool = True, progress: bool = True, **options: Any) -> Run:
    """Search for the best char-LSTM for a text, as `python -m tune.run` does.

    Each command-line option is a keyword argument of the same name, except dry_run, quiet and
    log_format; `python -m tune.run --help` explains them. In addition, `space` may be a
    SearchSpace, which is saved beside the run, and `time_budget` and `trial_timeout` may be
    seconds. A Ray that this process has initialised is used, and left running. Warnings are lines
    on stderr. A search ends with the Python process that started it; `resume` continues it. Ctrl-C
    ends it with its results; a script then ends too, and a notebook has the run.

    Args:
        wait: Whether to return when the search has ended, instead of as soon as it has a folder.
        progress: Whether a bar shows the progress.
        options: Those of the command line.

    Returns:
        The run, live while the search runs.

    Raises:
        ConfigError: The user's mistake, in one line.
        ExternalFault: Something outside ended the search, which can be resumed.
        KeyboardInterrupt: Ctrl-C ended the search of a script; its results are written.
    """
    known = [field.name for field in FIELDS]
    for name in options:
        if name not in known:
            raise ConfigError(unknown_choice("option", name, known))
    values = {name: _as_said(name, value) for name, value in options.items() if value is not None}
    space = options.get("space")
    named = {"space": space.name} if isinstance(space, SearchSpace) else {}
    checked = StudyOptions(**{**values, **named})  # reports mistakes before a process starts
    if checked.space is None and checked.resume is None and not checked.configs:
        raise ConfigError("one of the options space, configs and resume is required")
    if checked.resume is not None and not is_uri(checked.resume):
        find_run(checked.resume, checked.results)
    if isinstance(space, SearchSpace):
        values["space"] = str(_kept(space, checked.results))
    values["address"] = checked.address or _own_ray()
    process = SearchProcess(flags_of(values), console=Console(quiet=not progress))
    run = Run(process.wait_for_run(), process)
    return run.wait() if wait else run


def load_run(run: str | Path) -> Run:
    """Return a run, whether it has ended or is in progress.

    Args:
        run: The run folder, or a URI that pyarrow reads, such as s3://bucket/results/ten.

    Raises:
        ConfigError: It is no run of ours, or one of its files is damaged or unreachable.
    """
    return Run(run)


def _as_said(name: str, value: Any) -> Any:
    """Return a value as on a command line; other types unchanged, to be refused."""
    if name == "results":
        return Path(value) if isinstance(value, str) else value
    if isinstance(value, list | tuple):
        return [_as_said("", each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    elif isinstance(value, Path):
        value = str(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if name in ("time_budget", "trial_timeout") and is_number:
        return f"{value:.15g}s"
    return [value] if name in _LISTS and isinstance(value, str) else value


def _kept(space: SearchSpace, results: Path) -> Path:
    """Write a space where the run's saved command finds it again, and return the file.

    Raises:
        ConfigError: The results folder cannot be written.
    """
    text = json.dumps(space.to_json())
    path = results / SPACES / f"{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    except OSError as error:
        rule = "the results folder must be writable"
        raise ConfigError(f"{rule}, got {results}: {error.strerror}") from error
    return path


def _own_ray() -> str | None:
    """Return the address of the Ray that this process has initialised, if it has."""
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return None
    return str(ray.get_runtime_context().gcs_address)


def _signature() -> inspect.Signature:
    """Return the keyword arguments of `search`, for completion and help in notebooks."""
    options, own = (inspect.signature(each).parameters for each in (StudyOptions, search))
    shown = [*(options[field.name] for field in FIELDS), own["wait"], own["progress"]]
    return inspect.Signature(shown, return_annotation=Run)


search.__signature__ = _signature()  # type: ignore[attr-defined]
