"""Times the trainer: bfloat16 against float32, and evaluation against an epoch.

`python -m benchmarks.trainer`: each row's baseline, float32, is measured in the same run,
interleaved, one thread; the minimum of the repeats counts. Text: the embedded python-docs.
"""

import dataclasses
import time

from model.config import TrialConfig
from model.corpus import resolve_corpus
from model.devices import use_threads
from model.objective import prepare_corpus
from model.trainer import Trainer

TRAINED_CHARS = 60_000
REPEATS = 3
SHAPES = ((1, 128, 32), (1, 256, 32), (2, 256, 64), (1, 512, 16), (2, 512, 64))


def main() -> None:
    """Print one row a shape."""
    use_threads(1)
    corpus = prepare_corpus(resolve_corpus("python-docs").text, ["lower"]).encoded["lower"]
    short = dataclasses.replace(
        corpus, train=corpus.train[:TRAINED_CHARS], validation=corpus.validation[:6_000]
    )
    print("layers x units, batch   float32 chars/s   bfloat16 ratio   evaluation / training")
    for num_layers, hidden_size, batch_size in SHAPES:
        trainers = {
            precision: Trainer(
                TrialConfig(
                    num_layers=num_layers,
                    hidden_size=hidden_size,
                    batch_size=batch_size,
                    precision=precision,
                ),
                short,
            )
            for precision in ("float32", "bfloat16")
        }
        seconds = dict.fromkeys(trainers, float("inf"))
        evaluation_seconds = float("inf")
        for epoch in range(1, REPEATS + 1):
            for precision, trainer in trainers.items():
                start = time.perf_counter()
                trainer.train_epoch(epoch)
                seconds[precision] = min(seconds[precision], time.perf_counter() - start)
            start = time.perf_counter()
            trainers["bfloat16"].validation_nats()
            evaluation_seconds = min(evaluation_seconds, time.perf_counter() - start)
        # A tenth of the text is judged for eight tenths that are trained.
        share = evaluation_seconds / 6_000 / (min(seconds.values()) / TRAINED_CHARS) / 8
        print(
            f"{num_layers} x {hidden_size:>3}, batch {batch_size:<10}"
            f"{TRAINED_CHARS / seconds['float32']:>15,.0f}"
            f"{seconds['float32'] / seconds['bfloat16']:>17.2f}{share:>22.0%}"
        )


if __name__ == "__main__":
    main()
