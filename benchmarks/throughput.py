"""How fast the trainer is, next to others in the same run: `python -m benchmarks.throughput`.

Characters with a loss (stream) or windows (window) per second, one process pinned to one core,
one thread; the rounds are interleaved and the best of each counts. Keras needs
`pip install -e '.[bench]'`.
"""

import argparse
import itertools
import os
import platform
import subprocess
import sys
import time

SHAPES = {
    "1x128": (1, 128, 64),
    "1x256": (1, 256, 64),
    "2x256": (2, 256, 64),
    "2x512": (2, 512, 64),
    "1x192, batch 16": (1, 192, 16),
    "1x512, batch 16": (1, 512, 16),
}
OTHERS = {
    "stream": ("kernel torch", "plain PyTorch", "limit"),
    "window": ("kernel torch", "plain PyTorch", "Keras on JAX", "limit"),
}
SECONDS = 4.0
ROUNDS = 2


def measure(contender: str, regime: str, shape_name: str) -> float:
    """Return the rate of a contender in this process."""
    from benchmarks.contenders import CONTENDERS, Shape

    num_layers, hidden_size, batch_size = SHAPES[shape_name]
    shape = Shape(num_layers=num_layers, hidden_size=hidden_size, batch_size=batch_size)
    train, per_step = CONTENDERS[contender](shape, regime)
    train(2)
    start = time.perf_counter()
    train(2)
    num_steps = max(2, int(SECONDS * 2 / (time.perf_counter() - start)))
    start = time.perf_counter()
    train(num_steps)
    return per_step * num_steps / (time.perf_counter() - start)


def rate(contender: str, regime: str, shape: str) -> float:
    """Return the rate of one contender, measured in its own process."""
    words = ["--worker", contender, regime, shape]
    command = [sys.executable, "-m", "benchmarks.throughput", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout.split()[-1])


def compare(regime: str) -> None:
    """Print the table of a regime."""
    others = OTHERS[regime]
    unit = "characters/s" if regime == "stream" else "windows/s"
    print(f"\n{regime} regime, {unit}, one core\n")
    print(f"| shape | ours | {' | '.join(f'ours / {other}' for other in others)} |")
    print("|---" * (2 + len(others)) + "|", flush=True)
    for shape in SHAPES:
        best = dict.fromkeys(("ours", *others), 0.0)
        for _, contender in itertools.product(range(ROUNDS), best):
            best[contender] = max(best[contender], rate(contender, regime, shape))
        ratios = (f"{best['ours'] / best[other]:.2f}" for other in others)
        print(f"| {shape} | {best['ours']:,.0f} | {' | '.join(ratios)} |", flush=True)


def main() -> None:
    """Print the tables, or measure one contender as a worker."""
    parser = argparse.ArgumentParser(description="Throughput next to other implementations.")
    parser.add_argument("--regime", choices=("stream", "window", "both"), default="both")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        os.sched_setaffinity(0, {0})
        import torch

        torch.set_num_threads(1)
        print(measure(*options.worker))
        return
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores")
    for regime in ("stream", "window"):
        if options.regime in (regime, "both"):
            compare(regime)


if __name__ == "__main__":
    main()
