"""Han, kana, Thai: a word network writes no spaces that its book never has."""

import dataclasses
import random
from pathlib import Path

import pytest

from joined_tokens import join
from model import train
from model.config import TrialConfig
from model.generation.decoding import SamplingOptions, write_passages
from model.generation.own_bits import own_bits_per_char
from model.generation.quality import Measure, distance
from model.scoring.objective import prepare_corpus
from model.text.words import (
    CLAUSES,
    Tokens,
    WordVocabulary,
    has_no_spaces_between_words,
    spaced,
    tokenize,
)
from model.training.trainer import Trainer
from repository import SHARED_CASES

THAI = ("เด็กๆเล่นใต้ต้นไม้", "เขาถามว่าชาร้อนไหม", "แม่ไปตลาดตอนเช้า", "น้ำในแม่น้ำใสมาก")
HAN = ("爱丽丝觉得很累。", "她坐在河岸上,", "没有事情可做。", "兔子跑过去了!")
NAMES = ("Petra", "Quill", "Marten", "Orla", "Hobb", "Senna")


def text_of(pieces: tuple[str, ...], between: str) -> str:
    chance = random.Random(0)
    return between.join(chance.choice(pieces) for _ in range(400))


TEXTS = {
    "Thai": text_of(THAI, "\n"),
    "Han": text_of(HAN, ""),
    "names, one a line": text_of(NAMES, "\n"),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=list(TEXTS))
def test_what_is_written_has_no_spaces_and_can_be_scored(
    text: str, tiny_config: TrialConfig
) -> None:
    config = dataclasses.replace(
        tiny_config, unit="word", min_word_count=2, cleaning="cased", epochs=1, hidden_size=8
    )
    streams = prepare_corpus(text, ["cased"]).streams(config)
    trainer = Trainer(config, streams)
    list(trainer.reports())
    model, vocabulary = trainer.model, streams.vocabulary
    written = write_passages(
        model,
        vocabulary,
        prime="",
        cleaning="cased",
        num_chars=400,
        num_passages=4,
        options=SamplingOptions(temperature=5.0),  # so that words come after words
    )
    assert set("".join(written)) <= set(text)
    assert None not in own_bits_per_char(model, vocabulary, written, prime="", cleaning="cased")


def test_a_space_that_the_book_has_beside_such_a_script_is_a_token() -> None:
    assert list(tokenize("ชา ร้อน")) == ["ชา", " ", "ร้อน"]
    assert list(tokenize("读 Alice 很累")) == ["读", " ", "Alice", " ", "很累"]
    assert list(tokenize("앨리스는 아주 지쳤다")) == ["앨리스는", "아주", "지쳤다"]
    assert [spaced("很累", "读"), spaced("Alice", "读"), spaced("b", "a")] == [
        "很累",
        "Alice",
        " b",
    ]
    chance = random.Random(1)
    for _ in range(3_000):
        text = "".join(chance.choices("a1 ก่累ア' \n가", k=chance.randrange(12)))
        assert join(tokenize(text)) == text, repr(text)


def test_prime_that_ends_in_a_space_keeps_it_in_such_a_script() -> None:
    text = "ชา ร้อน cold tea "
    vocabulary = WordVocabulary.of(Tokens.of(text), sorted(set(text)), min_word_count=1)
    names = vocabulary.tokens
    assert [names[index] for index in vocabulary.encode_prime("ชา ")] == ["ชา", " "]
    assert [names[index] for index in vocabulary.encode_prime("cold ")] == ["cold"]


def test_texts_are_known_by_their_letters() -> None:
    japanese = "吾輩は猫である。名前はまだ無い。IDは3つ。"
    for text in (*THAI, *HAN, japanese, "ຂ້ອຍ", "ខ្ញុំ", "မင်္ဂလာပါ"):
        assert has_no_spaces_between_words(text), text
    for text in ("", "42", "She said 累 twice.", "앨리스는", "नमस्ते", "שלום", "སངས་རྒྱས"):
        assert not has_no_spaces_between_words(text), text


def test_figures_of_words_are_left_out_where_clauses_would_be_words() -> None:
    for pieces in (THAI, HAN):
        book = text_of(pieces, "\n")
        measure = Measure(book, cleaning="cased", word_list=None)
        figures = measure(book[:300])
        assert figures.book_word_share is None and figures.distinct_word_share is None
        assert figures.repeated_4gram_share is None and figures.loop_share is not None
        assert distance(figures, [figures]) == 0
    english = Measure(text_of(NAMES, " "), cleaning="cased", word_list=None)
    assert english("Petra Quill").distinct_word_share == 1.0


def test_training_on_words_says_that_they_are_clauses(capsys: pytest.CaptureFixture[str]) -> None:
    Path("thai.txt").write_text(TEXTS["Thai"], encoding="utf-8")
    flags = ["--corpus", "thai.txt", "--epochs", "1", "--hidden-size", "4", "--batch-size", "4"]
    for unit, told in (("word", True), ("char", False)):
        assert train.main([*flags, "--unit", unit]) == 0
        assert (CLAUSES in capsys.readouterr().out) == told


@pytest.mark.skipif(not SHARED_CASES.is_dir(), reason="the shared inputs are not here")
def test_thai_case_is_written_in_its_own_characters() -> None:
    text = (SHARED_CASES / "thai.txt").read_text(encoding="utf-8")
    vocabulary = WordVocabulary.of(Tokens.of(text), sorted(set(text)), min_word_count=2)
    before = vocabulary.tokens[-1]
    for symbol in range(len(vocabulary) - 1):
        assert " " not in vocabulary.writer(before, lambda: 0.5)(symbol)
