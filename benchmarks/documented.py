"""Trains as the reference did and prints its losses next to ours.

`python -m benchmarks.documented --experiment 1 --epochs 3 --corpus wonderland.txt`

The whole book, windows of 100 characters, Keras' Adam at 1e-3 (the window regime). The
reference read its UTF-8 file as cp1252, so the byte-order mark counts as three
characters: 144,345 and 46 symbols; 136,024 and 27 for experiment 3.
documented_losses.csv holds the 90 epochs of the reference, "Generating Text with RNN Long
Short-Term Memory" (2018).
"""

import argparse
import csv
import time
from pathlib import Path

from benchmarks.written_symbols import generate
from model.config import TrialConfig
from model.generation.decoding import SamplingOptions, encode_prime
from model.generation.reference_passages import reference_passages
from model.system.devices import num_gpus, pick_device, use_threads
from model.text.cleaning import clean
from model.text.streams import EncodedCorpus, Part
from model.text.vocabulary import Vocabulary
from model.training.trainer import Trainer
from search_spaces import load_space

LOSSES_PATH = Path(__file__).with_name("documented_losses.csv")
_SHOWN_CHARS = 160
"""Characters of a passage that are shown."""


def documented_losses(experiment: int) -> list[tuple[int, float]]:
    """Return (seconds, loss) of each epoch of an experiment of the reference."""
    with LOSSES_PATH.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if int(row["experiment"]) == experiment]
    return [(int(row["seconds"]), float(row["loss"])) for row in rows]


def documented_text(path: Path, experiment: int) -> str:
    """Return the text as the reference trained on it."""
    if experiment == 3:
        return clean(path.read_text(encoding="utf-8-sig"), "letters")
    return path.read_text(encoding="cp1252").lower()


def whole_corpus(text: str, cleaning: str) -> EncodedCorpus:
    """Return a text as the training part: the reference held nothing out."""
    vocabulary = Vocabulary.of(text)
    symbols = vocabulary.encode(text)
    held_out = Part(symbols=symbols[-1_000:], num_chars=1_000, num_raw_chars=1_000)
    return EncodedCorpus(
        cleaning=cleaning,
        vocabulary=vocabulary,
        train=Part(symbols=symbols, num_chars=len(symbols), num_raw_chars=1_000),
        validation=held_out,
        test=held_out,
    )


def documented_config(experiment: int, **changes: object) -> TrialConfig:
    """Return the settings of an experiment of the reference."""
    params = load_space("documented").baselines[experiment - 1].params
    return TrialConfig.from_dict(
        {
            **params,
            "regime": "window",
            "sequence_length": 100,
            "learning_rate": 1e-3,
            **changes,
        }
    )


def main() -> None:
    """Print one row per epoch, and what both networks write after the reference's prompt."""
    parser = argparse.ArgumentParser(description="Our losses next to the documented ones.")
    parser.add_argument("--experiment", type=int, choices=(1, 2, 3), default=1)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data/wonderland.txt"))
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    use_threads(options.threads)
    text = documented_text(options.corpus, options.experiment)
    passages = reference_passages(options.corpus.read_text(encoding="utf-8-sig"))
    config = documented_config(options.experiment, precision=options.precision)
    corpus = whole_corpus(text, config.cleaning)
    trainer = Trainer(config, corpus, device=pick_device(use_gpu=num_gpus() > 0))
    print(
        f"experiment {options.experiment}: {len(text):,} characters, "
        f"{len(corpus.vocabulary)} symbols, {trainer.arithmetic}, {options.threads} thread(s)"
    )
    print("epoch     loss   documented   difference   seconds   documented seconds")
    rows = documented_losses(options.experiment)[: options.epochs]
    for epoch, (documented_seconds, documented) in enumerate(rows, start=1):
        start = time.perf_counter()
        loss = trainer.train_until(epoch)
        seconds = time.perf_counter() - start
        print(
            f"{epoch:>5}{loss:>9.4f}{documented:>13.4f}{loss - documented:>+13.4f}"
            f"{seconds:>10.0f}{documented_seconds:>21,}",
            flush=True,
        )
    assert isinstance(corpus.vocabulary, Vocabulary)
    if not passages:  # another book
        return
    passage = passages[options.experiment - 1]
    written = generate(
        trainer.model,
        encode_prime(passage.prompt, corpus.vocabulary, config.cleaning),
        num_symbols=_SHOWN_CHARS,
        options=SamplingOptions(temperature=0.0),
    )
    print(f"\nboth go on after: {passage.prompt!r}")
    print(f"ours, {len(rows)} epochs: {corpus.vocabulary.decode(written[0].numpy())!r}")
    print(f"reference, {config.epochs} epochs: {passage.text[:_SHOWN_CHARS]!r}")


if __name__ == "__main__":
    main()
