"""report.html: a run as a page that one looks at, made from the run folder alone."""

from typing import Any

import pandas as pd

from model.system.files import write_text
from tune.records.load import LoadedRun, read_run
from tune.records.run_folder import RunFolder
from tune.records.tables import Table, ranked
from tune.reporting.asha_cost import TITLE as ASHA_TITLE
from tune.reporting.asha_cost import asha_cost
from tune.reporting.axes import RESAMPLES, axis_shares, boundary_notes
from tune.reporting.confirmation import confirmation
from tune.reporting.figures.axes import importance, parallel_coordinates, slices
from tune.reporting.figures.base import SCORE, trial_texts
from tune.reporting.figures.over_time import (
    best_so_far,
    busy_share,
    learning_curves,
    stretches,
    timeline,
)
from tune.reporting.figures.scores import compared
from tune.reporting.headline import described, facts, floor_of, headline, title
from tune.reporting.markdown_report import baselines_section, best_of_each_cleaning
from tune.reporting.noise import table_notes
from tune.reporting.page_render import Part, html_of, render, without_heading
from tune.reporting.page_samples import Passage, passages_of

_COLUMNS = ("number", SCORE, "status", "baseline")
_LATER_COLUMNS = (
    *("epochs_run", "best_epoch", "val_own_bits_per_char", "num_parameters"),
    *("elapsed_seconds", "error"),
)


def write_page(
    folder: RunFolder, *, light: bool = False, tables: tuple[Table, Table] | None = None
) -> None:
    """Write report.html of a run.

    Args:
        folder: The run.
        light: Leave out what takes seconds with a thousand trials: the spread of importances.
        tables: The trials and the epochs, where they are known; else they are read.

    Raises:
        ConfigError: A table or study.json is missing or damaged.
    """
    run = read_run(folder, tables)
    samples = folder.samples_file
    text = samples.read_text(encoding="utf-8") if samples.exists() else ""
    write_text(folder.page_file, page(run, samples=text, light=light))


def page(run: LoadedRun, *, samples: str = "", light: bool = False) -> str:
    """Return the page.

    Args:
        run: The run.
        samples: What samples.md holds.
        light: As in `write_page`.
    """
    passages = passages_of(samples)
    parts = _parts(run, light=light) if run.has_result else []
    parts += [_samples(passages)] if passages else []
    failed = run.trials[run.trials["error"].notna()]
    beside = [compared(run)] if run.has_result else []
    rows, columns = _table(run)
    values = {
        "title": title(run),
        "headline": headline(run),
        "described": described(run),
        "is_running": run.is_running,
        "ended": run.study.ended,
        "command": run.study.command,
        "corpus": run.study.corpus,
        "seed": run.study.settings.seed,
        "facts": facts(run),
        "passage": passages[0] if passages else None,
        "passage_figures": html_of(passages[0].figures) if passages else "",
        "compared": beside,
        "baselines": (
            html_of(without_heading(baselines_section(run.trials, run.epochs, run.space)))
            if run.has_result and run.space.baselines
            else ""
        ),
        "errors": failed[["number", "status", "error"]].to_dict("records"),
        "trial_texts": trial_texts(run.trials, run.space),
        "columns": columns,
        "rows": rows,
        "versions": run.study.versions,
    }
    return render(values, parts, beside)


def _parts(run: LoadedRun, *, light: bool) -> list[Part]:
    """Return the sections of a run in which a trial was measured."""
    trials, epochs, space, floor = run.trials, run.epochs, run.space, floor_of(run)
    best = ranked(trials)
    notes = [*table_notes(run.study, best, trials, run.finalists), *boundary_notes(trials, space)]
    ran = stretches(epochs)
    num_rows = max(stretch.row for stretch in ran) + 1
    parts = [
        Part(
            name="sure",
            title="Is the winner confirmed?",
            words=html_of(
                without_heading(confirmation(run.finalists, trials, run.study.unconfirmed))
                + "\n\n"
                + "\n".join(f"- {note}" for note in notes)
            ),
        ),
        Part(
            name="progress",
            title="Best so far",
            words=html_of(
                "A point is a trial's score, when it was reached; a click on one shows the "
                "trial in the table below. Points far above are outside the picture: a double "
                "click shows all."
            ),
            pictures=[best_so_far(trials, epochs, floor)],
        ),
        Part(
            name="curves",
            title="Learning curves",
            words=html_of(
                "A line is a trial. At a rung ASHA stops those that are not among the best "
                f"1 in {space.budget.reduction_factor} so far; baselines are never stopped."
            ),
            pictures=[learning_curves(trials, epochs, space, floor)],
            folds=[
                (
                    ASHA_TITLE,
                    html_of(without_heading(asha_cost(trials, epochs, space))),
                )
            ],
        ),
    ]
    if space.distributions:
        parts += _axis_parts(run, floor, light=light)
    parts.append(
        Part(
            name="cleanings",
            title="The best of each cleaning",
            words=html_of(without_heading(best_of_each_cleaning(best, run.study))),
        )
    )
    parts.append(
        Part(
            name="workers",
            title="When each trial ran",
            words=html_of(
                f"A bar is a trial. {num_rows} ran at once at most, and trained "
                f"{busy_share(ran):.0%} of the time. A trial lies in the first row that was free "
                "when it began: which process ran it is not recorded."
            ),
            pictures=[timeline(trials, ran)],
        )
    )
    return parts


def _axis_parts(run: LoadedRun, floor: float, *, light: bool) -> list[Part]:
    resamples = 0 if light else RESAMPLES
    shares = axis_shares(run.trials, run.space, resamples=resamples, seed=run.study.settings.seed)
    spread = (
        f" The bar spans the middle 80 % of {resamples} resamples of the trials: where bars "
        "overlap, the order is not sure. A resample has fewer different trials, so its shares "
        "are more even: a large share may lie above its bar."
        if resamples
        else " How sure they are is worked out when the search is over."
    )
    words = (
        "PED-ANOVA over all measured trials: an axis' share in what separates the best tenth "
        f"from the rest.{spread} Trials that ASHA stopped blur `epochs`."
        if shares
        else "Too few different trials to tell."
    )
    return [
        Part(
            name="axes",
            title="Which axis mattered",
            words=html_of(words),
            pictures=[importance(shares)] if shares else [],
        ),
        Part(
            name="all-axes",
            title="All axes at once",
            words=html_of("A line is a trial. The last axis is its rank, the best score on top."),
            pictures=[parallel_coordinates(run.trials, run.space)],
        ),
        Part(
            name="slices",
            title="Each axis by itself",
            words=html_of(
                "The star is the winner, diamonds are the baselines, grey rings were stopped by "
                "ASHA after few epochs, so their scores are high whatever their axes are."
            ),
            pictures=slices(run.trials, run.space, floor),
        ),
    ]


def _samples(passages: list[Passage]) -> Part:
    """Return the section of samples.md, each of its own sections folded."""
    return Part(
        name="samples",
        title="What the best networks write",
        words=html_of(passages[0].how),
        folds=[(passage.caption, html_of(passage.markdown)) for passage in passages],
    )


def _table(run: LoadedRun) -> tuple[list[list[str]], list[str]]:
    """Return the cells of the table of all trials, best first, and its columns."""
    trials = run.trials.sort_values([SCORE, "number"], na_position="last")
    columns = [*_COLUMNS, *run.space.axes, *_LATER_COLUMNS]
    columns = [c for c in dict.fromkeys(columns) if c in _COLUMNS[:3] or trials[c].notna().any()]
    rows = [[_cell(c, row[c]) for c in columns] for row in trials.to_dict("records")]
    return rows, columns


def _cell(column: str, value: Any) -> str:
    if pd.isna(value):
        return ""
    if not isinstance(value, float):
        return str(value)
    if column.endswith("_seconds"):
        return f"{value:.1f}"
    return f"{value:.4f}" if column.startswith("val_") else f"{value:.4g}"
