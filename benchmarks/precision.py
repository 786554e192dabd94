"""Does bfloat16 cost quality? `python -m benchmarks.precision`.

Final `val_bits_per_char` after the same epochs in float32 and in bfloat16, with torch's and with
our kernel, for several seeds and sizes; and how far the curves of training and validation loss
differ over 20 epochs of 1 x 256. Two processes, one thread each. Text: the start of `python-docs`.
"""

import argparse
import statistics
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from model.config import TrialConfig
from model.network.precision import ARITHMETICS, FLOAT32, Arithmetic
from model.scoring.objective import prepare_corpus
from model.system.devices import use_threads
from model.text.corpus import resolve_corpus
from model.training.epoch_report import EpochReport
from model.training.trainer import Trainer

SIZES = ((1, 128, 32), (1, 256, 32), (2, 256, 64))
CURVE = TrialConfig(hidden_size=256, batch_size=32, epochs=20)
CURVE_GOAL_NATS = 0.01


def train(config: TrialConfig, num_chars: int, arithmetic: Arithmetic) -> list[EpochReport]:
    """Train a configuration and return its reports."""
    use_threads(1)
    text = resolve_corpus("python-docs").text[:num_chars]
    corpus = prepare_corpus(text, [config.cleaning]).streams(config)
    return list(Trainer(config, corpus, arithmetic=arithmetic).reports())


def main() -> None:
    """Print the table of sizes, and the distance between the curves."""
    parser = argparse.ArgumentParser(description="The quality of bfloat16.")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--chars", type=int, default=145_000)
    options = parser.parse_args()
    others = [each for each in ARITHMETICS[1:] if each.is_available]
    with ProcessPoolExecutor(max_workers=2, mp_context=get_context("spawn")) as pool:
        curves = {
            arithmetic: pool.submit(train, CURVE, options.chars, arithmetic)
            for arithmetic in (FLOAT32, *others)
        }
        runs = {
            (size, arithmetic): [
                pool.submit(
                    train,
                    TrialConfig(
                        num_layers=size[0],
                        hidden_size=size[1],
                        batch_size=size[2],
                        epochs=options.epochs,
                        seed=seed,
                    ),
                    options.chars,
                    arithmetic,
                )
                for seed in range(options.seeds)
            ]
            for size in SIZES
            for arithmetic in (FLOAT32, *others)
        }
        for other in others:
            pairs = list(zip(curves[FLOAT32].result(), curves[other].result(), strict=True))
            train_gap = max(abs(a.train_nats_per_char - b.train_nats_per_char) for a, b in pairs)
            val_gap = max(abs(a.val_nats_per_char - b.val_nats_per_char) for a, b in pairs)
            print(
                f"{other}, 1 x 256, batch 32, {len(pairs)} epochs: the curves lie at most "
                f"{train_gap:.4f} (training) and {val_gap:.4f} nats (validation) from float32's; "
                f"goal {CURVE_GOAL_NATS}",
                flush=True,
            )
        print(
            f"\n| shape, batch ({options.epochs} epochs, {options.seeds} seeds) | float32 | "
            f"{' | '.join(f'{other} - float32, of a seed' for other in others)} |\n"
            f"|---|{'---|' * (1 + len(others))}"
        )
        for size in SIZES:
            first, *rest = (
                [min(r.val_bits_per_char for r in run.result()) for run in runs[size, arithmetic]]
                for arithmetic in (FLOAT32, *others)
            )
            gaps = [[b - a for a, b in zip(first, other, strict=True)] for other in rest]
            cells = [_spread(first), *(_spread(each, sign="+") for each in gaps)]
            name = f"{size[0]} x {size[1]}, {size[2]}"
            print(f"| {name} | {' | '.join(cells)} |", flush=True)


def _spread(values: list[float], sign: str = "") -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):{sign}.4f} ± {deviation:.4f}"


if __name__ == "__main__":
    main()
