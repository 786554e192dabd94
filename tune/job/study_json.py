"""What study.json says of a search: what it was asked for, what it ran on, how it ended."""

import platform
import shlex
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from model.system.limits import num_cpus
from search_spaces import Budget, SearchSpace
from tune.job.search import SearchResult
from tune.planning.estimate import Estimate
from tune.planning.study import Study
from tune.records.run_folder import STILL_RUNNING

STOPPED_BY_USER = "interrupted"


def study_values(
    study: Study, result: SearchResult | None, estimate: Estimate | None
) -> dict[str, Any]:
    """Return what study.json holds; without a result, the search is still running."""
    prepared = study.prepared
    return {
        "command": study.command,
        "space": study.space.to_json(),
        "seed": study.seed,
        "sampler": study.sampler,
        "storage": study.storage,
        "trial_timeout_seconds": study.trial_timeout_seconds,
        "finalists": study.num_finalists,
        "finalist_seeds": study.num_finalist_seeds,
        "corpus": {
            "name": study.corpus.name,
            "location": study.corpus.location,
            "source": study.corpus.source,
            "sha256": study.corpus.sha256,
            "num_chars": len(study.corpus.text),
        },
        "objective": {
            "name": "val_bits_per_char",
            "floor_order": prepared.floor_order,
            "floors": {
                cleaning: {
                    "validation_bits_per_char": floor.validation_bits_per_char,
                    "test_bits_per_char": floor.test_bits_per_char,
                }
                for cleaning, floor in prepared.floors.items()
            },
            "restoration_bits_per_char": {
                cleaning: encoded.restoration_bits_per_char
                for cleaning, encoded in prepared.encoded.items()
            },
        },
        "machine": _machine(),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "ray", "optuna", "numpy", "pandas")},
        },
        "git_commit": _git_commit(),
        "estimate": _estimate(study, result, estimate),
        "search_seconds": result.seconds if result else 0.0,
        "ended": how_it_ended(result) if result else STILL_RUNNING,
        "unconfirmed": _why_unconfirmed(study, result) or None,
        "finished": False,
        "resume": resume_anywhere(study),
    }


def _estimate(
    study: Study, result: SearchResult | None, estimate: Estimate | None
) -> dict[str, Any] | None:
    """Return the plan that the time is compared with: a resumed search keeps the one it had.

    A session that asks for more, or for less, has a plan of its own, and so has one after
    sessions without any; the report must not call it the plan of the whole search.
    """
    now = estimate.values(result.records if result else ()) if estimate else None
    if study.earlier is None:
        return now
    stored = study.earlier.read_study()
    planned: dict[str, Any] | None = stored.get("estimate")
    if planned is not None and _asked_for(stored) == _asked_for_now(study):
        unmeasured = {
            "measured_trials": 0,
            "measured_by_predicted": None,
            "memory_trials": 0,
            "memory_by_predicted": None,
        }
        measured = {key: now[key] for key in unmeasured} if now else unmeasured
        return {**planned, **measured}
    return None if now is None else {**now, "planned_on_resuming": True}


def _asked_for(stored: dict[str, Any]) -> tuple[Budget, int, int]:
    budget = SearchSpace.from_json(stored["space"]).budget
    return budget, stored["finalists"], stored["finalist_seeds"]


def _asked_for_now(study: Study) -> tuple[Budget, int, int]:
    return study.space.budget, study.num_finalists, study.num_finalist_seeds


def _why_unconfirmed(study: Study, result: SearchResult | None) -> str:
    """Return why no finalist was trained anew; an empty text where that is open, or one was."""
    if study.num_finalists == 0:
        return "--finalists 0 was given"
    if not study.space.distributions:
        return "a space without axes has no finalists"
    if result is None:
        return ""
    return "the search was interrupted" if result.interrupted else result.unconfirmed


def resume_anywhere(study: Study) -> str:
    """Return the command that goes on with a run: from its storage if that has a copy."""
    location = study.mirror_root or str(study.run_path.resolve())
    return f"python -m tune.run --resume {shlex.quote(location)}"


def how_it_ended(result: SearchResult) -> str:
    """Return in a few words why a search is over."""
    if result.interrupted:
        return STOPPED_BY_USER
    return "ended by its time budget" if result.timed_out else "all trials done"


def _machine() -> str:
    return f"{platform.machine()} {platform.system()}, {num_cpus()} CPU"


def _git_commit() -> str | None:
    """Return the commit of the code that runs, None outside a checkout."""
    path = Path(__file__).resolve()
    # An environment may lie in the checkout of another project, which does not have this file.
    command = ["git", "-C", str(path.parent), "rev-parse", f"HEAD:./{path.name}", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.split()[-1]
