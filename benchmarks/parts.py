"""What each part of a network gains: `python -m benchmarks.parts wonderland.txt python-docs`.

Trains one network unchanged, then with one part replaced at a time, with two seeds each and for
the same number of characters per text. Nothing is tuned for a part, as a search would: one that
needs another learning rate, size or dropout looks worse here than it is.
"""

import argparse
import dataclasses
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from model.config import TrialConfig
from model.scoring.objective import prepare_corpus
from model.system.devices import use_threads
from model.text.corpus import resolve_corpus
from model.training.trainer import Trainer

CONFIG = TrialConfig(
    hidden_size=256, batch_size=16, normalization="layer", cleaning="lower", patience_epochs=0
)
PARTS: Mapping[str, Mapping[str, Any]] = {
    "as it is": {},
    "no layer norm": {"normalization": "none"},
    "GRU": {"cell": "gru"},
    "Mogrifier, 5 rounds": {"cell": "mogrifier", "mogrifier_rounds": 5},
    "tied weights": {"tie_weights": True},
    "weight dropout 0.3": {"weight_dropout": 0.3},
    # Without L2 decay it would be adamw. The value is AWD-LSTM's for characters (Merity 2018).
    "Adam, L2 decay 1.2e-6": {"optimizer": "adam", "weight_decay": 1.2e-6},
    "averaged SGD": {"optimizer": "asgd", "sgd_learning_rate": 2.0},
}
SEEDS = (0, 1)


class Result(NamedTuple):
    """The result of a training."""

    bits: float
    seconds: float
    parameters: int


def trained(text: str, part: str, num_chars: int, seed: int) -> Result:
    """Train with a part for `num_chars` characters of a text, rounded to whole passes."""
    use_threads(1)
    prepared = prepare_corpus(resolve_corpus(text).text, [CONFIG.cleaning])
    corpus = prepared.encoded[CONFIG.cleaning]
    epochs = max(1, round(num_chars / len(corpus.train.symbols)))
    config = dataclasses.replace(CONFIG, **PARTS[part], epochs=epochs, seed=seed)
    trainer = Trainer(config, corpus)
    start = time.perf_counter()
    bits = min(report.val_bits_per_char for report in trainer.reports())
    seconds = time.perf_counter() - start
    return Result(bits, seconds, trainer.model.num_parameters())


def main(arguments: list[str] | None = None) -> None:
    """Print one row per part: bits on each text, and seconds relative to the first part."""
    parser = argparse.ArgumentParser(description="What each part of a network gains.")
    parser.add_argument("texts", nargs="+", help="names or files")
    parser.add_argument("--chars", type=float, default=1.2e6, help="characters per training")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    options = parser.parse_args(arguments)
    jobs = [
        (text, part, round(options.chars), seed)
        for part in options.parts
        for text in options.texts
        for seed in SEEDS
    ]
    names = [Path(text).name for text in options.texts]
    print("| | " + " | ".join(f"{name}, bits | times its seconds" for name in names), end=" |")
    print(" parameters |\n|---" + "|---|---" * len(names) + "|---|")
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        running = {job: pool.submit(trained, *job) for job in jobs}
        first: dict[str, float] = {}
        for part in options.parts:
            cells = []
            for text in options.texts:
                found = [
                    running[text, part, round(options.chars), seed].result() for seed in SEEDS
                ]
                bits = [result.bits for result in found]
                seconds = float(np.mean([result.seconds for result in found]))
                times = seconds / first.setdefault(text, seconds)
                cells.append(f"{np.mean(bits):.4f} ± {np.ptp(bits) / 2:.4f} | {times:.1f}")
            print(f"| {part} | {' | '.join(cells)} | {found[0].parameters:,} |", flush=True)


if __name__ == "__main__":
    main()
