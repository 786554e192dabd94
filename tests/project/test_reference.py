"""The published runs can be read, and docs/results.md says what their tables say."""

import re
from pathlib import Path

import pandas as pd
import pytest

from repository import ROOT
from tune.records.load import load_run
from tune.reporting.markdown_report import report_text

SPREAD = re.compile(r"(\d\.\d{4}) ± (\d\.\d{4})")
RUNS = sorted(path.parent for path in (ROOT / "results" / "reference").glob("*/study.json"))
SCORES = ["val_bits_per_char", "test_bits_per_char", "test_bits_per_letter"]


@pytest.mark.slow
@pytest.mark.parametrize("folder", RUNS, ids=lambda folder: folder.name)
def test_published_run_can_be_read_and_reported(folder: Path) -> None:
    run = load_run(folder)
    assert run.best is not None and not run.is_running
    assert len(run.finalists) > 0 and not run.quality.empty
    text = report_text(run)
    assert f"{run.trials['val_bits_per_char'].min():.4f} bits per character" in text


def test_results_page_says_only_what_the_tables_say() -> None:
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    measured = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    said = set(SPREAD.findall(page))
    known = set(SPREAD.findall(measured)).union(
        *(_spreads(load_run(folder).finalists) for folder in RUNS)
    )
    assert said and said <= known, f"no published run and no benchmark has {sorted(said - known)}"


def _spreads(finalists: pd.DataFrame) -> set[tuple[str, str]]:
    """Return mean and deviation of each configuration and score, as the page prints them."""
    groups = finalists.groupby("number")[SCORES]
    means, deviations = groups.mean(), groups.std()
    return {
        (f"{means.at[number, score]:.4f}", f"{deviations.at[number, score]:.4f}")
        for number in means.index
        for score in SCORES
    }
