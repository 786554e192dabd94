"""Makes the StudyFile of a search: what was requested, what it ran on, how it ended."""

import dataclasses
import platform
import shlex
import subprocess
from importlib.metadata import version
from pathlib import Path

from model.network.own_cells import own_cell
from model.scoring.objective import OBJECTIVE_VERSION
from model.system.command_line import cell_words
from model.system.limits import num_cpus
from search_spaces.cells import own_cells_of
from tune.job.outcome import why_nothing
from tune.job.search import SearchResult
from tune.planning.estimate import Estimate
from tune.planning.study import Study, finalists_of
from tune.records.study_file import (
    STILL_RUNNING,
    STOPPED_BY_USER,
    CorpusOrigin,
    ObjectiveFacts,
    PlannedTime,
    StudyFile,
)

_KEPT_OF_PLAN = ("planned_seconds", "planned_trials", "planned_on_resuming")


def study_file(study: Study, result: SearchResult | None, estimate: Estimate | None) -> StudyFile:
    """Return the content of study.json; without a result, the search is still running."""
    corpus, prepared = study.corpus, study.prepared
    spent_seconds = study.earlier.seconds if study.earlier else 0.0
    return StudyFile(
        command=study.command,
        space=study.space,
        settings=study.settings,
        corpus=CorpusOrigin.of(corpus),
        objective=ObjectiveFacts(
            version=OBJECTIVE_VERSION,
            floor_order=prepared.floors.order,
            floors=dict(prepared.floors.of_cleaning),
            restoration_bits_per_char={
                cleaning: encoded.validation.restoration_bits_per_char
                for cleaning, encoded in prepared.encoded.items()
            },
        ),
        resemblance=prepared.resemblance,
        machine=f"{platform.machine()} {platform.system()}, {num_cpus()} CPU",
        versions={
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "ray", "optuna", "numpy", "pandas")},
        },
        git_commit=_git_commit(),
        estimate=_planned(study, result, estimate),
        search_seconds=result.seconds if result else spent_seconds,
        ended=how_it_ended(result) if result else STILL_RUNNING,
        unconfirmed=_why_unconfirmed(study, result) or None,
        found_nothing=why_nothing(study, result) if result and not result.interrupted else "",
        finished=False,
        resume=resume_anywhere(study),
        cells={cell: own_cell(cell).sha256 for cell in own_cells_of(study.space)},
        search_id=study.search_id,
        name=study.name,
        notes=study.notes,
    )


def _planned(
    study: Study, result: SearchResult | None, estimate: Estimate | None
) -> PlannedTime | None:
    """Return the plan with which the time is compared: a resumed search keeps its plan.

    A session with another budget, or after sessions without a plan, has its own plan, which the
    report must not call the plan of the whole search.
    """
    now = estimate.compared_with(result.records if result else ()) if estimate else None
    if study.earlier is None:
        return now
    stored = study.earlier.study
    asked = study.space.budget, finalists_of(study.settings)
    asked_before = stored.space.budget, finalists_of(stored.settings)
    plan = stored.estimate
    if plan is not None and asked == asked_before:
        kept = {name: getattr(plan, name) for name in _KEPT_OF_PLAN}
        return dataclasses.replace(now, **kept) if now else PlannedTime(**kept)
    return None if now is None else dataclasses.replace(now, planned_on_resuming=True)


def _why_unconfirmed(study: Study, result: SearchResult | None) -> str:
    """Return why no finalist was retrained; empty if one was, or if that is open."""
    if study.settings.finalists == 0:
        if not study.space.distributions:
            return "a space without axes has no finalists unless --finalists asks for them"
        return "--finalists 0 was given"
    if result is None:
        return ""
    if result.interrupted:
        return "the search was interrupted"
    return "the search found nothing" if why_nothing(study, result) else result.unconfirmed


def resume_anywhere(study: Study) -> str:
    """Return the command that continues a run, from its storage if that has a copy."""
    location = study.mirror_root or str(study.run_path.resolve())
    cells = cell_words(own_cells_of(study.space))
    return f"python -m tune.run --resume {shlex.quote(location)}{cells}"


def how_it_ended(result: SearchResult) -> str:
    """Return in a few words why a search ended."""
    if result.interrupted:
        return STOPPED_BY_USER
    if result.ended_early:
        return f"ended early: {result.ended_early}"
    return "ended by its time budget" if result.timed_out else "all trials done"


def _git_commit() -> str | None:
    """Return the commit of the running code; None outside a checkout."""
    path = Path(__file__).resolve()
    # An environment may lie in another project's checkout, which lacks this file.
    command = ["git", "-C", str(path.parent), "rev-parse", f"HEAD:./{path.name}", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.split()[-1]
