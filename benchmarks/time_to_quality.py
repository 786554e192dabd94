"""Seconds until the reference's final losses are reached: `python -m benchmarks.time_to_quality`.

The stream regime on the same text and cleaning as each experiment of the reference, the whole
book, with dropout; the loss is the mean training loss of an epoch, as in the reference's log.
"""

import argparse
import time
from pathlib import Path

from benchmarks.documented import documented_losses, documented_text, whole_corpus
from model.config import TrialConfig
from model.system.devices import use_threads
from model.training.trainer import Trainer

GOAL_SECONDS = 100
CONFIGS = {
    1: {"hidden_size": 256, "num_layers": 1, "batch_size": 32},
    2: {"hidden_size": 512, "num_layers": 1, "batch_size": 32},
    3: {"hidden_size": 512, "num_layers": 1, "batch_size": 32},
}
DROPOUT = 0.2
MOST_EPOCHS = 60


def main() -> None:
    """Print one row per experiment."""
    parser = argparse.ArgumentParser(description="Seconds to the documented losses.")
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data/wonderland.txt"))
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    use_threads(options.threads)
    print("| experiment | loss to reach | network | epochs | seconds | reference, s | ratio |")
    print("|---|---|---|---|---|---|---|")
    total = reference_total = 0.0
    for experiment, params in CONFIGS.items():
        rows = documented_losses(experiment)
        target = rows[-1][1]
        reference = sum(seconds for seconds, _ in rows)
        cleaning = "letters" if experiment == 3 else "lower"
        corpus = whole_corpus(documented_text(options.corpus, experiment), cleaning)
        config = TrialConfig.from_dict(
            {
                **params,
                "cleaning": cleaning,
                "dropout": DROPOUT,
                "input_dropout": 0.0,
                "epochs": MOST_EPOCHS,
                "decay_fraction": 0.0,
            }
        )
        start = time.perf_counter()
        trainer = Trainer(config, corpus)
        for epoch in range(1, MOST_EPOCHS + 1):
            loss = trainer.train_until(epoch)
            if loss <= target:
                break
        seconds = time.perf_counter() - start
        total, reference_total = total + seconds, reference_total + reference
        reached = f"{epoch}" if loss <= target else f"{epoch}, not reached: {loss:.4f}"
        print(
            f"| {experiment} | {target} | {config.num_layers} x {config.hidden_size}, batch "
            f"{config.batch_size} | {reached} | {seconds:.1f} | {reference:,} | "
            f"{reference / seconds:,.0f} |",
            flush=True,
        )
    print(
        f"| all | | | | {total:.1f} (goal {GOAL_SECONDS}) | {reference_total:,.0f} | "
        f"{reference_total / total:,.0f} |"
    )


if __name__ == "__main__":
    main()
