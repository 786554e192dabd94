"""A validation passage of another kind than the training part is told; of the same kind none."""

import random
from pathlib import Path

import pytest

from hand_made_run import hand_made, loaded_run
from model import train
from model.scoring.objective import prepare_corpus
from model.scoring.resemblance import MIN_CHARS, Resemblance
from model.text.corpus import resolve_corpus
from repository import SHARED_CASES
from tune import run
from tune.records.study_file import StudyFile
from tune.reporting.contents import winner
from tune.reporting.markdown_report import report_text

pytestmark = pytest.mark.usefixtures("measured_machine")

UNLIKE = "the validation passage does not resemble the training part"


def sentences(words: str, num_chars: int) -> str:
    chance, pieces, length = random.Random(0), [], 0
    while length < num_chars:
        pieces.append(" ".join(chance.choices(words.split(), k=7)).capitalize() + ".\n")
        length += len(pieces[-1])
    return "".join(pieces)[:num_chars]


ENGLISH = "the hare and said that it was very late for tea but nobody minded when alice left"
GERMAN = "der hase und sagte dass es sehr spät für tee sei aber niemand störte sich als sie ging"
CHARS = MIN_CHARS * 2
PROSE = sentences(ENGLISH, CHARS)
NUMBERS = "".join(f"{row},{row * 37 % 91},{row * 53 % 997}\n" for row in range(CHARS))


def warning_of(text: str) -> str:
    compared = prepare_corpus(text, ["cased"]).resemblance
    assert compared is not None
    return compared.warning


@pytest.mark.parametrize(
    "end",
    [sentences(GERMAN, CHARS), NUMBERS, PROSE.upper()],
    ids=["German", "numbers", "capitals"],
)
def test_another_kind_of_text_at_the_end_is_told(end: str) -> None:
    num_trained = CHARS * 8 // 10
    text = PROSE[:num_trained] + end[: CHARS - num_trained]
    assert UNLIKE in warning_of(text)
    mixed = "".join(
        PROSE[start : start + 500] + end[start : start + 500] for start in range(0, CHARS, 1_000)
    )
    assert warning_of(mixed) == ""


@pytest.mark.slow
def test_texts_of_one_kind_are_not_told() -> None:
    for text in (PROSE, sentences(GERMAN, CHARS), NUMBERS[:CHARS], "xy" * CHARS):
        assert warning_of(text) == ""
    assert warning_of(resolve_corpus("python-docs").text) == ""


def test_short_texts_are_not_judged() -> None:
    short = PROSE[:1_000] + "0123456789" * 20
    assert prepare_corpus(short, ["cased"]).resemblance is None


def test_small_differences_are_none() -> None:
    def warning(here: float, there: float) -> str:
        return Resemblance(validation_bits_per_char=here, training_bits_per_char=there).warning

    assert warning(0.05, 0.01) == "" and warning(2.5, 2.4) == ""
    assert "6.10 bits per character" in warning(6.1, 2.1) and "at most 2.10." in warning(6.1, 2.1)


@pytest.mark.skipif(not SHARED_CASES.is_dir(), reason="the shared inputs are not here")
def test_english_then_french_is_told() -> None:
    for name, told in (("english-then-french", True), ("omnibus", False), ("thai", False)):
        text = resolve_corpus(str(SHARED_CASES / f"{name}.txt")).text
        assert (UNLIKE in warning_of(text)) == told, name


@pytest.mark.slow
def test_report_tells_it_and_keeps_it() -> None:
    unlike = Resemblance(validation_bits_per_char=6.1, training_bits_per_char=2.1)
    told = loaded_run(hand_made(), resemblance=unlike)
    assert f"**Warning**: {UNLIKE}" in report_text(told)
    assert UNLIKE in winner(told).caption  # of the page
    assert StudyFile.from_dict(told.study.to_json()).resemblance == unlike
    like = Resemblance(validation_bits_per_char=2.1, training_bits_per_char=2.1)
    for quiet in (loaded_run(hand_made()), loaded_run(hand_made(), resemblance=like)):
        assert UNLIKE not in report_text(quiet) and winner(quiet).caption == ""


@pytest.mark.slow
def test_plan_and_training_tell_it(capsys: pytest.CaptureFixture[str]) -> None:
    end = CHARS * 8 // 10
    Path("unlike.txt").write_text(PROSE[:end] + NUMBERS[: CHARS - end], encoding="utf-8")
    Path("like.txt").write_text(PROSE, encoding="utf-8")
    for name, told in (("unlike.txt", True), ("like.txt", False)):
        flags = ["--corpus", name, "--epochs", "1", "--hidden-size", "4", "--batch-size", "64"]
        assert train.main(flags) == 0
        assert (f"warning: {UNLIKE}" in capsys.readouterr().out) == told
        assert run.main(["--space", "quick", "--corpus", name, "--dry-run"]) == 0
        assert (f"warning: {UNLIKE}" in capsys.readouterr().out) == told
