"""Measures the text that a run's checkpoints generate, its book and the reference's passages."""

import functools
from pathlib import Path

from model.errors import ConfigError
from model.generation.quality import (
    MAX_BOOK_CHARS,
    Measure,
    distance,
    mean_quality,
    pieces,
    words,
)
from model.generation.reference_passages import reference_passages
from model.generation.temperature import MAX_BOOK_PASSAGES, survey_temperatures, write_temperature
from model.generation.word_list import find_word_list
from model.text.cleaning import clean
from model.text.corpus import resolve_corpus
from model.text.held_out import with_short_held_out
from model.text.packed import Text
from model.text.streams import split_text
from model.training.predictor import load_network
from tune.records.quality_table import BOOK, CHECKPOINT, REFERENCE, QualityRecord
from tune.records.run_folder import RunFolder, text_of_run
from tune.reporting.samples_section import BOOK_NAME


class Book:
    """The text of a run, with which generated text is compared.

    Attributes:
        text: The raw text.
        held_out: The first MAX_BOOK_CHARS of the raw validation passage.
        word_list: A word list that fits the text, if there is one.
    """

    def __init__(self, text: Text, lengths: tuple[int, int] | None = None) -> None:
        split = split_text(text, lengths)
        self.text = text
        self.held_out = split.validation[:MAX_BOOK_CHARS]
        self._train = text[: min(MAX_BOOK_CHARS, split.train_end)]
        self._measures: dict[str, Measure] = {}
        self.word_list = find_word_list(words(self._train))

    @classmethod
    def of_run(cls, folder: RunFolder, named: str | None = None) -> "Book":
        """Find the text of a run.

        Args:
            folder: The run.
            named: The text as the user names it: a corpus, a path or a URL; None finds it.

        Raises:
            ConfigError: study.json is damaged, or the named text is not that of the run.
            CorpusError: The text is not available.
        """
        study = folder.read_study()
        if named is None:
            return cls(text_of_run(study, folder).text, study.corpus.lengths)
        expected = study.corpus.sha256
        text = resolve_corpus(named, study.settings.reading)
        if text.is_published and study.space.base.reports_per_epoch > 1:  # as the search had it
            text = with_short_held_out(text)
        if text.sha256 != expected:
            raise ConfigError(
                f"the corpus must be the run's text with sha256 {expected[:12]}, but {named} has "
                f"{text.sha256[:12]}"
            )
        return cls(text.text, study.corpus.lengths)

    def measure(self, cleaning: str) -> Measure:
        """Return the measure for texts of a cleaning, which is made once."""
        if cleaning not in self._measures:
            self._measures[cleaning] = Measure(
                self._train, cleaning=cleaning, word_list=self.word_list
            )
        return self._measures[cleaning]


def measure_run(folder: RunFolder, book: Book, *, top: int) -> list[QualityRecord]:
    """Measure the best checkpoints' text at each temperature, and what it is compared with.

    The temperature at which a checkpoint is nearest to the book is stored in its folder.

    Args:
        folder: The run.
        book: Its text.
        top: Number of checkpoints; the predictor is added.

    Raises:
        CheckpointError: A checkpoint is damaged.
    """
    records = []
    for rank, path in folder.writers():
        if rank <= top:
            records += _of_checkpoint(rank, path, book)
    return records + _of_reference(book)


def _of_checkpoint(rank: int, path: Path, book: Book) -> list[QualityRecord]:
    loaded = load_network(path)
    config = loaded.config
    survey = survey_temperatures(
        loaded.network, loaded.vocabulary, config, book.measure(config.cleaning), book.held_out
    )
    write_temperature(path, survey.nearest)
    record = functools.partial(
        QualityRecord,
        checkpoint=rank,
        cleaning=config.cleaning,
        word_list=book.word_list.name if book.word_list else None,
    )
    written = [
        record(
            writer=CHECKPOINT,
            name=f"checkpoint {rank}" if rank else "predictor",
            temperature=temperature,
            passages=survey.num_passages,
            quality=quality,
            distance=survey.distances[temperature],
            nearest=temperature == survey.nearest,
        )
        for temperature, quality in survey.by_temperature.items()
    ]
    of_book = record(
        writer=BOOK,
        name=BOOK_NAME,
        passages=len(survey.book),
        quality=mean_quality(survey.book),
    )
    return [*written, of_book]


def _of_reference(book: Book) -> list[QualityRecord]:
    """Measure the reference's passages if the text is their book; their bits are unknown."""
    records = []
    for passage in reference_passages(book.text[:MAX_BOOK_CHARS]):
        measure = book.measure(passage.cleaning)
        length = len(passage.text)
        of_book = pieces(clean(book.held_out, passage.cleaning), length, MAX_BOOK_PASSAGES)
        quality = measure(passage.text)
        records.append(
            QualityRecord(
                writer=REFERENCE,
                name=f"the reference's {passage.name}",
                cleaning=passage.cleaning,
                temperature=0.0,
                passages=1,
                quality=quality,
                distance=distance(quality, [measure(piece) for piece in of_book]),
                word_list=book.word_list.name if book.word_list else None,
            )
        )
    return records
