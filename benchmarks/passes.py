"""How many passes pay off on a text, by its length: `python -m benchmarks.passes wonderland.txt`.

Trains one network on each text several times from scratch, doubling the passes each
time; its learning rate falls over the last part, as in every training. The power by which a
space's passes fall with the length of a text (search_spaces/long_text.py) is fitted to the
passes after which doubling them gains the same on each text.
"""

import argparse
import dataclasses
import itertools
import math
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from benchmarks.any_text import python_sources
from model.config import TrialConfig
from model.scoring.objective import prepare_corpus
from model.system.devices import use_threads
from model.text.corpus import resolve_corpus
from model.text.held_out import with_short_held_out
from model.training.trainer import Trainer

GAINS_BITS = (0.05, 0.1, 0.2)
"""Gains of doubling the passes at which lengths are compared; the noise between seeds is 0.01."""
CONFIG = TrialConfig(
    hidden_size=256, batch_size=32, dropout=0.3, cleaning="cased", patience_epochs=0
)
REPORTS_PER_EPOCH = 4
"""So that a training can be a quarter of a pass."""


def text_of(name: str) -> str:
    """Return a text: a corpus, or this many characters of Python source, in ASCII.

    The sources of Unicode's tests have thousands of symbols, which would slow down the network.
    """
    if name.isdecimal():
        plain = python_sources(int(name) * 21 // 20).encode("ascii", "ignore").decode()
        return plain[: int(name)]
    return str(resolve_corpus(name).text)


def best_bits(name: str, passes: float) -> tuple[int, float]:
    """Return the length of a text, and the best score of a training of `passes` passes."""
    use_threads(1)
    corpus = dataclasses.replace(resolve_corpus("python-docs"), text=text_of(name))
    corpus = with_short_held_out(corpus)
    prepared = prepare_corpus(corpus.text, ["cased"], lengths=corpus.lengths)
    config = dataclasses.replace(CONFIG, epochs=passes, reports_per_epoch=REPORTS_PER_EPOCH)
    reports = Trainer(config, prepared.encoded["cased"]).reports()
    return len(corpus.text), min(report.val_bits_per_char for report in reports)


def repaid(bits: dict[float, float], gain_bits: float) -> float:
    """Return the passes after which doubling them gains `gain_bits`, by a log-log line.

    Gains fall like a power of the passes: each doubling multiplies them by 0.4 to 0.8 on four
    texts of 0.1 to 12 million characters.
    """
    passes = sorted(bits)
    gains = [bits[one] - bits[two] for one, two in itertools.pairwise(passes)]
    slope, at_one = np.polyfit(np.log(gains), np.log(passes[:-1]), deg=1)
    return float(np.exp(at_one + slope * math.log(gain_bits)))


def main() -> None:
    """Print one row per text and passes, then the passes that pay off per text, and the power."""
    parser = argparse.ArgumentParser(description="How many passes pay off, by length of text.")
    parser.add_argument("texts", nargs="+", help="name:least:most passes; a number means sources")
    options = parser.parse_args()
    jobs = []
    for text in options.texts:
        name, least, most = text.rsplit(":", 2)
        doublings = round(math.log2(float(most) / float(least)))
        jobs += [(Path(name).name, name, float(least) * 2**at) for at in range(doublings + 1)]
    # The longest first, so that none runs alone at the end.
    order = sorted(jobs, key=lambda job: -job[2])
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        running = {job: pool.submit(best_bits, job[1], job[2]) for job in order}
        found: dict[str, dict[float, float]] = {}
        lengths: dict[str, int] = {}
        print("| text | characters | passes | bits |\n|---|---|---|---|")
        for job in jobs:
            title, _, passes = job
            lengths[title], bits = running[job].result()
            found.setdefault(title, {})[passes] = bits
            print(f"| {title} | {lengths[title]:,} | {passes:g} | {bits:.4f} |", flush=True)
    print("\n| gain of twice as many | " + " | ".join(found) + " | power |")
    print("|---" * (len(found) + 2) + "|")
    for gain in GAINS_BITS:
        passes_of = [repaid(bits_of, gain) for bits_of in found.values()]
        slope, _ = np.polyfit(
            np.log([lengths[title] for title in found]), np.log(passes_of), deg=1
        )
        print(f"| {gain} | " + " | ".join(f"{each:.2f}" for each in passes_of), end="")
        print(f" | {-slope:.2f} |")


if __name__ == "__main__":
    main()
