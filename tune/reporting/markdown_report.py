"""The text of report.md, made only from a run's tables and study.json."""

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
    """Return why there is nothing to report; running and older runs have only their ending."""
    reason = run.study.found_nothing or f"no trial trained an epoch: {run.study.ended}"
    return f"{escaped(reason[:1].upper() + reason[1:])}."


def _head(run: LoadedRun) -> str:
    study, trials = run.study, run.trials
    counts = trials["status"].value_counts()
    statuses = ", ".join(f"{counts[s.value]} {s.value}" for s in Status if s.value in counts)
    corpus = study.corpus
    return (
        f"# Search: {escaped(study.space.name)} on {escaped(corpus.name)}\n\n"
        f"    {' '.join(printable(study.command).split())}\n\n"
        f"{counted(len(trials), 'trial')} ({statuses or 'none'}), "
        f"{counted(float(trials['epochs_run'].sum()), 'epoch')}, "
        f"{format_seconds(run.search_seconds)}; {escaped(study.ended)}. "
        f"Corpus: {corpus.num_chars:,} characters, {escaped(corpus.source)}. "
        f"Seed {study.settings.seed}. {escaped(study.machine)}.{_planned(run)}"
    )


def _planned(run: LoadedRun) -> str:
    """Return planned and actual time; empty for a run without an estimate."""
    estimate = run.study.estimate
    if estimate is None:
        return ""
    took = f"; actual time: {format_seconds(run.study.search_seconds)}"
    # The search was given another budget, for which its first plan was not made.
    later = " in total, replanned when it was resumed" if estimate.planned_on_resuming else ""
    text = (
        f"\n\nPlanned time: {format_range(*estimate.planned_seconds)}{later}"
        f"{'' if run.is_running else took}."
    )
    if estimate.measured_by_predicted is not None:
        low, median, high = estimate.measured_by_predicted
        text += (
            f" Epochs took {median:.2f} times the predicted time (median of "
            f"{counted(estimate.measured_trials, 'trial')}; middle 80 %: {low:.2f} to {high:.2f})."
        )
    # Runs from before 2026-11-26 have none.
    if estimate.memory_by_predicted is not None:
        low, median, high = estimate.memory_by_predicted
        text += (
            f" Trials used {median:.2f} times the predicted memory (median of "
            f"{counted(estimate.memory_trials, 'trial')}; middle 80 %: {low:.2f} to {high:.2f})."
        )
    return text
