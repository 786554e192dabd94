"""The text of report.md: sees a run's tables and study.json only, never a trial or a network."""

from model.system.durations import counted, format_range, format_seconds
from model.system.files import write_text
from model.system.terminal import printable
from tune.records.load import LoadedRun
from tune.records.run_folder import RunFolder
from tune.records.trial import Status
from tune.reporting.contents import sections_of
from tune.reporting.section import Section, escaped, markdown


def write_report(run: LoadedRun, folder: RunFolder) -> str:
    """Write report.md of a run into a folder and return the text."""
    text = report_text(run)
    write_text(folder.report_file, text)
    return text


def report_text(run: LoadedRun) -> str:
    """Return the report as Markdown."""
    sections = sections_of(run)
    if not run.has_result:
        sections.insert(0, Section(title="No result", body=(_nothing(run),)))
    texts = [markdown(section) for section in sections if section.body]
    return "\n\n".join([_head(run), *texts]) + "\n"


def _nothing(run: LoadedRun) -> str:
    """Return why there is nothing to report; running and earlier runs know less."""
    reason = run.study.found_nothing or f"no trial trained an epoch: {run.study.ended}"
    return f"{escaped(reason[:1].upper() + reason[1:])}."


def _head(run: LoadedRun) -> str:
    study, trials = run.study, run.trials
    counts = trials["status"].value_counts()
    statuses = ", ".join(f"{counts[s.value]} {s.value}" for s in Status if s.value in counts)
    corpus = study.corpus
    return (
        f"# Search of {escaped(study.space.name)} on {escaped(corpus.name)}\n\n"
        f"    {' '.join(printable(study.command).split())}\n\n"
        f"{counted(len(trials), 'trial')} ({statuses or 'none'}) in "
        f"{format_seconds(run.search_seconds)}, {escaped(study.ended)}. "
        f"{counted(float(trials['epochs_run'].sum()), 'epoch')}. "
        f"Corpus: {corpus.num_chars:,} characters, {escaped(corpus.source)}. "
        f"Seed {study.settings.seed}. {escaped(study.machine)}.{_planned(run)}"
    )


def _planned(run: LoadedRun) -> str:
    """Return what the plan had said of the time; nothing for a run that had no estimate."""
    estimate = run.study.estimate
    if estimate is None:
        return ""
    took = f"; it took {format_seconds(run.study.search_seconds)}"
    # Of a search that was given another budget: its first plan was for something else.
    later = " in all when it was resumed" if estimate.planned_on_resuming else ""
    text = (
        f"\n\nThe plan was {format_range(*estimate.planned_seconds)}{later}"
        f"{'' if run.is_running else took}."
    )
    if estimate.measured_by_predicted is not None:
        low, median, high = estimate.measured_by_predicted
        text += (
            f" An epoch took {median:.2f} times as long as predicted ({low:.2f} to {high:.2f}; "
            f"median and middle 80 % of {counted(estimate.measured_trials, 'trial')})."
        )
    # Runs from before 2026-11-26 have none.
    if estimate.memory_by_predicted is not None:
        low, median, high = estimate.memory_by_predicted
        text += (
            f" A trial's process took {median:.2f} times the memory that was predicted "
            f"({low:.2f} to {high:.2f}; {counted(estimate.memory_trials, 'trial')})."
        )
    return text
