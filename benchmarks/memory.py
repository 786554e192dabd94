"""Peak memory of training on a text of 100 MB: `python -m benchmarks.memory`.

Covers all steps: read, clean, price, encode, then some training steps of each regime. Each row is
measured in its own process; the first is that of the imports alone.
"""

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GOAL_GIGABYTES = 1.5
STEPS = 30


def write_text(path: Path, megabytes: int) -> None:
    """Write random sentences made of the embedded text's words."""
    from model.text.corpus import resolve_corpus

    words = sorted(set(str(resolve_corpus("python-docs").text).split()))
    generator = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        while file.tell() < megabytes * 1_000_000:
            lines = (" ".join(generator.choices(words, k=12)) for _ in range(1_000))
            file.write("\n".join(lines) + "\n")


def train(path: Path, regime: str) -> None:
    """Prepare the text and train for some steps."""
    from model.config import TrialConfig
    from model.scoring.objective import prepare_corpus
    from model.system.devices import use_threads
    from model.text.corpus import resolve_corpus
    from model.training.trainer import Trainer

    use_threads(1)
    if regime == "imports":
        return
    prepared = prepare_corpus(resolve_corpus(str(path)).text, ["lower"])
    config = TrialConfig(regime=regime, hidden_size=256, batch_size=64, cleaning="lower")
    trainer = Trainer(config, prepared.streams(config))
    trainer.regime.begin_report(0, epoch_seed=0)
    for step in range(STEPS):
        trainer.train_step(1, step)


def main() -> None:
    """Print one row per regime, or measure one row as a worker."""
    parser = argparse.ArgumentParser(description="Peak memory on a large text.")
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        train(Path(options.worker[0]), options.worker[1])
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.txt"
        write_text(path, options.megabytes)
        print(f"| {options.megabytes} MB text | peak GB | goal GB | seconds |\n|---|---|---|---|")
        for regime in ("imports", "stream", "window"):
            start = time.perf_counter()
            command = [sys.executable, "-m", "benchmarks.memory", "--worker", str(path), regime]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            gigabytes = int(done.stdout.split()[-1]) * 1024 / 1e9
            seconds = time.perf_counter() - start
            print(f"| {regime} | {gigabytes:.2f} | {GOAL_GIGABYTES} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
