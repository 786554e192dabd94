"""Generates passages from the kept checkpoints, for samples.json and samples.md."""

import dataclasses
from collections.abc import Sequence

from model.errors import ConfigError
from model.generation.decoding import SamplingOptions, write_passages
from model.generation.own_bits import own_bits_per_char
from model.generation.quality import Measure, mean_quality
from model.generation.temperature import book_passages, default_temperature
from model.system.files import write_text
from model.text.cleaning import clean
from model.training.predictor import LoadedNetwork, load_network
from tune.records.json_file import write_json
from tune.records.quality_table import QUALITY_TABLE, measured_temperatures, nearest_temperature
from tune.records.run_folder import RunFolder
from tune.records.samples_file import Passage, Samples
from tune.reporting.samples_section import samples_section
from tune.reporting.section import markdown
from tune.reporting.text_quality import Book

CHARS_AT_EACH = 300
"""Characters of the best network's passage at each temperature."""


def write_samples(
    folder: RunFolder,
    book: Book | None,
    *,
    top: int,
    num_chars: int,
    temperature: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    prime: str = "",
    seed: int = 0,
) -> Samples:
    """Write samples.json and samples.md from a run's kept checkpoints, and return the data.

    Args:
        folder: The run.
        book: Its text, to compare with; None if it is no longer available.
        top: Number of checkpoints, at least 1; the predictor is added.
        num_chars: Characters of a passage, at least 1.
        temperature: See SamplingOptions; None takes each checkpoint's nearest to the book in
            quality.csv.
        top_k: See SamplingOptions.
        top_p: See SamplingOptions.
        prime: The beginning of each passage.
        seed: Seed of the draws.

    Raises:
        ConfigError: A value is out of its range, the prime has unknown characters, or the run
            kept no checkpoint.
        CheckpointError: A checkpoint is damaged.
    """
    if top < 1:
        raise ConfigError(f"top must be at least 1, got {top}")
    kept = [(rank, path) for rank, path in folder.writers() if rank <= top]
    if not kept:
        raise ConfigError(f"to generate text, a run must have a checkpoint, got {folder.path}")
    table = QUALITY_TABLE.read(folder.quality_file)
    passages = []
    at_temperatures: tuple[tuple[float, str], ...] = ()
    for rank, path in kept:
        loaded = load_network(path)
        own = nearest_temperature(table, rank) if temperature is None else temperature
        if own is None:
            own = default_temperature(path, loaded.config)
        options = SamplingOptions(temperature=own, top_k=top_k, top_p=top_p)
        passages.append(
            _passage(loaded, book, num_chars=num_chars, options=options, prime=prime, seed=seed)
        )
        if not at_temperatures:
            measured = measured_temperatures(table, checkpoint=rank)
            at_temperatures = _at_each_temperature(loaded, measured, prime=prime, seed=seed)
    samples = Samples(passages=tuple(passages), at_temperatures=at_temperatures)
    write_json(samples, folder.samples_data_file)
    text = markdown(samples_section(samples, table), level=1)
    write_text(folder.samples_file, text + "\n")
    return samples


def _at_each_temperature(
    loaded: LoadedNetwork, temperatures: Sequence[float], *, prime: str, seed: int
) -> tuple[tuple[float, str], ...]:
    """Return a passage from the best at each temperature at which it was measured."""
    if len(temperatures) < 2:  # not measured, or the window regime, which is greedy only
        return ()
    written = write_passages(
        loaded.network,
        loaded.vocabulary,
        prime=prime,
        cleaning=loaded.config.cleaning,
        num_chars=CHARS_AT_EACH,
        num_passages=len(temperatures),
        options=SamplingOptions(temperature=temperatures[0]),
        temperatures=temperatures,
        seed=seed,
    )
    begun = clean(prime, loaded.config.cleaning)
    return tuple(
        (temperature, begun + text)
        for temperature, text in zip(temperatures, written, strict=True)
    )


def _passage(
    loaded: LoadedNetwork,
    book: Book | None,
    *,
    num_chars: int,
    options: SamplingOptions,
    prime: str,
    seed: int,
) -> Passage:
    config = loaded.config
    (written,) = write_passages(
        loaded.network,
        loaded.vocabulary,
        prime=prime,
        cleaning=config.cleaning,
        num_chars=num_chars,
        options=options,
        seed=seed,
    )
    of_book = book_passages(book.held_out, config, num_chars) if book else []
    texts = [written, *of_book]
    bits = own_bits_per_char(
        loaded.network, loaded.vocabulary, texts, prime=prime, cleaning=config.cleaning
    )
    bookless = Measure(None, cleaning=config.cleaning, word_list=None)
    measure = book.measure(config.cleaning) if book else bookless
    quality, *of_pieces = (
        measure(text, own_bits_per_char=of_text) for text, of_text in zip(texts, bits, strict=True)
    )
    how = ", ".join(
        f"{name} {value}"
        for name, value in {**dataclasses.asdict(options), "seed": seed}.items()
        if value is not None
    )
    return Passage(
        caption=loaded.description,
        how=how,
        text=clean(prime, config.cleaning) + written,
        quality=quality,
        book=mean_quality(of_pieces) if of_pieces else None,
    )
