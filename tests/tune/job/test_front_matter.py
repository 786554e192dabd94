"""--keep-front-matter: a run keeps it, so that a resumed one reads the same text."""

import dataclasses
import random
from pathlib import Path

import pytest
from rich.console import Console

from hand_made_run import STUDY
from model import train
from model.errors import ConfigError
from model.text.corpus import Corpus
from tune.job.options import parse_options
from tune.job.prepare import named_corpus, split_for
from tune.job.resume import prepared_study
from tune.planning.study import StudyOptions
from tune.records.run_folder import CORPUS_FILE, RunFolder
from tune.records.study_file import CorpusOrigin, StudySettings
from tune.reporting.text_quality import Book

pytestmark = pytest.mark.usefixtures("measured_machine")

QUIET = Console(quiet=True)
FLAG = "--keep-front-matter"


@pytest.fixture
def book() -> Path:
    story = "Petra opened the silver beacon along the shore, and nobody minded it.\n" * 40
    path = Path("book.txt")
    path.write_text(
        "*** START OF THE PROJECT GUTENBERG EBOOK A BOOK ***\n\nA BOOK\n\nCHAPTER I\n\n"
        f"{story}\n*** END OF THE PROJECT GUTENBERG EBOOK A BOOK ***\n\nlicence words\n",
        encoding="utf-8",
    )
    return path


def test_command_lines_keep_front_matter_where_it_is_asked_for(
    book: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [
        parse_options(["--space", "quick", *flags]).over(StudySettings()) for flags in ([], [FLAG])
    ]
    texts = [named_corpus(StudyOptions(corpus=str(book)), each, QUIET).text for each in settings]
    assert [text[:6] for text in texts] == ["CHAPTE", "A BOOK"]
    for flags, told in (([], "matter (--keep-front-matter keeps it)"), ([FLAG], "and footer")):
        wanted = ["--corpus", str(book), *flags, "--epochs", "1", "--hidden-size", "4"]
        assert train.main([*wanted, "--batch-size", "4"]) == 0
        assert capsys.readouterr().out.splitlines()[0].endswith(told)


@pytest.mark.parametrize("kept", [False, True])
def test_resumed_run_reads_the_text_that_it_began_with(book: Path, kept: bool) -> None:
    settings = StudySettings(keep_front_matter=kept)
    corpus = named_corpus(StudyOptions(corpus=str(book)), settings, QUIET)
    origin = CorpusOrigin.of(corpus)
    folder = RunFolder.create(Path("run"))
    folder.write_study(dataclasses.replace(STUDY, settings=settings, corpus=origin))
    options = StudyOptions(resume=str(folder.path), trials=30)
    study = prepared_study(options, QUIET)
    assert study.corpus.text == corpus.text == Book.of_run(folder).text
    assert study.settings.keep_front_matter == kept
    other = dataclasses.replace(options, keep_front_matter=not kept)
    with pytest.raises(ConfigError, match="keep_front_matter must be that of the resumed run"):
        prepared_study(other, QUIET)


def test_resumed_run_knows_that_its_passages_were_texts_of_their_own() -> None:
    """Else its checkpoints name the training file, which would be split again."""
    generator = random.Random(0)
    for name in ("book", "judge"):
        words = (generator.choice("abcdefgh") * generator.randint(2, 6) for _ in range(2_000))
        Path(f"{name}.txt").write_text(" ".join(words), encoding="utf-8")
    options = StudyOptions(corpus="book.txt", validation="judge.txt")
    corpus = named_corpus(options, StudySettings(), QUIET)
    folder = RunFolder.create(Path("run"))
    folder.write_study(dataclasses.replace(STUDY, corpus=CorpusOrigin.of(corpus)))
    (folder.path / CORPUS_FILE).write_text(corpus.text, encoding="utf-8")
    study = prepared_study(StudyOptions(resume=str(folder.path), trials=30), QUIET)
    assert study.corpus.text == corpus.text
    assert study.corpus.path_or_name is corpus.path_or_name is study.prepared.location is None


@pytest.mark.slow
def test_resumed_run_reads_the_encoding_that_it_began_with() -> None:
    text = "Élodie a trouvé la clé près du café.\n" * 400
    book = Path("old.txt").resolve()
    book.write_bytes(text.encode("cp1252"))
    settings = StudySettings(encoding="cp1252")
    corpus = named_corpus(StudyOptions(corpus=str(book)), settings, QUIET)
    folder = RunFolder.create(Path("run"))
    origin = CorpusOrigin.of(corpus)
    folder.write_study(dataclasses.replace(STUDY, settings=settings, corpus=origin))
    options = StudyOptions(resume=str(folder.path), trials=30)
    assert prepared_study(options, QUIET).corpus.text == Book.of_run(folder).text == text
    for again in (None, "cp1252"):
        named = dataclasses.replace(options, corpus=str(book), encoding=again)
        assert prepared_study(named, QUIET).corpus.text == text
    other = dataclasses.replace(options, encoding="latin-1")
    with pytest.raises(ConfigError, match="encoding must be that of the resumed run, 'cp1252'"):
        prepared_study(other, QUIET)


@pytest.mark.parametrize("location", ["-", "https://host/book.txt", "/proc/7/fd/pipe:[3]"])
def test_run_whose_text_cannot_be_read_twice_is_resumed(location: str) -> None:
    text = "It is six o'clock, said the Hare.\n" * 400
    read = Corpus(name=location, location=location, source="once", text=text)
    corpus = split_for(STUDY.space, read)
    folder = RunFolder.create(Path("run"))
    folder.write_study(dataclasses.replace(STUDY, corpus=CorpusOrigin.of(corpus)))
    options = StudyOptions(resume=str(folder.path), trials=30)
    assert prepared_study(options, QUIET).corpus.text == text


@pytest.mark.slow
def test_resumed_run_is_judged_on_the_text_that_it_began_with() -> None:
    words = random.Random(0)
    for name in ("book", "held", "other"):
        letters = "".join(words.choices("abcdefgh ", k=4_000))
        Path(f"{name}.txt").write_text(f"{letters}\n", encoding="utf-8")
    began = StudyOptions(corpus="book.txt", validation="held.txt")
    corpus = split_for(STUDY.space, named_corpus(began, StudySettings(), QUIET))
    folder = RunFolder.create(Path("run"))
    origin = CorpusOrigin.of(corpus)
    folder.write_study(dataclasses.replace(STUDY, corpus=origin))
    options = StudyOptions(resume=str(folder.path), trials=30)
    held_out = Path("held.txt").read_text(encoding="utf-8")
    study = prepared_study(options, QUIET)
    assert study.corpus.lengths == corpus.lengths == (3_600, 4_001)
    assert next(iter(study.prepared.encoded.values())).validation.num_raw_chars == 4_001
    assert Book.of_run(folder).held_out == held_out
    again = dataclasses.replace(options, corpus="book.txt", validation="held.txt")
    assert prepared_study(again, QUIET).corpus.text == corpus.text
    for changed in ({"validation": "other.txt"}, {"validation": None}):
        with pytest.raises(ConfigError, match="corpus must be its original text"):
            prepared_study(dataclasses.replace(again, **changed), QUIET)


@pytest.mark.parametrize("lengths", [(0, 10), (10, None), (900, 100), (-1, 5), (10**9, 1)])
def test_parts_that_no_text_has_are_refused(lengths: tuple[int, int | None]) -> None:
    train, validation = lengths
    with pytest.raises(ConfigError, match="must be parts of 1,000 characters"):
        CorpusOrigin(
            name="a",
            source="b",
            sha256="c",
            num_chars=1_000,
            num_train_chars=train,
            num_validation_chars=validation,
        )
