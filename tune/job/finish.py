"""After the search: best configurations, kept checkpoints, report, samples, closing lines."""

import dataclasses
import os
import shlex
import shutil
import sys
from collections.abc import Callable

from rich.console import Console

from model.errors import CheckpointError, ConfigError
from model.network.own_cells import known_cells
from model.system.command_line import cell_words
from model.system.terminal import complain, interrupted_exit_code, say
from model.training.predictor import load_network
from tune.job.outcome import why_nothing
from tune.job.search import SearchResult
from tune.job.study_json import how_it_ended, resume_anywhere, study_file
from tune.job.text_speed import time_text
from tune.monitoring.json_events import event, warn
from tune.planning.estimate import Estimate
from tune.planning.study import Study
from tune.records.json_file import write_json
from tune.records.load import LoadedRun, read_run
from tune.records.quality_table import QUALITY_TABLE
from tune.records.run_folder import CHECKPOINTS, RunFolder
from tune.records.tables import Table, config_of, ranked
from tune.reporting.confirmation import verdict
from tune.reporting.contents import best_notes, best_table
from tune.reporting.markdown_report import write_report
from tune.reporting.page import write_page
from tune.reporting.predictor import predictor_line
from tune.reporting.samples import write_samples
from tune.reporting.samples_section import best_temperature_line
from tune.reporting.text_quality import Book, measure_run
from tune.storage.checkpoints import CheckpointStore, keep_checkpoints

SAMPLED_CHECKPOINTS = 3
SAMPLE_CHARS = 1_000
PRINTED_CHARS = 500
_FOUR_DECIMALS = "{:.4f}".format


def finish(
    study: Study,
    folder: RunFolder,
    result: SearchResult,
    estimate: Estimate | None,
    console: Console,
    *,
    may_delete: Callable[[], bool] = lambda: True,
    again: str = "",
) -> int:
    """Write and print the results of a search, and return the exit code.

    Args:
        study: The search.
        folder: Its run folder.
        result: The search's result.
        estimate: Its planned time.
        console: Where the results are printed.
        may_delete: Returns whether superseded checkpoints may be removed: not if another driver
            has the run.
        again: As in `resume_command`.
    """
    time_text(study, result.records)
    folder.write_tables(result.records)
    _check_predictor(folder, console)
    facts = study_file(study, result, estimate)
    folder.write_study(facts)
    run = read_run(folder)
    best = ranked(run.trials)
    say(console)
    store = CheckpointStore(study.checkpoints_root)
    configs = {record.number: record.config for record in result.records}
    gone = keep_checkpoints(
        folder.path / CHECKPOINTS,
        {number: configs[number] for number in best["number"]},
        store,
        ended={record.number for record in result.records if record.has_ended},
        may_delete=may_delete,
    )
    for number in gone:
        warn(
            console,
            f"the network of trial {number} is missing; {CHECKPOINTS}/ has the next best one",
        )
    if not best.empty:
        write_json(config_of(best.iloc[0]).to_dict(), folder.best_file)
    write_report(run, folder)
    _tell_best(run, how_it_ended(result), console)
    for line in filter(None, (verdict(run), predictor_line(run))):
        say(console, f"\n{line}")
    if folder.checkpoints():
        run = _with_samples(run, folder, Book(study.corpus.text, study.corpus.lengths), console)
    _write_page(run, folder, console)
    # Last, because a driver that is killed earlier must redo all of it.
    folder.write_study(dataclasses.replace(facts, finished=not result.interrupted))
    for line in last_words(folder):
        say(console, line)
    if result.interrupted:
        say(console, f"to continue: {resume_command(folder, again)}")
        if study.mirror_root is not None:
            say(console, f"or, on any machine: {resume_anywhere(study)}")
    return _ended(study, folder, result, how_it_ended(result), console)


def _with_samples(run: LoadedRun, folder: RunFolder, book: Book, console: Console) -> LoadedRun:
    """Let the best networks write, print some of it, and return the run with all of it."""
    records = measure_run(folder, book, top=SAMPLED_CHECKPOINTS)
    QUALITY_TABLE.write((record.row() for record in records), folder.quality_file)
    samples = write_samples(folder, book, top=SAMPLED_CHECKPOINTS, num_chars=SAMPLE_CHARS)
    quality = QUALITY_TABLE.read(folder.quality_file)
    best_passage = samples.passages[0]
    say(console, f"\nsample text ({best_passage.caption}):")
    say(console, best_passage.text[:PRINTED_CHARS])
    say(console, best_temperature_line(quality))
    return dataclasses.replace(run, quality=quality, samples=samples)


def _ended(
    study: Study, folder: RunFolder, result: SearchResult, ended: str, console: Console
) -> int:
    """Print the last event, and return the exit code."""
    exit_code = _exit_code(study, result)
    event(
        console,
        "search_ended",
        ended=ended,
        search_seconds=result.seconds,
        exit_code=exit_code,
        report=str(folder.report_file),
        predictor=str(folder.predictor) if folder.predictor.is_dir() else None,
    )
    return exit_code


def _check_predictor(folder: RunFolder, console: Console) -> None:
    """Remove an unreadable predictor, which must not keep the run from finishing."""
    if not folder.predictor.is_dir():
        return
    try:
        load_network(folder.predictor)
    except (CheckpointError, ConfigError) as error:
        warn(console, f"the predictor is left out: {error}")
        folder.drop_predictor()


def show_finished(
    study: Study, folder: RunFolder, result: SearchResult, console: Console, *, again: str = ""
) -> int:
    """Print the results of a finished run, write nothing, and return the exit code."""
    run = read_run(folder)
    say(console)
    _tell_best(run, run.study.ended, console)
    for line in last_words(folder):
        say(console, line)
    told = "already finished, nothing to do"
    if study.space.distributions:  # else all that was given is trained
        larger = f"{resume_command(folder, again)} with a larger --trials or --time-budget"
        told = f"{told}; to continue: {larger}"
    warn(console, told)
    return _ended(study, folder, result, run.study.ended, console)


def resume_command(folder: RunFolder, again: str = "") -> str:
    """Return the command that continues a run, as typed in this folder.

    Args:
        folder: The run.
        again: The options that it does not keep; see `flags.options_to_repeat`.
    """
    path = shlex.quote(os.path.relpath(folder.path))
    return f"{_python()} -m tune.run --resume {path}{again}{_cells()}"


def last_words(folder: RunFolder) -> list[str]:
    """Return where the report is, and commands for a closer look, as typed in this folder."""
    path = os.path.relpath(folder.path)
    run, python = shlex.quote(path), _python()
    lines = ["", f"report: {path}/{folder.page_file.name} and {folder.report_file.name}"]
    lines.append("next steps:")
    if folder.checkpoints():
        _, writer = folder.writers()[0]
        best = shlex.quote(os.path.relpath(writer))
        lines += [
            f"  {python} -m tune.samples {run} --temperature 0.6{_cells()}",
            f"  {python} -m model.generate {best} --chars 2000{_cells()}",
            f"  {python} -m model.generate {best} --interactive{_cells()}",
        ]
    return [*lines, f"  {python} -m tune.report {run}"]


def _cells() -> str:
    """Return the options that name the user's own cells."""
    return cell_words(cell.named for cell in known_cells())


def _write_page(run: LoadedRun, folder: RunFolder, console: Console) -> None:
    """Write report.html; an error in a plot must not keep the run from finishing."""
    try:
        write_page(run, folder)
    except OSError:  # a full disk: the user can fix that and resume
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        warn(console, f"{folder.page_file.name} could not be written: {reason}")


def _tell_best(run: LoadedRun, ending: str, console: Console) -> None:
    if not run.has_result:
        say(console, "no trial trained an epoch")
        return
    say(console, f"best configurations ({run.space.name}, {ending}):")
    say(console, _fitted(best_table(run), console.width if console.is_terminal else None))
    for note in best_notes(run):
        say(console, note)


def _fitted(table: Table, width: int | None) -> str:
    """Return a table as text; one wider than the terminal is split into blocks."""
    text: str = table.to_string(index=False, float_format=_FOUR_DECIMALS)
    if width is None or max(map(len, text.splitlines())) <= width:
        return text
    table = table.set_index("number")
    narrow: str = table.to_string(line_width=width, float_format=_FOUR_DECIMALS)
    return narrow


def _exit_code(study: Study, result: SearchResult) -> int:
    """Return the exit code; a search that found nothing says why, even if quiet."""
    if result.interrupted:
        return interrupted_exit_code()
    nothing = why_nothing(study, result)
    if nothing:
        complain("tune.run", nothing)
    return 1 if nothing else 0


def _python() -> str:
    """Return the command that calls this Python from here."""
    if shutil.which("python") == sys.executable:
        return "python"
    return shlex.quote(os.path.relpath(sys.executable))
