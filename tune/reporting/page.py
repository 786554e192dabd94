"""report.html: a run as a page that one looks at, made from its tables alone."""

from model.system.files import write_text
from tune.records.load import LoadedRun
from tune.records.run_folder import RunFolder
from tune.reporting.contents import sections_of
from tune.reporting.figures.base import SCORE, trial_texts
from tune.reporting.headline import described, facts, headline, title
from tune.reporting.page_render import render
from tune.reporting.samples_section import passage_figures, samples_section, unparsed_samples
from tune.reporting.section import shown_in

_COLUMNS = ("number", SCORE, "status", "baseline")
_LATER_COLUMNS = (
    *("epochs_run", "best_epoch", "val_own_bits_per_char", "num_parameters"),
    *("elapsed_seconds", "error"),
)


def write_page(run: LoadedRun, folder: RunFolder) -> None:
    """Write report.html of a run into a folder."""
    sections = sections_of(run)
    passage = None
    if run.samples is not None:
        sections.append(samples_section(run.samples, run.quality))
        passage = next(iter(run.samples.passages), None)
    elif folder.samples_file.exists():
        sections.append(unparsed_samples(folder.samples_file.read_text(encoding="utf-8")))
    rows, columns = _table(run)
    text = render(
        sections,
        study=run.study,
        title=title(run),
        headline=headline(run),
        described=described(run),
        facts=facts(run),
        passage=passage,
        passage_figures=None if passage is None else passage_figures(passage),
        trial_texts=trial_texts(run),
        columns=columns,
        rows=rows,
    )
    write_text(folder.page_file, text)


def _table(run: LoadedRun) -> tuple[list[list[str]], list[str]]:
    """Return the cells of the table of all trials, best first, and its columns."""
    trials = run.trials.sort_values([SCORE, "number"], na_position="last")
    columns = [*_COLUMNS, *run.space.axes, *_LATER_COLUMNS]
    columns = [c for c in dict.fromkeys(columns) if c in _COLUMNS[:3] or trials[c].notna().any()]
    rows = [[shown_in(c, row[c]) for c in columns] for row in trials.to_dict("records")]
    return rows, columns
