"""What `import tune` gives: `run = tune.search(space="full", corpus="book.txt")`, and a run."""

import dataclasses
import inspect
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from model.errors import ConfigError, unknown_choice
from model.system.filesystem import is_uri, split
from search_spaces import SearchSpace
from tune.job.live_run import Run
from tune.job.search_process import SearchProcess
from tune.planning.study import StudyOptions
from tune.records.run_folder import default_name, find_run

__all__ = ["Run", "load_run", "search"]

OF_THE_TERMINAL = ("command", "dry_run", "quiet", "log_format")
"""Options that say what the command prints."""
_FIELDS = [
    field for field in dataclasses.fields(StudyOptions) if field.name not in OF_THE_TERMINAL
]


def search(*, wait: bool = True, progress: bool = True, **options: Any) -> Run:
    """Search for the best char-LSTM for a text, as `python -m tune.run` does.

    Each option of the command line is a keyword of the same name; `python -m tune.run --help`
    explains them. Besides what a command line can say, `space` may be a SearchSpace, and
    `time_budget` and `trial_timeout` seconds. A Ray that this process has initialised is used, and
    left running. A search ends with the Python that began it; `resume` continues it.

    Args:
        wait: Whether to return when the search has ended, and not as soon as it has a folder.
        progress: Whether a bar shows how far it is.
        options: Those of the command line.

    Returns:
        The run, which is live while it runs.

    Raises:
        ConfigError: The user's mistake, in one line.
        ExternalFault: Something outside ended the search, which can be resumed.
    """
    known = [field.name for field in _FIELDS]
    for name in options:
        if name not in known:
            raise ConfigError(unknown_choice("option", name, known))
    values = {name: _as_said(name, value) for name, value in options.items()}
    with tempfile.TemporaryDirectory() as folder:
        space = options.get("space")
        if isinstance(space, SearchSpace):
            path = Path(folder) / "space.json"
            path.write_text(json.dumps(space.to_json()), encoding="utf-8")
            values["space"] = str(path)
        is_new = not values.get("resume") and not values.get("or_resume")
        if values.get("name") is None and is_new:
            named = space.name if isinstance(space, SearchSpace) else Path(str(space)).stem
            values["name"] = default_name(named)
        checked = StudyOptions(**values)  # a mistake is told before a process starts
        if checked.space is None and checked.resume is None:
            raise ConfigError("one of the options space and resume is required")
        values["address"] = checked.address or _own_ray()
        path = _run_path(checked)
        process = SearchProcess(flags_of(values), console=Console(quiet=not progress))
        process.wait_for(path)
    run = Run(path, process)
    return run.wait() if wait else run


def load_run(run: str | Path) -> Run:
    """Return a run, whether it has ended or is in progress.

    Args:
        run: The run folder, or a URI that pyarrow reads, such as s3://bucket/results/ten.

    Raises:
        ConfigError: It is no run of ours, or a file of it is damaged or cannot be reached.
    """
    return Run(run)


def flags_of(values: dict[str, Any]) -> list[str]:
    """Return the command line that says some options."""
    flags: list[str] = []
    for field in _FIELDS:
        value, name = values.get(field.name), field.name.replace("_", "-")
        flag = f"--{name}"
        if value is None or (value is False and field.default is False):
            continue
        if isinstance(value, bool):
            flags.append(flag if value else f"--no-{name}")
        elif field.name in ("fix", "tracker"):
            flags += [part for rule in value for part in (flag, str(rule))]
        elif isinstance(value, Sequence) and not isinstance(value, str):
            flags += [flag, *map(str, value)] if value else []
        else:
            flags += [flag, str(value)]
    return flags


def _as_said(name: str, value: Any) -> Any:
    """Return a value as a command line says it."""
    if name in ("time_budget", "trial_timeout") and isinstance(value, int | float):
        return f"{value:.15g}s"
    if name == "results":
        return Path(value)
    if isinstance(value, Path):
        return str(value)
    if name in ("fix", "cell", "start_from", "tracker") and isinstance(value, str):
        return (value,)
    return value


def _run_path(options: StudyOptions) -> Path:
    """Return the folder of the run, before it is there."""
    if options.resume is None:
        assert options.name is not None
        return options.results / options.name
    if is_uri(options.resume):
        return options.results / split(options.resume)[1]
    return find_run(options.resume, options.results).path


def _own_ray() -> str | None:
    """Return the address of the Ray that this process has initialised, if it has."""
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return None
    return str(ray.get_runtime_context().gcs_address)


def _signature() -> inspect.Signature:
    """Return the keywords of `search`, for notebooks to complete and to show."""
    own = [
        parameter
        for parameter in inspect.signature(search).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    of_options = [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=field.type
        )
        for field in _FIELDS
    ]
    return inspect.Signature([*of_options, *own], return_annotation=Run)


search.__signature__ = _signature()  # type: ignore[attr-defined]
