"""The n-gram floor of any text: `python -m benchmarks.floor [CORPUS ...]`.

Prints each cleaning's Kneser-Ney floor and price next to the earlier floor, a Witten-Bell n-gram,
and the cost of the former: CPU seconds, and the peak memory of a process that does nothing
else. `--chars` adds a synthetic text with this many training characters.
"""

import argparse
import dataclasses
import multiprocessing
import resource
import time
from collections.abc import Sequence

import numpy as np

from model.scoring.objective import MAX_TRAIN_CHARS, Floors, measured_floor
from model.text.cleaning import CLEANINGS, RAW
from model.text.corpus import resolve_corpus
from model.text.ngram import choose_order
from model.text.streams import encode_corpus, split_text

WITTEN_BELL_ORDER = 5
RANDOM_SHARE = 0.05
GOAL = "goal for 2,000,000 training characters, order and fit: 10 s, 1.5 GB"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FloorCost:
    """The floors of a text and what they cost.

    Attributes:
        floors: The current floors.
        witten_bell: Those of WITTEN_BELL_ORDER.
        order_seconds: CPU seconds to choose the order.
        fit_seconds: Maps a cleaning to CPU seconds to train its n-gram and score both passages.
        peak_bytes: Peak memory of the process, before the Witten-Bell n-grams.
    """

    floors: Floors
    witten_bell: Floors
    order_seconds: float
    fit_seconds: dict[str, float]
    peak_bytes: int


def floor_cost(text: str, cleanings: Sequence[str]) -> FloorCost:
    """Measure the floors of a text; "cased" must be among the cleanings."""
    split = split_text(text)
    streams = {name: encode_corpus(split, name) for name in cleanings}
    raw = streams[RAW]
    start = time.process_time()
    order = choose_order(raw.train.symbols[-MAX_TRAIN_CHARS:], vocabulary_size=len(raw.vocabulary))
    order_seconds = time.process_time() - start
    found, fit_seconds = {}, {}
    for name, corpus in streams.items():
        start = time.process_time()
        found[name] = measured_floor(split, corpus, order)
        fit_seconds[name] = time.process_time() - start
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    earlier = {
        name: measured_floor(split, corpus, WITTEN_BELL_ORDER, "witten-bell")
        for name, corpus in streams.items()
    }
    return FloorCost(
        floors=Floors(order=order, of_cleaning=found),
        witten_bell=Floors(order=WITTEN_BELL_ORDER, of_cleaning=earlier),
        order_seconds=order_seconds,
        fit_seconds=fit_seconds,
        peak_bytes=peak_bytes,
    )


def made_up_text(text: str, num_chars: int) -> str:
    """Return a text repeated to a length, with a share of its characters replaced at random.

    >>> len(made_up_text("abc", 1_000))
    1000
    """
    generator = np.random.default_rng(0)
    code_points = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
    alphabet, symbols = np.unique(code_points, return_inverse=True)
    repeated = np.resize(symbols, num_chars)
    is_random = generator.random(num_chars) < RANDOM_SHARE
    repeated[is_random] = generator.integers(len(alphabet), size=int(is_random.sum()))
    return alphabet[repeated].tobytes().decode("utf-32-le")


def _cells(cost: FloorCost, cleaning: str) -> list[str]:
    bits = [
        f"{figure:.4f}"
        for floors in (cost.floors, cost.witten_bell)
        for figure in (
            floors.of_cleaning[cleaning].validation_bits_per_char,
            floors.of_cleaning[cleaning].test_bits_per_char,
            floors.restoration_bits_per_char(cleaning),
        )
    ]
    seconds = [f"{cost.order_seconds:.2f}", f"{cost.fit_seconds[cleaning]:.2f}"]
    return [cleaning, str(cost.floors.order), *bits, *seconds, f"{cost.peak_bytes / 1e9:.2f}"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one row per text and cleaning."""
    parser = argparse.ArgumentParser(description="The n-gram floor of any text.")
    parser.add_argument("corpus", nargs="*", default=["python-docs"])
    parser.add_argument("--chars", type=int, help="training characters of a synthetic text, too")
    options = parser.parse_args(arguments)
    texts = {name: str(resolve_corpus(name).text) for name in options.corpus}
    cleanings = {name: list(CLEANINGS) for name in texts}
    if options.chars:
        first = next(iter(texts.values()))
        made_up = f"{options.chars:,} made-up characters"
        texts[made_up], cleanings[made_up] = made_up_text(first, options.chars * 5 // 4), [RAW]
    print("Bits per raw character; CPU seconds of one core.\n")
    old = f"Witten-Bell {WITTEN_BELL_ORDER}"
    heads = f"validation | test | price | {old}: validation | test | price"
    print(f"| text | cleaning | order | {heads} | order, s | fit, s | peak GB |\n|{'---|' * 12}")
    context = multiprocessing.get_context("spawn")
    with context.Pool(1, maxtasksperchild=1) as pool:  # each measurement needs a fresh process
        for name, text in texts.items():
            cost = pool.apply(floor_cost, (text, cleanings[name]))
            for cleaning in cleanings[name]:
                print(f"| {name} | {' | '.join(_cells(cost, cleaning))} |", flush=True)
    if options.chars:
        print(f"\n{GOAL}")


if __name__ == "__main__":
    main()
