"""Do words beat characters on another text: `python -m benchmarks.words --corpus python-docs`.

The best configurations of the two published searches of the reference's book, one of characters
and one of words, are trained on a text that neither was chosen on, with several seeds. One
process a core, one thread each.
"""

import argparse
import dataclasses
import os
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from model.config import TrialConfig
from model.scoring.evaluation import score_test_passage
from model.scoring.objective import prepare_corpus
from model.system.devices import use_threads
from model.text.corpus import resolve_corpus
from model.training.checkpoint import load_checkpoint
from model.training.trainer import Trainer

SEARCHES = ("full", "extended")
"""Of results/reference: the best of the first reads characters, of the second words."""
REFERENCE = Path(__file__).parents[1] / "results" / "reference"


def train(config: TrialConfig, corpus_name: str) -> tuple[float, float, float]:
    """Return bits per character of the validation and of the test passage, and the seconds."""
    use_threads(1)
    start = time.perf_counter()
    prepared = prepare_corpus(resolve_corpus(corpus_name).text, [config.cleaning])
    trainer = Trainer(config, prepared.streams(config))
    for _ in trainer.reports():
        pass
    seconds = time.perf_counter() - start
    best = trainer.best_report
    assert best is not None
    with tempfile.TemporaryDirectory() as folder:
        trainer.save(Path(folder) / "best")
        network, meta = load_checkpoint(Path(folder) / "best")
    test = score_test_passage(network, prepared, config, precision=meta.precision)
    return best.val_bits_per_char, test, seconds


def main() -> None:
    """Print one row a configuration."""
    parser = argparse.ArgumentParser(description="Words against characters.")
    parser.add_argument("--corpus", default="python-docs")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    configs = [TrialConfig.from_file(REFERENCE / name / "best.json") for name in SEARCHES]
    context = get_context("spawn")
    with ProcessPoolExecutor(max_workers=os.cpu_count(), mp_context=context) as pool:
        runs = [
            [
                pool.submit(train, dataclasses.replace(config, seed=seed), options.corpus)
                for seed in range(options.seeds)
            ]
            for config in configs
        ]
        print("| reads | network | validation | test passage | seconds, one core |")
        print("|---|---|---|---|---|")
        for config, of_seeds in zip(configs, runs, strict=True):
            validation, test, seconds = zip(*(run.result() for run in of_seeds), strict=True)
            print(
                f"| {config.unit} | {config.num_layers} x {config.hidden_size}, batch "
                f"{config.batch_size}, {config.epochs} epochs | {_spread(validation)} "
                f"| {_spread(test)} | {statistics.mean(seconds):.0f} |",
                flush=True,
            )


def _spread(values: tuple[float, ...]) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else float("nan")
    return f"{statistics.mean(values):.4f} ± {deviation:.4f}"


if __name__ == "__main__":
    main()
