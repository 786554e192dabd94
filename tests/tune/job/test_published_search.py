"""A search of each published corpus: its test part is judged whole, beside published figures."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from model import score
from model.text.corpus import resolve_corpus
from model.text.published import PUBLISHED
from published_corpora import small_corpora
from repository import SUPPORT
from tune.reporting.published import OURS, RESULTS

OFTEN = "enwik8"
"""Searched in each pass of slow tests: read in bytes, and split within one file."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name == OFTEN else pytest.mark.long)
        for name in PUBLISHED
    ],
)
def test_published_part_is_judged_whole_beside_published_figures(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    unit = "byte" if name == "enwik8" else "char"
    flags = ["--space", "quick", "--corpus", name, "--name", "one", "--trials", "1"]
    flags += ["--fix", f"unit={unit}", "--fix", "cleaning=cased"]
    flags += ["--fix", "precision=float32", "--fix", "kernel=torch"]  # model.score's arithmetic
    flags += ["--finalists", "1", "--finalist-seeds", "1"]
    command = [sys.executable, str(SUPPORT / "small_corpora_command.py"), "-m", "tune.run"]
    done = subprocess.run([*command, *flags], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr

    (finalist,) = pd.read_csv("results/one/finalists.csv").to_dict("records")
    with small_corpora(monkeypatch):
        corpus = resolve_corpus(name)
        (meta,) = Path("results/one/ray/finalists").rglob("checkpoint/meta.json")
        arguments = [str(meta.parent), "--text", name, "--part", "test", "--json"]
        assert score.main(arguments) == 0
    judged = json.loads(capsys.readouterr().out)
    assert corpus.lengths is not None
    test = corpus.text[sum(corpus.lengths) :]
    assert judged["num_raw_chars"] == len(test) and judged["num_bytes"] == len(test.encode())
    assert pd.isna(finalist["test_bits_per_letter"])  # all trials have one cleaning
    bits = finalist["test_bits_per_char"]
    assert bits == pytest.approx(judged["bits_per_raw_char"], rel=1e-4)

    report = Path("results/one/report.md").read_text(encoding="utf-8")
    section = report.partition("## Beside published results")[2].partition("\n## ")[0]
    head, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("|")
    ]
    per = "byte" if name == "enwik8" else "character"
    assert head[1:3] == [f"bits per {per}", f"nats per {per}"]
    ours = [row for row in rows if row[5] == OURS]
    figure = bits * len(test) / len(test.encode()) if name == "enwik8" else bits
    # Not of its beginning, not restored, read as the papers' networks read it.
    assert ours[0][4] == "test part" and float(ours[0][1]) == pytest.approx(figure, abs=1e-4)
    cold = [row for row in ours if row[4] == "cold windows of 256, without context"]
    assert len(cold) == (name == "tiny-shakespeare")
    assert len(rows) == len(ours) + len(RESULTS[name])
