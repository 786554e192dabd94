"""The predictor: which networks are mixed, what is kept, what the report says of it."""

import dataclasses
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from hand_made_run import CACHE_ROW, FINALISTS, HOSTILE, PREDICTOR_ROWS, STUDY, curve, hand_made
from model import generate, score, train
from model.config import TrialConfig
from model.network.base import Network
from model.scoring.evaluation import held_out_nats
from model.scoring.mixture import Mixture
from model.scoring.objective import PreparedCorpus, prepare_corpus
from model.training.checkpoint import META_FILE, copy_model, load_checkpoint
from model.training.predictor import PredictorMeta, load_network, save_predictor
from tiny_search import FinishedSearch
from tune import report, samples
from tune.job import finish, predictor
from tune.job.mixing import Candidate, mix, on_test_passage
from tune.job.predictor import candidates_of
from tune.records.finalist_table import FINALIST_TABLE
from tune.records.json_file import read_json
from tune.records.load import load_run
from tune.records.predictor_table import (
    CACHE,
    NETWORK,
    PREDICTOR,
    PREDICTOR_TABLE,
)
from tune.records.run_folder import RunFolder, is_run_file
from tune.records.samples_file import Samples
from tune.records.trial import Status, TrialRecord
from tune.reporting.predictor import predictor_line

CONFIG = TrialConfig(cleaning="lower")


def candidate(number: int, config: TrialConfig = CONFIG) -> Candidate:
    return Candidate(
        name=f"trial {number}", number=number, config=config, location="nowhere", epoch_seconds=1.0
    )


def nats_around(length: int, seed: int) -> NDArray[np.float64]:
    """Return what a network that is sometimes right might spend on a passage."""
    return np.where(np.random.default_rng(seed).random(length) < 0.5, 0.16, 1.44)


def test_mixture_is_scored_as_networks_are(tiny_corpus: PreparedCorpus) -> None:
    corpus = tiny_corpus.encoded["lower"]
    nats = [nats_around(len(corpus.validation.symbols), seed) for seed in range(3)]
    mixed = mix(tiny_corpus, [candidate(number) for number in range(3)], nats)
    weights = mixed.chosen.weights
    assert weights.sum() == pytest.approx(1)
    assert len(mixed.networks) + (mixed.ngram is not None) == len(weights) >= 2
    val_nats = [nats[network.number] for network in mixed.networks]
    if mixed.ngram:
        val_nats.append(mixed.ngram.nats(corpus.validation.symbols, context=corpus.train.symbols))
    spent = -np.log(weights @ np.exp(-np.stack(val_nats)))
    assert mixed.cache is not None  # the text says the same again and again
    cached = mixed.cache.nats(spent, corpus.validation.symbols, context=corpus.train.symbols)
    for bits, nats_of_it in (
        (mixed.val_bits_without_cache, spent),
        (mixed.val_bits_per_char, cached),
    ):
        own = nats_of_it.sum() / math.log(2) / corpus.validation.num_raw_chars
        assert bits == pytest.approx(own + corpus.validation.restoration_bits_per_char)
    length = len(corpus.test.symbols)
    test_nats = [nats_around(length, 9 + network.number) for network in mixed.networks]
    whole, *members, without = on_test_passage(tiny_corpus, mixed, test_nats)
    floors = tiny_corpus.floors.of_cleaning
    price = max(0.0, floors["cased"].test_bits_per_char - floors["lower"].test_bits_per_char)
    alone = test_nats[0].sum() / math.log(2) / corpus.test.num_raw_chars + price
    assert members[0] == pytest.approx(alone) and len(members) == len(weights)
    assert whole < without
    if mixed.ngram and mixed.ngram.order == tiny_corpus.floors.order:
        assert members[-1] == pytest.approx(floors["lower"].test_bits_per_char + price)
    assert whole < max(members)


def finished_study(folder: Path, trials: dict[int, TrialConfig]) -> Any:
    """Return what has the checkpoints of some trials, and of the first one's two finalists."""
    for root, keys in (("ray", trials), ("ray/finalists", (0, 1))):
        for key in keys:
            place = folder / root / f"session-1/trial_{key:05d}/checkpoint_000000/checkpoint"
            place.mkdir(parents=True)
            (place / META_FILE).touch()
    return SimpleNamespace(
        checkpoints_root=str(folder / "ray"), finalists_root=str(folder / "ray/finalists")
    )


def trained(number: int, config: TrialConfig, bits: float) -> TrialRecord:
    return TrialRecord(
        number=number, config=config, status=Status.COMPLETE, epochs=curve(number, [bits])
    )


def test_finalists_come_first_and_windows_only_where_there_is_nothing_else(tmp_path: Path) -> None:
    window = dataclasses.replace(CONFIG, regime="window")
    configs = {
        0: CONFIG,
        1: dataclasses.replace(CONFIG, hidden_size=9),
        2: window,
        3: dataclasses.replace(CONFIG, hidden_size=8),
    }
    study = finished_study(tmp_path, configs)
    records = [trained(n, config, 2.0 + n / 10) for n, config in configs.items()]
    records.append(trained(7, dataclasses.replace(CONFIG, hidden_size=5), 1.0))  # it is gone
    finalists = {0: trained(0, CONFIG, 2.2), 1: trained(1, CONFIG, 2.1)}
    finalists[2] = TrialRecord(number=2, config=CONFIG, status=Status.FAILED)
    found = candidates_of(study, records, finalists)
    assert [each.name for each in found] == [
        *("trial 0 again, seed 2", "trial 0 again, seed 1", "trial 0", "trial 1", "trial 3"),
    ]
    assert all(each.epoch_seconds > 0 for each in found)
    alone = candidates_of(study, records[2:3], {})
    assert [each.name for each in alone] == ["trial 2"]


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


def test_scoring_takes_as_long_as_the_passages_are_not_as_the_epoch_is(
    tiny_corpus: PreparedCorpus,
) -> None:
    study: Any = SimpleNamespace(prepared=tiny_corpus)
    an_epoch = candidate(0).epoch_seconds
    # A fifth is held out.
    assert predictor._scoring_seconds(study, candidate(0)) == pytest.approx(
        0.1 * an_epoch, rel=0.01
    )
    raw = tiny_corpus.encoded[CONFIG.cleaning]
    train = dataclasses.replace(raw.train, num_raw_chars=100 * raw.train.num_raw_chars)
    long = dataclasses.replace(raw, train=train)
    study.prepared = dataclasses.replace(tiny_corpus, encoded={CONFIG.cleaning: long})
    same_rate = dataclasses.replace(candidate(0), epoch_seconds=100 * an_epoch)
    assert predictor._scoring_seconds(study, same_rate) == pytest.approx(0.1 * an_epoch, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["char", "word"])
def test_predictor_of_networks_of_a_kind_is_saved_scored_and_writes(
    unit: str, tiny_text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "book.txt"
    text.write_text(tiny_text, encoding="utf-8")
    prepared = prepare_corpus(tiny_text, ["lower"])
    networks, validation = [], []
    for seed in range(2):
        place = tmp_path / f"trained-{seed}"
        settings = f"--unit {unit} --epochs 2 --hidden-size 16 --batch-size 4 --sequence-length 8"
        arguments = [*settings.split(), "--learning-rate", "0.02", "--seed", str(seed)]
        assert train.main(["--corpus", str(text), *arguments, "--checkpoint", str(place)]) == 0
        network, meta = load_checkpoint(place)
        networks.append(
            Candidate(
                name=f"trial {seed}",
                number=seed,
                config=meta.config,
                location=str(place),
                epoch_seconds=1.0,
            )
        )
        validation.append(nats_of(network, prepared, meta.config, is_test=False))
    mixed = mix(prepared, networks, validation)
    on_test = [
        nats_of(load_checkpoint(Path(n.location))[0], prepared, n.config, is_test=True)
        for n in mixed.networks
    ]
    test = on_test_passage(prepared, mixed, on_test)
    folder = RunFolder.create(tmp_path / "run", STUDY)
    predictor._save(prepared, folder, mixed, test)
    table = PREDICTOR_TABLE.read(folder.predictor_file)
    assert table["kind"].to_list()[0] == PREDICTOR
    assert float(table["weight"][1:].sum()) == pytest.approx(1)
    assert (table[table["kind"] != CACHE]["milliseconds_per_symbol"] > 0).all()
    assert load_network(folder.predictor).cache == mixed.cache
    last = table.iloc[-1]
    # Words are foreseen whole by the n-gram of this text: a cache brings nothing.
    assert (last["kind"] == CACHE) == (mixed.cache is not None) == (unit == "char")
    if mixed.cache is not None:
        lengths = f"{mixed.cache.shortest} to {mixed.cache.longest}"
        assert last["name"] == f"cache of {lengths} symbols"
        assert last[["number", "weight", "milliseconds_per_symbol"]].isna().all()
        first = table.iloc[0]
        gain = last["val_bits_per_char"] - first["val_bits_per_char"]
        assert last["gain_bits_per_char"] == pytest.approx(gain) and gain > 0
        plain = dataclasses.replace(mixed, cache=None)
        without = on_test_passage(prepared, plain, on_test)[0]
        assert last["test_bits_per_char"] == pytest.approx(without)
        assert without > first["test_bits_per_char"]
    capsys.readouterr()
    arguments = [str(folder.predictor), "--text", str(text), "--part", "test", "--json"]
    assert score.main(arguments) == 0
    own = json.loads(capsys.readouterr().out)["bits_per_raw_char"]
    floors = prepared.floors.of_cleaning
    price = max(0.0, floors["cased"].test_bits_per_char - floors["lower"].test_bits_per_char)
    assert own + price == pytest.approx(test[0], rel=1e-4)
    assert generate.main([str(folder.predictor), "--chars", "50", "--passages", "2"]) == 0
    assert len(capsys.readouterr().out) > 100


def nats_of(
    network: Network, prepared: PreparedCorpus, config: TrialConfig, *, is_test: bool
) -> NDArray[np.float64]:
    return held_out_nats(
        network, prepared, config, precision="float32", is_test=is_test, max_symbols=10**6
    )


@pytest.fixture
def folder(trained_checkpoint: Path, tiny_corpus: PreparedCorpus) -> RunFolder:
    folder = RunFolder.create(Path("run"), STUDY)
    folder.write_tables(hand_made())
    FINALIST_TABLE.write(FINALISTS, folder.finalists_file)
    copy_model(trained_checkpoint, folder.checkpoint(1))
    meta = PredictorMeta(weights=(0.7, 0.3), ngram_order=4, val_bits_per_char=1.75)
    save_predictor(
        folder.predictor, [trained_checkpoint], meta, tiny_corpus.encoded["lower"].train.symbols
    )
    rows = [
        dataclasses.replace(row, name=f"{row.name} {HOSTILE}" * (row.kind == NETWORK) or row.name)
        for row in PREDICTOR_ROWS
    ]
    PREDICTOR_TABLE.write(map(dataclasses.asdict, rows), folder.predictor_file)
    return folder


@pytest.mark.slow
def test_report_has_the_predictor_its_members_and_what_each_brings(folder: RunFolder) -> None:
    assert report.main([str(folder.path)]) == 0
    text = folder.report_file.read_text(encoding="utf-8")
    line = (
        "The predictor (1 network and the n-gram) scores 1.8500 bits per character on the test "
        "passage; its best member, 1.9800. On the validation passage, to which it was fitted, it "
        "scores 1.7500."
    )
    assert line in text and predictor_line(load_run(folder.path)) == line
    assert "| 4-gram | 0.30 | 2.0400 | 2.1400 | 0.0500 | 0.50 |" in text
    assert "| predictor |  |  |  | 1.7500 |" in text  # among the finalists
    assert "<script>" not in text
    PREDICTOR_TABLE.write(
        map(dataclasses.asdict, [*PREDICTOR_ROWS, CACHE_ROW]), folder.predictor_file
    )
    assert report.main([str(folder.path)]) == 0
    text = folder.report_file.read_text(encoding="utf-8")
    parts = "1 network and the n-gram, with a cache of the text read so far"
    line = line.replace("1 network and the n-gram", parts)
    assert line.replace("passage; its", "passage; without the cache, 1.9700; its") in text
    assert "| cache of 4 to 12 symbols |  | 1.8500 | 1.9700 | 0.1000 |  |" in text
    page = folder.page_file.read_text(encoding="utf-8")
    assert "1.8500" in page and "The predictor" in page


def test_samples_are_written_by_the_predictor_too(folder: RunFolder) -> None:
    assert samples.main([str(folder.path), "--top", "1", "--chars", "40"]) == 0
    written = read_json(folder.samples_data_file, Samples, "a run's samples")
    assert written is not None
    first, second = written.passages
    assert (
        first.caption
        == "1.7500 validation bits per character: predictor of 1 network and a 4-gram, lower"
    )
    assert len(first.text) == len(second.text) == 40
    assert first.quality.own_bits_per_char is not None


@pytest.mark.slow
def test_damaged_predictor_does_not_cost_the_run_its_end(
    folder: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    console = Console(width=200)
    finish._check_predictor(folder, console)
    assert folder.predictor.is_dir() and capsys.readouterr().out == ""
    (folder.predictor / "01" / META_FILE).write_text("{}", encoding="utf-8")
    finish._check_predictor(folder, console)
    assert capsys.readouterr().out.startswith("the predictor is left out: ")
    assert not folder.predictor.exists() and load_run(folder.path).predictor.empty
    finish._check_predictor(folder, console)


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
    assert "The predictor (" in finished.done.stdout
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
