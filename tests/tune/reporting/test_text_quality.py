"""The figures of hand-made texts: a loop, a copied page, random letters."""

import dataclasses
import random
import re
import string
from pathlib import Path

import pandas as pd
import pytest
import torch

from hand_made_run import STUDY
from model.config import TrialConfig
from model.errors import ConfigError, CorpusError
from model.generation import quality, word_list
from model.generation.copying import CopyFinder, window_hashes
from model.generation.own_bits import own_bits_per_char
from model.generation.quality import (
    FIGURES,
    WORDLESS,
    Measure,
    TextQuality,
    distance,
    loop_share,
    mean_quality,
    pieces,
    words,
)
from model.generation.reference_passages import reference_passages
from model.generation.temperature import (
    PASSAGES,
    TEMPERATURES,
    default_temperature,
    least_far,
    survey_temperatures,
)
from model.generation.word_list import WordList, find_word_list
from model.network.lstm import WindowLSTM
from model.scoring.objective import prepare_corpus
from model.text.cleaning import clean
from model.text.corpus import resolve_corpus
from model.text.streams import split_text
from model.text.vocabulary import Vocabulary
from model.training.checkpoint import copy_model, load_checkpoint
from model.training.trainer import Trainer
from tune.records.json_file import read_json
from tune.records.quality_table import BOOK, CHECKPOINT, QUALITY_TABLE, nearest_temperature
from tune.records.run_folder import RunFolder
from tune.records.samples_file import Samples
from tune.records.study_file import CorpusOrigin
from tune.reporting import text_quality
from tune.reporting.samples import write_samples
from tune.reporting.samples_section import BOOK_NAME, best_temperature_line
from tune.reporting.text_quality import Book, measure_run

WORDS = WordList(
    name="a list", words=frozenset({"the", "hare", "said", "she", "can't", "take", "more", "tea"})
)


@pytest.fixture(scope="module")
def book() -> str:
    """Sentences of words that never come in the same order."""
    generator = random.Random(0)
    nouns = ["hare", "hatter", "dormouse", "alice", "queen", "gryphon", "duchess", "cat"]
    verbs = ["said", "took", "saw", "heard", "had", "lost", "found", "sang"]
    things = ["tea", "a watch", "more bread", "the song", "her glove", "nothing", "a tart"]
    sentence = "The {} {} {}, and then the {} {} {}."
    lists = (nouns, verbs, things) * 2
    return "\n".join(
        sentence.format(*(generator.choice(words) for words in lists)) for _ in range(400)
    )


@pytest.fixture(scope="module")
def measure(book: str) -> Measure:
    return Measure(book, cleaning="cased", word_list=WORDS)


def test_loop(measure: Measure) -> None:
    figures = measure("the way " * 100)
    assert figures.loop_share == pytest.approx(0.99)
    assert figures.repeated_4gram_share == pytest.approx(1 - 2 / 197)
    assert figures.distinct_word_share == 2 / 200
    assert figures.book_word_share == 0.5  # "the" is the book's, "way" is not
    assert figures.copied_40gram_share == 0.0


def test_copied_page(measure: Measure, book: str) -> None:
    page = book[5_000:6_000]
    figures = measure(page)
    assert figures.copied_40gram_share == 1.0
    assert figures.longest_copied_chars == 1_000
    assert figures.loop_share == 0.0
    half = measure(page[:500] + "".join(random.Random(1).choices(string.digits, k=500)))
    assert half.longest_copied_chars == 500
    assert half.copied_40gram_share == pytest.approx(461 / 961)


def test_random_letters(measure: Measure) -> None:
    figures = measure("".join(random.Random(2).choices(string.ascii_lowercase + " ", k=1_000)))
    assert figures.book_word_share is not None and figures.book_word_share < 0.1
    assert figures.repeated_4gram_share == 0.0
    assert figures.loop_share == 0.0
    assert figures.copied_40gram_share == 0.0
    assert figures.longest_copied_chars is not None and figures.longest_copied_chars < 8
    assert figures.distinct_word_share is not None and figures.distinct_word_share > 0.8


def test_words_are_compared_in_any_case_and_with_either_apostrophe(measure: Measure) -> None:
    figures = measure(
        "THE HARE SAID: \N{RIGHT SINGLE QUOTATION MARK}Can\N{RIGHT SINGLE QUOTATION MARK}t!"
    )
    assert figures.listed_word_share == 1.0
    letters = Measure(None, cleaning="letters", word_list=WORDS)
    assert letters("she cant take more").listed_word_share == 1.0
    assert letters("she cant").book_word_share is None


def test_a_text_without_words_has_no_shares_of_words(measure: Measure) -> None:
    figures = measure("* * *")
    assert figures.book_word_share is None and figures.repeated_4gram_share is None
    assert distance(figures, [measure("the tea")]) >= 0


@pytest.mark.parametrize("length", [1, 2, 3, 16, 40, 41])
def test_windows_have_equal_hashes_where_they_are_equal(length: int) -> None:
    text = (
        "".join(random.Random(3).choices("ab", k=60)) * 2
        + "é\N{ALCHEMICAL SYMBOL FOR QUINTESSENCE}"
    )
    hashes = window_hashes(text, length)
    windows = [text[start : start + length] for start in range(len(text) - length + 1)]
    assert len(hashes) == len(windows)
    assert len(set(zip(windows, hashes.tolist(), strict=True))) == len(set(windows))
    assert len(set(hashes.tolist())) == len(set(windows))
    assert len(window_hashes("short", 6)) == 0


@pytest.mark.slow
def test_longest_copy_is_the_one_a_search_of_all_finds() -> None:
    generator = random.Random(4)
    for _ in range(30):
        book, text = ("".join(generator.choices("ab ", k=size)) for size in (3_000, 60))
        start = generator.randrange(2_900)
        text = text[:30] + book[start : start + generator.randrange(40)] + text[30:]
        expected = max(
            size
            for size in range(len(text) + 1)
            if any(text[at : at + size] in book for at in range(len(text) - size + 1))
        )
        assert CopyFinder(book).longest_copied_chars(text) == expected
    assert CopyFinder("short").longest_copied_chars("") == 0
    assert CopyFinder("short").copied_share("x" * 50) == 0.0


def test_of_a_long_book_only_the_beginning_is_read(
    book: str, tiny_text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality, "MAX_BOOK_CHARS", 5_000)
    measure = Measure(book, cleaning="cased", word_list=None)
    assert measure(book[4_800:5_200]).longest_copied_chars == 200
    assert measure(book[:400] + " unicorn").longest_copied_chars == 400
    monkeypatch.setattr(text_quality, "MAX_BOOK_CHARS", 300)
    seen: list[str] = []
    monkeypatch.setattr(text_quality, "find_word_list", lambda words: seen.extend(words))
    whole = Book(tiny_text)
    assert whole.held_out == split_text(tiny_text).validation[:300]
    assert seen == list(words(tiny_text[:300]))
    assert whole.measure("cased") is whole.measure("cased")


def test_loops_of_one_character_and_of_a_sentence() -> None:
    assert loop_share("a" * 100) == pytest.approx(0.99)
    sentence = "will you, won't you, will you join the dance? "
    assert loop_share(sentence * 2) == 0.5
    assert loop_share("no loop here at all, nothing repeats") == 0.0
    assert loop_share("") == 0.0


def test_pieces_have_one_length_and_cover_the_text() -> None:
    text = "".join(random.Random(5).choices(string.ascii_letters, k=1_050))
    assert pieces(text, 100, most=20) == [
        text[start : start + 100] for start in range(0, 1_000, 100)
    ]
    few = pieces(text, 100, most=4)
    assert len(few) == 4 and few[0] == text[:100] and few[-1] == text[900:1_000]
    assert pieces("short", 100, most=4) == ["short"]


def test_means_leave_out_what_is_not_known() -> None:
    means = mean_quality([TextQuality(loop_share=0.2), TextQuality(loop_share=0.4), TextQuality()])
    assert means == TextQuality(loop_share=pytest.approx(0.3))


def test_distance_counts_in_the_books_own_spread() -> None:
    book = [TextQuality(book_word_share=share, loop_share=0.0) for share in (0.85, 0.95)]
    assert distance(TextQuality(book_word_share=0.9, loop_share=0.0), book) == pytest.approx(0.0)
    # Two spreads of 0.05 off in one figure, and three of the least spread, 0.01, in the other.
    off = TextQuality(book_word_share=0.8, loop_share=0.03)
    assert distance(off, book) == pytest.approx(((4 + 9) / 2) ** 0.5)
    assert distance(TextQuality(book_word_share=0.8), book) == pytest.approx(2.0)


def test_own_bits_are_those_of_the_network_alone(trained_checkpoint: Path, tiny_text: str) -> None:
    model, meta = load_checkpoint(trained_checkpoint)
    vocabulary = meta.vocabulary
    texts = [clean(tiny_text[:300], "lower"), clean(tiny_text[500:600], "lower"), "§", "eee" * 20]
    bits = own_bits_per_char(model, vocabulary, texts, prime="", cleaning="lower")
    alone = [
        own_bits_per_char(model, vocabulary, [text], prime="", cleaning="lower")[0]
        for text in texts
    ]
    assert bits == pytest.approx(alone)
    assert bits[2] is None  # not in the vocabulary
    assert bits[0] is not None and bits[3] is not None and 0 < bits[0] < bits[3]


@pytest.mark.parametrize(
    ("distances", "least"),
    [
        ((1.06, 1.38, 1.13, 1.31, 2.11), 0.7),  # one lucky draw at 0.5
        ((1.0, 2.0, 3.0, 4.0, 5.0), 0.5),
        ((5.0, 4.0, 3.0, 2.0, 1.0), 1.0),
    ],
)
def test_one_lucky_draw_does_not_choose_the_temperature(
    distances: tuple[float, ...], least: float
) -> None:
    assert least_far(dict(zip(TEMPERATURES, distances, strict=True))) == least


def test_temperatures_are_surveyed_and_the_nearest_is_the_least_far(
    trained_checkpoint: Path, tiny_text: str
) -> None:
    model, meta = load_checkpoint(trained_checkpoint)
    split = split_text(tiny_text)
    measure = Measure(split.train, cleaning="lower", word_list=None)
    survey = survey_temperatures(model, meta.vocabulary, meta.config, measure, split.validation)
    assert tuple(survey.by_temperature) == TEMPERATURES and survey.num_passages == PASSAGES
    distances = survey.distances
    assert survey.nearest == least_far(distances)
    bits = [quality.own_bits_per_char or 0.0 for quality in survey.by_temperature.values()]
    assert bits == sorted(bits)  # what is drawn more wildly costs the network more
    again = survey_temperatures(model, meta.vocabulary, meta.config, measure, split.validation)
    assert again.by_temperature == survey.by_temperature


def test_network_of_the_window_regime_writes_greedily(
    tiny_config: TrialConfig, tiny_text: str
) -> None:
    split = split_text(tiny_text)
    config = dataclasses.replace(tiny_config, regime="window", hidden_size=4)
    vocabulary = Vocabulary.of(clean(tiny_text, "lower"))
    torch.manual_seed(0)
    survey = survey_temperatures(
        WindowLSTM(config, len(vocabulary)),
        vocabulary,
        config,
        Measure(split.train, cleaning="lower", word_list=None),
        split.validation[:100],
    )
    assert list(survey.by_temperature) == [0.0] and survey.nearest == 0.0
    assert survey.by_temperature[0.0].own_bits_per_char is not None


def test_word_list_of_the_language_is_found() -> None:
    english = find_word_list(
        ["they", "could", "not", "find", "the", "little", "door", "behind", "the", "curtain"]
    )
    assert english is not None and "en," in english.name
    assert {"rabbits", "curious", "don't"} <= english.words
    assert "thitg" not in english.words


def test_list_that_fits_best_is_taken_and_none_that_does_not_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lists = [
        WordList(name=name, words=frozenset(text.split()))
        for name, text in [("en", "the rabbit"), ("de", "das weiße kaninchen"), ("nl", "das")]
    ]
    monkeypatch.setattr(word_list, "_candidates", lambda: iter(lists))
    assert find_word_list(["das", "kaninchen", "und", "the"]) == lists[1]
    assert find_word_list(["le", "lapin", "et", "das"]) is None
    assert find_word_list([]) is None


def test_reference_passages_belong_to_their_book_alone(wonderland_path: Path) -> None:
    book = wonderland_path.read_text(encoding="utf-8-sig")
    passages = reference_passages(book)
    assert [passage.name for passage in passages] == [
        "experiment 1",
        "experiment 2",
        "experiment 3",
    ]
    assert reference_passages("another book " * 100) == []
    train = split_text(book).train
    figures = [
        Measure(train, cleaning=passage.cleaning, word_list=None)(passage.text)
        for passage in passages
    ]
    # What the reference saw by eye: many misspelt words at first, loops, then better spelling.
    spelt = [figure.book_word_share or 0.0 for figure in figures]
    assert spelt[0] < 0.7 < spelt[1] and spelt[2] > 0.9
    assert (figures[2].repeated_4gram_share or 0.0) > 0.3
    assert figures[0].loop_share == 0.0 and (figures[1].loop_share or 0.0) > 0.05


def test_figures_are_the_fields() -> None:
    assert set(FIGURES) == {field.name for field in dataclasses.fields(TextQuality)}


@pytest.mark.slow
def test_quality_table_of_a_run_and_what_it_decides(
    trained_checkpoint: Path, tiny_text: str, tmp_path: Path
) -> None:
    folder = RunFolder.create(tmp_path / "run")
    copy_model(trained_checkpoint, folder.checkpoint(1))
    book = Book(tiny_text)
    records = measure_run(folder, book, top=3)
    assert [record.temperature for record in records] == [*TEMPERATURES, None]
    assert records[-1].writer == BOOK and records[-1].distance is None
    QUALITY_TABLE.write([each.row() for each in records], folder.quality_file)
    table = QUALITY_TABLE.read(folder.quality_file)
    assert table["nearest"].sum() == 1
    written = table[table["writer"] == CHECKPOINT]
    nearest = table[table["nearest"]].iloc[0]
    assert nearest["temperature"] == least_far(
        dict(zip(written["temperature"], written["distance"], strict=True))
    )
    assert nearest_temperature(table, 1) == nearest["temperature"]
    assert nearest_temperature(table, 2) is None
    own = default_temperature(
        folder.checkpoint(1), load_checkpoint(folder.checkpoint(1))[1].config
    )
    assert own == nearest["temperature"]
    assert table["book_word_share"].iloc[-1] == records[-1].quality.book_word_share
    samples = write_samples(folder, book, top=1, num_chars=100)
    (passage,) = samples.passages
    assert passage.how == f"temperature {nearest['temperature']}, seed 0"
    text = folder.samples_file.read_text(encoding="utf-8")
    assert "| this passage |" in text and f"| {BOOK_NAME} |" in text
    assert f"| {nearest['temperature']:g}, nearest |" in text
    _, _, below = text.partition("Samples from the best of them:")
    passages = re.findall(r"^Temperature ([0-9.]+):\n\n((?: {4}.*\n)+)", below, flags=re.MULTILINE)
    assert tuple(float(at) for at, _ in passages) == TEMPERATURES
    assert len({passage for _, passage in passages}) == len(TEMPERATURES)
    assert samples == read_json(folder.samples_data_file, Samples, "a run's samples")
    assert [at for at, _ in samples.at_temperatures] == list(TEMPERATURES)
    line = best_temperature_line(table)
    assert f"temperature {nearest['temperature']:g}: of 0.5, 0.7, 0.8, 0.9, 1, " in line
    assert line.endswith(f"(its own distance: {nearest['distance']:.1f})")


@pytest.mark.parametrize(
    ("line", "has_words"),
    [
        ("'I've had nothing yet,' Alice replied: 'so I can't take more!'\n", True),
        ('{"time": "2026-12-01T10:11:12", "level": "info", "user": 17}\n', True),
        ("static int\nadd(int a, int b) { return a + b; }  /* of two */\n", True),
        (">read 1\n" + "acgtgattaca" * 6 + "\n" + "gattacaacgt" * 6 + "\n", False),
        ("CC(=O)OC1=CC=CC=C1C(=O)O\nC1CC1N\n", False),
        ("|: G2 A B | c2 d e | f g a b :|\n", False),
    ],
)
def test_words_are_measured_where_most_are_words(line: str, has_words: bool) -> None:
    measure = Measure(line * 40, cleaning="cased", word_list=None)
    quality = measure(line * 3)
    assert (quality.distinct_word_share is not None) == has_words
    assert (quality.book_word_share is not None) == has_words
    assert quality.loop_share is not None


@pytest.mark.slow
def test_samples_say_where_words_would_be_clauses(
    tiny_config: TrialConfig, tmp_path: Path, tiny_text: str
) -> None:
    chance = random.Random(0)
    thai = "".join(chance.choice(("เด็กเล่นใต้ต้นไม้\n", "เขาถามว่าชาร้อนไหม\n")) for _ in range(100))
    for text, told in ((thai, True), (tiny_text, False)):
        folder = RunFolder.create(tmp_path / f"run {told}")
        config = dataclasses.replace(tiny_config, epochs=1, hidden_size=4)
        trainer = Trainer(config, prepare_corpus(text, ["lower"]).streams(config))
        list(trainer.reports())
        trainer.save(folder.checkpoint(1))
        book = Book(text)
        QUALITY_TABLE.write(
            [each.row() for each in measure_run(folder, book, top=1)], folder.quality_file
        )
        table = QUALITY_TABLE.read(folder.quality_file)
        assert table["distinct_word_share"].isna().all() == told
        assert table["nearest"].sum() == 1
        write_samples(folder, book, top=1, num_chars=50)
        written = folder.samples_file.read_text(encoding="utf-8")
        assert (WORDLESS in written) == told


def test_without_its_book_a_run_still_writes(trained_checkpoint: Path, tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    corpus = dataclasses.replace(
        STUDY.corpus, name="gone.txt", location=str(tmp_path / "gone.txt"), sha256="0"
    )
    folder.write_study(dataclasses.replace(STUDY, corpus=corpus))
    copy_model(trained_checkpoint, folder.checkpoint(1))
    with pytest.raises(CorpusError, match="must be given with --corpus"):
        Book.of_run(folder)
    (passage,) = write_samples(folder, None, top=1, num_chars=100).passages
    assert passage.how == "temperature 0.8, seed 0"
    assert passage.book is None and passage.quality.book_word_share is None
    assert passage.quality.own_bits_per_char is not None
    assert QUALITY_TABLE.read(folder.quality_file).empty
    assert best_temperature_line(QUALITY_TABLE.read(folder.quality_file)) == ""
    assert "At each temperature" not in folder.samples_file.read_text(encoding="utf-8")


@pytest.mark.slow
def test_run_finds_its_book_again_unless_it_has_changed(tmp_path: Path, tiny_text: str) -> None:
    path = tmp_path / "book.txt"
    path.write_text(tiny_text, encoding="utf-8")
    folder = RunFolder.create(tmp_path / "run")
    found = resolve_corpus(str(path))
    folder.write_study(dataclasses.replace(STUDY, corpus=CorpusOrigin.of(found)))
    assert Book.of_run(folder).text == tiny_text
    assert Book.of_run(folder, str(path)).text == tiny_text
    path.write_text(tiny_text + "more", encoding="utf-8")
    with pytest.raises(CorpusError, match="is no longer at"):
        Book.of_run(folder)
    with pytest.raises(ConfigError, match="the corpus must be the run's text"):
        Book.of_run(folder, str(path))


def test_temperature_line_does_not_claim_the_smallest_distance() -> None:
    distances = {0.5: 1.1, 0.7: 1.3, 0.8: 1.0, 0.9: 1.4, 1.0: 2.0}
    chosen = least_far(distances)
    assert distances[chosen] > min(distances.values())  # one distance scatters
    rows = [
        {
            "checkpoint": 1,
            "writer": CHECKPOINT,
            "temperature": temperature,
            "distance": distance,
            "nearest": temperature == chosen,
        }
        for temperature, distance in distances.items()
    ]
    line = best_temperature_line(pd.DataFrame(rows))
    assert line == (
        f"temperature {chosen:g}: of 0.5, 0.7, 0.8, 0.9, 1, the one where a parabola through the "
        f"distances from the book is lowest (its own distance: {distances[chosen]:.1f})"
    )
    (only,) = [row for row in rows if row["nearest"]]
    assert best_temperature_line(pd.DataFrame([only])) == (
        f"temperature {chosen:g}, the only one measured "
        f"(distance from the book {distances[chosen]:.1f})"
    )
