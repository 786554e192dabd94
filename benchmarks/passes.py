"""How many passes a text of each length repays: `python -m benchmarks.passes wonderland.txt`.

One network is trained on each text several times from its beginning, each time for twice as many
passes, its learning rate falling over the last part as in every training. The power by which the
passes of a space fall with the length of a text (search_spaces/long_text.py) is read off the
passes after which twice as many gain no more than noise.
"""

import argparse
import dataclasses
import itertools
import math
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from benchmarks.any_text import python_sources
from model.config import TrialConfig
from model.scoring.objective import prepare_corpus
from model.system.devices import use_threads
from model.text.corpus import resolve_corpus
from model.text.held_out import with_short_held_out
from model.training.trainer import Trainer

NOISE_BITS = 0.01
"""Standard deviation between the seeds of one configuration, about."""
CONFIG = TrialConfig(
    hidden_size=256, batch_size=32, dropout=0.3, cleaning="cased", patience_epochs=0
)
REPORTS_PER_EPOCH = 4
"""So that a quarter of a pass is a training."""


def text_of(name: str) -> str:
    """Return a text: a corpus's, or so many characters of Python source, ASCII alone.

    The sources of Unicode's tests have thousands of symbols, which take the network's time.
    """
    if name.isdecimal():
        plain = python_sources(int(name) * 21 // 20).encode("ascii", "ignore").decode()
        return plain[: int(name)]
    return resolve_corpus(name).text


def best_bits(name: str, passes: float) -> tuple[int, float]:
    """Return the length of a text, and the best score of a training of so many passes."""
    use_threads(1)
    corpus = dataclasses.replace(resolve_corpus("python-docs"), text=text_of(name))
    corpus = with_short_held_out(corpus)
    prepared = prepare_corpus(corpus.text, ["cased"], lengths=corpus.lengths)
    config = dataclasses.replace(CONFIG, epochs=passes, reports_per_epoch=REPORTS_PER_EPOCH)
    reports = Trainer(config, prepared.encoded["cased"]).reports()
    return len(corpus.text), min(report.val_bits_per_char for report in reports)


def repaid(bits: dict[float, float]) -> float:
    """Return the passes after which twice as many gain NOISE_BITS, between those measured.

    Not a number if the longest training is not enough.
    """
    passes = sorted(bits)
    gains = [bits[one] - bits[two] for one, two in itertools.pairwise(passes)]
    if gains[-1] > NOISE_BITS:
        return math.nan
    last = max((at for at, gain in enumerate(gains) if gain > NOISE_BITS), default=-1)
    if last < 0:
        return passes[0]
    share = (gains[last] - NOISE_BITS) / (gains[last] - gains[last + 1])
    return float(passes[last] * 2**share)


def main() -> None:
    """Print a row a text and passes, then what each text repays, and the power."""
    parser = argparse.ArgumentParser(description="Passes that texts of some lengths repay.")
    parser.add_argument("texts", nargs="+", help="name:least:most passes; a number is of sources")
    options = parser.parse_args()
    jobs = []
    for text in options.texts:
        name, least, most = text.rsplit(":", 2)
        doublings = round(math.log2(float(most) / float(least)))
        jobs += [(Path(name).name, name, float(least) * 2**at) for at in range(doublings + 1)]
    # The longest first: none is left to one worker at the end.
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
    print(f"\n| text | characters | passes until twice as many gain {NOISE_BITS} bits |")
    print("|---|---|---|")
    for title, bits_of in found.items():
        print(f"| {title} | {lengths[title]:,} | {repaid(bits_of):.2f} |")


if __name__ == "__main__":
    main()
