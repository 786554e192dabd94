"""The predictor: which networks are mixed, what is kept, what the report says of it."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hand_made_run import FINALISTS, HOSTILE, PREDICTOR_ROWS, STUDY, hand_made
from model import generate, score
from model.config import TrialConfig
from model.scoring.mixture import Mixture
from model.scoring.objective import PreparedCorpus
from model.text.ngram import Ngram
from model.training.checkpoint import copy_model
from model.training.predictor import PredictorMeta, load_network, save_predictor
from tiny_search import FinishedSearch
from tune import report, samples
from tune.job.mixing import Candidate, mix
from tune.records.load import load_run
from tune.records.predictor_table import NETWORK, PREDICTOR, write_predictor_table
from tune.records.run_folder import RunFolder, is_run_file
from tune.records.samples_file import read_samples_file
from tune.reporting.predictor import predictor_line

CONFIG = TrialConfig(cleaning="lower")


def candidate(number: int, config: TrialConfig = CONFIG) -> Candidate:
    return Candidate(name=f"trial {number}", number=number, config=config, location="nowhere")


def nats_around(
    corpus: PreparedCorpus, mean: float, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what a network that is sometimes right might spend on both passages."""
    generator = np.random.default_rng(seed)
    streams = corpus.encoded["lower"]
    validation, test = (
        np.where(generator.random(len(passage)) < 0.5, mean / 5, mean * 9 / 5)
        for passage in (streams.validation, streams.test)
    )
    return validation, test


def test_mixture_is_scored_as_networks_are(tiny_corpus: PreparedCorpus) -> None:
    networks = [candidate(number) for number in range(3)]
    nats = [nats_around(tiny_corpus, 0.8, seed) for seed in range(3)]
    mixed = mix(tiny_corpus, networks, nats)
    assert mixed.chosen.weights.sum() == pytest.approx(1)
    assert len(mixed.networks) + mixed.has_ngram == len(mixed.chosen.weights) >= 2
    corpus = tiny_corpus.encoded["lower"]
    weights = mixed.chosen.weights
    own = -np.log2(weights @ np.exp(-mixed.val_nats)).sum()
    expected = own / corpus.num_raw_validation_chars + corpus.restoration_bits_per_char
    assert mixed.val_bits_per_char(tiny_corpus, weights) == pytest.approx(expected)
    own_test = -np.log2(weights @ np.exp(-mixed.test_nats)).sum()
    floors = tiny_corpus.floors.of_cleaning
    price = floors["cased"].test_bits_per_char - floors["lower"].test_bits_per_char
    assert mixed.test_bits_per_char(tiny_corpus, weights) == pytest.approx(
        own_test / corpus.num_raw_test_chars + max(0.0, price)
    )
    for place, network in enumerate(mixed.networks):
        assert (mixed.val_nats[place] == nats[network.number][0]).all()
        assert (mixed.test_nats[place] == nats[network.number][1]).all()


def test_networks_that_know_nothing_leave_the_ngram_and_the_best_of_them(
    tiny_corpus: PreparedCorpus,
) -> None:
    streams = tiny_corpus.encoded["lower"]
    worthless = [
        (np.full(len(streams.validation), nats), np.full(len(streams.test), nats))
        for nats in (40.0, 30.0)
    ]
    mixed = mix(tiny_corpus, [candidate(0), candidate(1)], worthless)
    assert [network.number for network in mixed.networks] == [1] and mixed.has_ngram
    assert mixed.chosen.weights[-1] > 0.999
    assert isinstance(mixed.ngram, Ngram)


def test_only_networks_of_the_same_symbols_are_of_one_group() -> None:
    words = dataclasses.replace(CONFIG, unit="word", min_word_count=3)
    groups = [
        candidate(number, config).group
        for number, config in enumerate(
            (
                CONFIG,
                dataclasses.replace(CONFIG, hidden_size=7, seed=9, min_word_count=8),
                dataclasses.replace(CONFIG, cleaning="cased"),
                words,
                dataclasses.replace(words, min_word_count=2),
                dataclasses.replace(CONFIG, regime="window"),
            )
        )
    ]
    assert groups[0] == groups[1] and len(set(groups)) == 5


@pytest.fixture
def folder(trained_checkpoint: Path, tiny_corpus: PreparedCorpus) -> RunFolder:
    folder = RunFolder.create(Path("run"), STUDY)
    folder.write_tables(hand_made())
    folder.write_finalists(FINALISTS)
    copy_model(trained_checkpoint, folder.checkpoint(1))
    meta = PredictorMeta(weights=(0.7, 0.3), ngram_order=4, val_bits_per_char=1.75)
    save_predictor(
        folder.predictor, [trained_checkpoint], meta, tiny_corpus.encoded["lower"].train
    )
    rows = [
        dataclasses.replace(row, name=f"{row.name} {HOSTILE}" * (row.kind == NETWORK) or row.name)
        for row in PREDICTOR_ROWS
    ]
    write_predictor_table(rows, folder.predictor_file)
    return folder


def test_report_has_the_predictor_its_members_and_what_each_brings(folder: RunFolder) -> None:
    assert report.main([str(folder.path)]) == 0
    text = folder.report_file.read_text(encoding="utf-8")
    line = (
        "The predictor, 1 network and the n-gram, has 1.8500 bits on the test passage, its best "
        "member 1.9800 (1.7500 on the validation passage, fitted there)."
    )
    assert line in text and predictor_line(load_run(folder.path)) == line
    assert "| 4-gram | 0.30 | 2.0400 | 2.1400 | 0.0500 | 0.50 |" in text
    assert "| predictor |  |  |  | 1.7500 |" in text  # among the finalists
    assert "<script>" not in text
    page = folder.page_file.read_text(encoding="utf-8")
    assert "1.8500" in page and "The predictor" in page


def test_samples_are_written_by_the_predictor_too(folder: RunFolder) -> None:
    assert samples.main([str(folder.path), "--top", "1", "--chars", "40"]) == 0
    written = read_samples_file(folder.samples_data_file)
    assert written is not None
    first, second = written.passages
    assert first.caption == "1.7500 bits per character: predictor of 1 network and a 4-gram, lower"
    assert len(first.text) == len(second.text) == 40
    assert first.quality.own_bits_per_char is not None


def test_its_files_are_those_of_a_run_and_no_links(folder: RunFolder) -> None:
    for path in folder.predictor.rglob("*"):
        if path.is_file():
            assert is_run_file(str(path.relative_to(folder.path))), path
    assert is_run_file("predictor.csv") and not is_run_file("predictor/../x")
    (folder.predictor / "more").symlink_to("/etc/passwd")
    assert report.main([str(folder.path)]) == 2


@pytest.mark.parametrize(
    "content", ["kind,name\nx,y\n", "\0", "kind,name,number,weight\npredictor,a,1,inf\n"]
)
def test_table_of_a_stranger_is_one_line(
    folder: RunFolder, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.predictor_file.write_text(content, encoding="utf-8")
    assert report.main([str(folder.path)]) == 2
    error = capsys.readouterr().err
    assert "a run's table must be readable" in error and error.count("\n") == 1


@pytest.mark.slow
def test_search_ends_with_a_predictor(
    finished: FinishedSearch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = load_run("results/one")
    table = run.predictor.set_index("kind")
    members = run.predictor[run.predictor["kind"] != PREDICTOR]
    assert float(members["weight"].sum()) == pytest.approx(1)
    whole = table.loc[PREDICTOR]
    assert whole["val_bits_per_char"] <= members["val_bits_per_char"].min() + 1e-6
    loaded = load_network(Path("results/one/predictor"))
    assert isinstance(loaded.network, Mixture)
    assert "The predictor, " in finished.done.stdout
    assert generate.main(["results/one/predictor", "--chars", "20", "--greedy"]) == 0
    # Its figure can be had again: own bits and the price.
    corpus = finished.flags[finished.flags.index("--corpus") + 1]
    capsys.readouterr()
    arguments = ["results/one/predictor", "--text", corpus, "--part", "test", "--json"]
    assert score.main(arguments) == 0
    floors = run.study.objective.floors
    price = floors["cased"].test_bits_per_char - floors[loaded.config.cleaning].test_bits_per_char
    own = float(capsys.readouterr().out.partition('"bits_per_raw_char": ')[2].partition(",")[0])
    assert whole["test_bits_per_char"] == pytest.approx(own + max(0.0, price), abs=2e-3)
    assert math.isfinite(own)
