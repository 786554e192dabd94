"""The report's section on published results: what may be compared, and in which unit."""

import dataclasses
import math

import pytest

from hand_made_run import CACHE_ROW, FINALISTS, PREDICTOR_ROWS, STUDY, hand_made, loaded_run
from model.scoring.objective import Floor
from model.text.published import PUBLISHED
from tune.records.load import LoadedRun
from tune.records.predictor_table import PREDICTOR_TABLE
from tune.records.study_file import StudyFile
from tune.records.trial import TrialRecord
from tune.reporting.contents import sections_of
from tune.reporting.markdown_report import report_text
from tune.reporting.published import RESULTS, published_results
from tune.reporting.section import Section, markdown

import pandas as pd  # isort: skip


def run_on(
    name: str,
    *,
    cleaning: str = "cased",
    unit: str = "char",
    finalists: bool = True,
    **corpus: object,
) -> LoadedRun:
    values: dict[str, object] = {
        "name": name,
        "num_chars": 100_000,
        "num_train_chars": 80_000,
        "num_validation_chars": 10_000,
        "is_published": True,
        **corpus,
    }
    records: list[TrialRecord] = hand_made()
    for record in records:
        record.config = dataclasses.replace(record.config, cleaning=cleaning, unit=unit)
    records[3].num_parameters = 123_456
    origin = dataclasses.replace(STUDY.corpus, **values)  # type: ignore[arg-type]
    run = loaded_run(records, FINALISTS if finalists else (), corpus=origin)
    rows = [dataclasses.asdict(each) for each in PREDICTOR_ROWS] if finalists else []
    table = PREDICTOR_TABLE.of(rows)
    return dataclasses.replace(run, predictor=table)


def section_of(run: LoadedRun) -> Section:
    section = published_results(run)
    assert section is not None
    return section


def table_of(run: LoadedRun) -> pd.DataFrame:
    table = section_of(run).body[0]
    assert isinstance(table, pd.DataFrame)
    return table


def test_each_published_corpus_has_results_with_a_source_and_no_other() -> None:
    assert RESULTS.keys() == PUBLISHED.keys()
    for results in RESULTS.values():
        assert all(result.source and result.bits < 3 for result in results)


@pytest.mark.parametrize(
    ("corpus", "name", "source", "bits", "parameters"),
    [
        # 3 layers of 1,000 with embeddings of 200 are 13,787,650; 1,840 with 400, 47,270,045.
        ("ptb-char", "AWD-LSTM, 3 layers", "1803.08240", [1.175], "13,800,000"),
        ("enwik8", "AWD-LSTM, 3 layers", "1803.08240", [1.232], "47,000,000"),
        ("ptb-char", "Mogrifier LSTM", "1909.01792", [1.120, 1.083], "24,000,000"),
        ("enwik8", "Mogrifier LSTM", "1909.01792", [1.122, 0.988], "96,000,000"),
        ("text8", "mLSTM, regularised", "1609.07959", [1.27], "45,000,000"),
        (
            "tiny-shakespeare",
            "nanoGPT, Transformer of 6 layers",
            "github.com/karpathy/nanoGPT",
            [1.4697 / math.log(2)],
            "10,650,000",
        ),
    ],
)
def test_published_figures_are_the_papers(
    corpus: str, name: str, source: str, bits: list[float], parameters: str
) -> None:
    table = table_of(run_on(corpus))
    rows = table[table["model"] == name]
    unit = "byte" if corpus == "enwik8" else "character"
    assert [*rows[f"bits per {unit}"]] == [f"{each:.4f}" for each in bits]
    assert set(rows["parameters"]) == {parameters} and rows["source"].str.contains(source).all()
    learning = "test part, dynamic evaluation"
    assert (rows["protocol"] == learning).to_list() == [False, True][: len(bits)]


def test_ours_stand_beside_theirs_in_bits_and_nats() -> None:
    run = run_on("tiny-shakespeare")
    table = table_of(run)
    assert list(table["source"][:2]) == ["this search"] * 2
    first = table.iloc[0]
    assert first["model"] == "trial 3, mean of 3 seeds" and first["parameters"] == "123,456"
    assert float(first["bits per character"]) == pytest.approx(2.08)  # of 2.07, 2.08, 2.09
    assert float(first["nats per character"]) == pytest.approx(2.08 * math.log(2), abs=5e-5)
    assert table.iloc[1]["bits per character"] == "1.8500"
    assert table.iloc[1]["protocol"] == "test part"
    cached = PREDICTOR_TABLE.of(map(dataclasses.asdict, [*PREDICTOR_ROWS, CACHE_ROW]))
    reads = table_of(dataclasses.replace(run, predictor=cached)).iloc[1:3]
    assert [*reads["protocol"]] == ["test part, with a cache of the text read so far", "test part"]
    assert [*reads["bits per character"]] == ["1.8500", "1.9700"]
    assert [*table["nats per character"][-3:]] == ["1.4697", "1.5480", "1.5550"]
    text = markdown(section_of(run))
    seconds = run.trials["elapsed_seconds"].sum() + run.finalists["elapsed_seconds"].sum()
    assert f"{seconds / 3600:.2f} worker-hours: 7 trials and 9 trainings of finalists" in text
    assert "restored" not in text


@pytest.mark.slow
def test_report_has_the_section_for_published_corpora_alone() -> None:
    assert "## Beside published results" in report_text(run_on("ptb-char"))
    for run in (
        run_on("ptb-char", is_published=False),
        run_on("book.txt"),
        loaded_run(hand_made()),
    ):
        assert "Beside published results" not in [each.title for each in sections_of(run)]


def test_restored_bits_are_said_to_be_another_figure() -> None:
    run = run_on("ptb-char", cleaning="lower")
    table = table_of(run)
    assert list(table["protocol"][:2]) == ["test part, restored bits"] * 2
    assert "not comparable with the papers'" in markdown(section_of(run))
    # A text that has no upper case loses nothing: its floors are the same.
    same = Floor(validation_bits_per_char=2.0, test_bits_per_char=2.1)
    objective = dataclasses.replace(
        STUDY.objective, floors=dict.fromkeys(("cased", "lower", "letters"), same)
    )
    study = dataclasses.replace(run.study, objective=objective)
    alike = table_of(dataclasses.replace(run, study=study))
    assert list(alike["protocol"][:2]) == ["test part"] * 2


def test_enwik8_is_compared_per_byte() -> None:
    # 4,900,000 characters of 5,000,000 bytes.
    table = table_of(
        run_on(
            "enwik8",
            num_chars=94_950_000,
            num_train_chars=90_000_000,
            num_validation_chars=50_000,
        )
    )
    assert float(table.iloc[0]["bits per byte"]) == pytest.approx(2.08 * 0.98, abs=5e-5)
    assert table.iloc[-1]["bits per byte"] == "0.9880"


@pytest.mark.parametrize("unit", ["char", "byte", "word"])
def test_networks_that_read_no_bytes_are_told_where_the_papers_do(unit: str) -> None:
    sizes = {"num_chars": 94_950_000, "num_train_chars": 90_000_000}
    for name, is_told in (("enwik8", unit != "byte"), ("text8", False)):
        run = run_on(name, unit=unit, **sizes)
        protocols = list(table_of(run)["protocol"])
        protocol = "test part" + ", not read as bytes" * is_told
        # A predictor has too many members to read five million symbols by each.
        assert protocols[:2] == [protocol, f"{protocol}, on the first 1,000,000 symbols"]
        assert ("--fix unit=byte --fix cleaning=cased" in markdown(section_of(run))) == is_told
    restored = table_of(run_on("enwik8", cleaning="lower", **sizes))["protocol"]
    assert restored[0] == "test part, restored bits, not read as bytes"


def test_search_without_finalists_says_that_nothing_was_scored() -> None:
    run = run_on("text8", finalists=False)
    assert list(table_of(run)["source"]) == ["Krause 2017, arXiv:1609.07959"]
    text = markdown(section_of(run))
    assert "No network of this search has been scored on the test part yet." in text
    assert " worker-hours: 7 trials." in text


def test_dynamic_evaluation_has_a_row_of_its_own() -> None:
    run = run_on("ptb-char", num_chars=10_000_000)
    scored = run.finalists["number"].eq(3) & run.finalists["finalist_seed"].eq(0)
    run.finalists.loc[scored, "test_bits_per_char_dynamic"] = 1.9
    row = table_of(run).iloc[1]
    assert row["model"] == "trial 3, first seed" and row["bits per character"] == "1.9000"
    assert row["protocol"].startswith("test part, dynamic evaluation, its gain measured on")


def test_winners_cold_windows_have_a_row_of_their_own() -> None:
    run = run_on("tiny-shakespeare")
    assert not table_of(run)["protocol"].str.startswith("cold windows").any()  # an older run
    scored = run.finalists["number"].eq(3) & run.finalists["finalist_seed"].eq(0)
    run.finalists.loc[scored, "test_bits_per_char_cold"] = 2.5
    row = table_of(run).iloc[1]
    assert row["model"] == "trial 3, first seed" and row["bits per character"] == "2.5000"
    assert row["protocol"] == "cold windows of 256, without context"
    assert row["parameters"] == "123,456"


def test_run_keeps_whether_its_parts_were_published() -> None:
    study = run_on("text8").study
    assert StudyFile.from_dict(study.to_json()).corpus.is_published
    values = study.to_json()
    del values["corpus"]["is_published"]  # of an earlier run
    assert not StudyFile.from_dict(values).corpus.is_published
    values["corpus"]["is_published"] = "yes"
    with pytest.raises(ValueError, match="is_published must be bool"):
        StudyFile.from_dict(values)
