"""The cost of evaluation, and a check that its layout does not affect the score.

`python -m benchmarks.evaluation`: seconds of an evaluation relative to those of the epoch before
it, in the same run, one thread, the trial's own precision; and the score relative to that of one
pass in float32 over the whole passage. Text: a corpus of the book's size (--corpus to choose).
"""

import argparse
import math
import time
from unittest import mock

import torch

from model.config import TrialConfig
from model.scoring import evaluation, layout
from model.scoring.evaluation import symbol_nats
from model.scoring.objective import prepare_corpus
from model.system.devices import use_threads
from model.text.corpus import resolve_corpus
from model.text.streams import EncodedCorpus
from model.training.trainer import Trainer

SHAPES = ((1, 128, 32), (1, 256, 32), (2, 256, 64), (1, 512, 16), (2, 512, 64))
BOOK_CHARS = 144_342
WHOLE_CONTEXT_CHARS = 1_000


def one_pass_bits(trainer: Trainer, corpus: EncodedCorpus) -> float:
    """Return bits per own character, scored in one column and float32."""
    assert not torch.is_autocast_enabled("cpu")
    with (
        mock.patch.multiple(layout, MIN_COLUMNS=1, MAX_COLUMNS=1),
        mock.patch.object(evaluation, "WARM_UP_SYMBOLS", WHOLE_CONTEXT_CHARS),
    ):
        nats_N = symbol_nats(
            trainer.model,
            corpus.validation.symbols,
            context=corpus.train.symbols,
        )
    return float(nats_N.mean()) / math.log(2)


def main() -> None:
    """Print one row per shape."""
    parser = argparse.ArgumentParser(description="The cost of evaluation.")
    parser.add_argument("--corpus", default="python-docs")
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    use_threads(1)
    text = resolve_corpus(options.corpus).text[:BOOK_CHARS]
    corpus = prepare_corpus(text, ["lower"]).encoded["lower"]
    print("| shape, batch | epoch, s | evaluation / epoch | score - one pass, bits |")
    print("|---|---|---|---|")
    for num_layers, hidden_size, batch_size in SHAPES:
        config = TrialConfig(num_layers=num_layers, hidden_size=hidden_size, batch_size=batch_size)
        trainer = Trainer(config, corpus)
        epoch_seconds = evaluation_seconds = math.inf
        for epoch in range(1, options.epochs + 1):
            start = time.perf_counter()
            trainer.train_until(epoch)
            middle = time.perf_counter()
            nats = trainer.validation_nats()
            evaluation_seconds = min(evaluation_seconds, time.perf_counter() - middle)
            epoch_seconds = min(epoch_seconds, middle - start)
        bits = nats / len(corpus.validation.symbols) / math.log(2)
        print(
            f"| {num_layers} x {hidden_size}, {batch_size} | {epoch_seconds:.2f} | "
            f"{evaluation_seconds / epoch_seconds:.1%} | "
            f"{bits - one_pass_bits(trainer, corpus):+.5f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
