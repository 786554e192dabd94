"""One symbol for the rare characters of a text: nothing is lost, each text has its price."""

import dataclasses
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from optuna.distributions import CategoricalDistribution

from model.config import TrialConfig
from model.errors import CheckpointError, ConfigError
from model.generate import main as generate
from model.score import main as score
from model.scoring.evaluation import score_test_passage
from model.scoring.letters import score_letters
from model.scoring.objective import PreparedCorpus, prepare_corpus
from model.scoring.particle_filter import symbols_by_letter
from model.text import common_chars
from model.text.cleaning import LETTERS, RAW, clean
from model.text.common_chars import CommonCharVocabulary
from model.text.held_out import LONG_TEXT_CHARS
from model.text.streams import split_text, text_of
from model.text.vocabulary import Vocabulary
from model.training.checkpoint import load_checkpoint
from model.training.trainer import Trainer
from model.training.warm_start import check_shape
from search_spaces import SearchSpace, load_space
from search_spaces.load import SPACE_NAMES
from search_spaces.long_text import for_text

RARE = "çéßñЖж漢字★"
SENTENCE = "It was the best of times, it was the worst of times.\n"


def text() -> str:
    """Return a text whose parts have rare characters, those of the last two parts unseen."""
    lines = [SENTENCE] * 60
    for place, char in zip((3, 12, 12, 30, 49, 51, 55, 58, 59), RARE, strict=True):
        lines[place] = lines[place].replace("worst", f"w{char}rst{char}")
    return "".join(lines)


TEXT = text()


@pytest.fixture(scope="module")
def prepared() -> PreparedCorpus:
    return prepare_corpus(TEXT, [RAW, LETTERS], min_char_count=10)


@pytest.fixture(scope="module")
def config(tiny_config: TrialConfig) -> TrialConfig:
    return dataclasses.replace(tiny_config, cleaning=RAW, min_char_count=10, epochs=2)


@pytest.fixture(scope="module")
def trainer(prepared: PreparedCorpus, config: TrialConfig) -> Trainer:
    trainer = Trainer(config, prepared.streams(config))
    list(trainer.reports())
    return trainer


@pytest.mark.parametrize("cleaning", [RAW, LETTERS])
def test_text_is_kept_whatever_shares_a_symbol(prepared: PreparedCorpus, cleaning: str) -> None:
    corpus, split = prepared.encoded[cleaning], split_text(TEXT)
    vocabulary = corpus.vocabulary
    assert isinstance(vocabulary, CommonCharVocabulary)
    counts = {char: clean(split.train, cleaning).count(char) for char in vocabulary.alphabet}
    assert set(vocabulary.rare) == {char for char, count in counts.items() if count < 10}
    assert set(vocabulary.alphabet) == set(clean(TEXT, cleaning))
    for part, raw in zip(corpus.parts, (split.train, split.validation, split.test), strict=True):
        cleaned = clean(raw, cleaning)
        assert text_of(corpus, part) == cleaned
        assert (part.symbols == vocabulary.encode(cleaned)).all()
        num_rare = sum(char in vocabulary.rare for char in cleaned)
        assert num_rare > 0
        assert part.spelling_bits == pytest.approx(num_rare * math.log2(len(vocabulary.rare)))
        assert part.spelling_bits == vocabulary.spelling_bits(cleaned)


def test_long_text_is_looked_up_in_pieces(
    prepared: PreparedCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    vocabulary = prepared.encoded[RAW].vocabulary
    assert isinstance(vocabulary, CommonCharVocabulary)
    whole = vocabulary.encode(TEXT)
    monkeypatch.setattr(common_chars, "_CHUNK_SYMBOLS", 7)
    assert (vocabulary.encode(TEXT) == whole).all()
    assert vocabulary.decode(whole, vocabulary.rare_in(TEXT)) == TEXT


@pytest.mark.parametrize(
    ("alphabet", "counts"),
    [("abc", (5, 5, 5)), ("abc", (5, 1, 5)), ("abc", (1, 1, 1))],
    ids=["none is rare", "one is rare", "all are rare"],
)
def test_nothing_is_shared_where_it_would_save_nothing(
    alphabet: str, counts: tuple[int, ...]
) -> None:
    train = np.repeat(np.arange(3, dtype=np.uint8), counts)
    assert CommonCharVocabulary.of(alphabet, train, min_char_count=3) is None


def test_book_keeps_all_its_characters() -> None:
    for name in SPACE_NAMES:
        assert load_space(name).base.min_char_count == 0
    assert isinstance(prepare_corpus(TEXT, [RAW]).encoded[RAW].vocabulary, Vocabulary)


@pytest.mark.parametrize("unit", ["word", "byte"])
def test_words_and_bytes_are_those_of_the_whole_text(
    prepared: PreparedCorpus, config: TrialConfig, unit: str
) -> None:
    config = dataclasses.replace(config, unit=unit, min_word_count=2)
    shared, whole = (each.streams(config) for each in (prepared, prepare_corpus(TEXT, [RAW])))
    for ours, theirs in zip(shared.parts, whole.parts, strict=True):
        assert (ours.symbols == theirs.symbols).all() and not ours.rare_chars
    assert shared.vocabulary == whole.vocabulary
    assert shared.test.spelling_bits == whole.test.spelling_bits


def test_prices_and_floors_are_those_of_the_whole_text(prepared: PreparedCorpus) -> None:
    whole = prepare_corpus(TEXT, [RAW, LETTERS])
    assert prepared.floors == whole.floors and prepared.resemblance == whole.resemblance
    price = prepared.encoded[LETTERS].validation.restoration_bits_per_char
    assert price == whole.encoded[LETTERS].validation.restoration_bits_per_char


def test_uniform_network_scores_what_one_works_out_by_hand(
    prepared: PreparedCorpus, config: TrialConfig
) -> None:
    config = dataclasses.replace(config, learning_rate=1e-30, epochs=1)
    trainer = Trainer(config, prepared.streams(config))
    for parameter in trainer.model.output.parameters():  # type: ignore[union-attr, operator]
        torch.nn.init.zeros_(parameter)
    report, split = next(trainer.reports()), split_text(TEXT)
    vocabulary = prepared.encoded[RAW].vocabulary
    assert isinstance(vocabulary, CommonCharVocabulary)

    def bits(part: str) -> float:
        raw = getattr(split, part)
        num_rare = sum(char in vocabulary.rare for char in raw)
        return math.log2(len(vocabulary)) + num_rare * math.log2(len(vocabulary.rare)) / len(raw)

    assert report.val_bits_per_char == pytest.approx(bits("validation"), rel=1e-5)
    scored = score_test_passage(trainer.model, prepared, config, precision="float32")
    assert scored == pytest.approx(bits("test"), rel=1e-5)


@pytest.mark.slow
def test_letters_that_share_a_symbol_have_their_share_of_it(
    prepared: PreparedCorpus, trainer: Trainer
) -> None:
    vocabulary = prepared.encoded[RAW].vocabulary
    assert isinstance(vocabulary, CommonCharVocabulary)
    found = symbols_by_letter(vocabulary)
    total = np.zeros(len(vocabulary))
    for spellings in found.values():
        total[spellings.symbols] += spellings.shares
    assert total == pytest.approx(np.ones(len(vocabulary)))
    upper_and_lower = found["ж"]
    assert list(upper_and_lower.symbols) == [len(vocabulary) - 1]
    assert upper_and_lower.shares == pytest.approx([2 / len(vocabulary.rare)])
    # A network of letters alone is scored exactly: by its own score of the passage.
    corpus = prepared.encoded[LETTERS]
    config = dataclasses.replace(trainer.config, cleaning=LETTERS)
    of_letters = Trainer(config, corpus)
    score = score_letters(of_letters.model, corpus, seed=0, with_trend=False)
    price = prepared.floors.restoration_bits_per_char(LETTERS, is_test=True)
    whole = score_test_passage(of_letters.model, prepared, config, precision="float32")
    assert score is not None and score.letter_particles == 1
    num_letters, num_raw = corpus.test.num_chars, corpus.test.num_raw_chars
    own = (whole - price) * num_raw / num_letters
    assert score.test_bits_per_letter == pytest.approx(own, abs=1e-3)
    # One of all characters is shown none of the rare ones: they have a price all the same.
    assert score_letters(trainer.model, prepared.encoded[RAW], seed=0, with_trend=False)


def test_checkpoint_goes_on_and_writes_all_characters(
    prepared: PreparedCorpus,
    config: TrialConfig,
    trainer: Trainer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    trainer.save(tmp_path / "checkpoint")
    resumed = Trainer(config, prepared.streams(config))
    resumed.restore(tmp_path / "checkpoint")
    assert resumed.is_finished
    _, meta = load_checkpoint(tmp_path / "checkpoint")
    vocabulary = meta.vocabulary
    assert isinstance(vocabulary, CommonCharVocabulary)
    assert vocabulary == prepared.encoded[RAW].vocabulary
    draws = itertools.cycle(np.linspace(0, 1, 50, endpoint=False))
    write = vocabulary.writer("", lambda: float(next(draws)))
    written = {write(len(vocabulary) - 1) for _ in range(50)}
    assert written == set(vocabulary.rare)
    assert write(vocabulary.common.index("w")) == "w"
    flags = [str(tmp_path / "checkpoint"), "--prime", "漢 ★ w", "--chars", "40"]
    assert generate([*flags, "--temperature", "5"]) == 0
    assert "漢 ★ w" in capsys.readouterr().out


def test_windows_say_that_rare_characters_are_not_told_apart(
    trainer: Trainer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer.save(tmp_path / "checkpoint")
    (tmp_path / "text.txt").write_text(TEXT)
    flags = [str(tmp_path / "checkpoint"), "--text", str(tmp_path / "text.txt"), "--json"]
    assert score([*flags, "--windows", "4x20"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["not_priced"] == "which of the rare characters it is"
    assert score(flags) == 0
    found = json.loads(capsys.readouterr().out)
    assert "not_priced" not in found


def test_weights_go_to_networks_of_the_same_symbols(trainer: Trainer, tmp_path: Path) -> None:
    trainer.save(tmp_path / "checkpoint")
    _, meta = load_checkpoint(tmp_path / "checkpoint")
    check_shape(trainer.config, meta, tmp_path)
    with pytest.raises(ConfigError, match="min_char_count must be that of the weights"):
        check_shape(dataclasses.replace(trainer.config, min_char_count=5), meta, tmp_path)


@pytest.mark.parametrize(
    "vocabulary",
    [
        {"common": "ab", "rare": ""},
        {"common": "ab", "rare": "bc"},
        {"common": "ba", "rare": "cd"},
        {"common": ["a"], "rare": "cd"},
        {"common": "ab"},
    ],
)
def test_damaged_vocabulary_is_refused(
    trainer: Trainer, tmp_path: Path, vocabulary: dict[str, object]
) -> None:
    trainer.save(tmp_path / "checkpoint")
    path = tmp_path / "checkpoint" / "meta.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"vocabulary": vocabulary}))
    with pytest.raises(CheckpointError, match="damaged checkpoint"):
        load_checkpoint(tmp_path / "checkpoint")


def test_bad_values_are_refused() -> None:
    with pytest.raises(ConfigError, match="min_char_count must be at least 0, got -1"):
        TrialConfig(min_char_count=-1)
    with pytest.raises(ConfigError, match="characters"):
        CommonCharVocabulary(("a",), ("b", "c")).encode("d")
    quick = load_space("quick")
    with pytest.raises(ConfigError, match="min_char_count must be the base's for all trials"):
        axes = {**quick.distributions, "min_char_count": CategoricalDistribution((5,))}
        dataclasses.replace(quick, distributions=axes)
    values = quick.to_json()
    axis = {"min_char_count": {"name": "IntDistribution", "attributes": {"low": 0, "high": 3}}}
    values["distributions"] = {**values["distributions"], **axis}
    with pytest.raises(ConfigError, match="min_char_count must be the base's for all trials"):
        SearchSpace.from_dict(values)


def test_a_long_text_is_searched_with_common_characters() -> None:
    space = for_text(load_space("full"), LONG_TEXT_CHARS + 1, on_gpu=False)
    assert {config.min_char_count for config in space.corners(["epochs"])} == {10}
