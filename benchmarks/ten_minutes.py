"""Ten minutes of ours and ten of a stock script: `python -m benchmarks.ten_minutes`.

Both search the six documented axes of the same text with all cores of the machine, one after
the other, seed by seed; time counts from the start of the search. Both are judged by the
best val_bits_per_char of any trial. The machine should be otherwise idle.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tune.records.run_folder import RunFolder

GOAL_BITS = 2.01
Found = dict[str, float]


def ours(corpus: str, minutes: float, seed: int) -> Found:
    """Run the command and read its tables."""
    with tempfile.TemporaryDirectory() as results:
        flags = ["--space", "full", "--corpus", corpus, "--seed", str(seed), "--name", "ten"]
        flags += ["--time-budget", f"{minutes:g}m", "--results", results]
        _run("tune.run", flags)
        trials, epochs = RunFolder(Path(results) / "ten").read_tables()
    best = trials["val_bits_per_char"].min()
    return {"bits": float(best), "trials": len(trials), "epochs": len(epochs)}


def stock(corpus: str, minutes: float, seed: int) -> Found:
    """Run the stock script and read its last line."""
    flags = ["--corpus", corpus, "--seconds", f"{60 * minutes:g}", "--seed", str(seed)]
    found: Found = json.loads(_run("benchmarks.stock_search", flags).splitlines()[-1])
    return found


def _run(module: str, flags: list[str]) -> str:
    command = [sys.executable, "-m", module, *flags]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    """Print one row per search, then the means of both."""
    parser = argparse.ArgumentParser(description="Ours compared with a stock script.")
    parser.add_argument("--corpus", default="../shared/data/wonderland.txt")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    searches = {"ours": ours, "stock": stock}
    bits: dict[str, list[float]] = {name: [] for name in searches}
    print("| seed | search | best bits | trials | epochs |")
    print("|---|---|---|---|---|")
    for seed in range(options.seeds):
        for name, search in searches.items():
            found = search(options.corpus, options.minutes, seed)
            bits[name].append(found["bits"])
            print(
                f"| {seed} | {name} | {found['bits']:.4f} | {found['trials']:.0f} "
                f"| {found['epochs']:.0f} |",
                flush=True,
            )
    for name, values in bits.items():
        spread = statistics.stdev(values) if len(values) > 1 else float("nan")
        print(f"{name}: {statistics.mean(values):.4f} ± {spread:.4f} bits")
    print(f"goal of ours: at most {GOAL_BITS}, and ahead by more than both spreads")


if __name__ == "__main__":
    main()
