"""Records whole learning curves for benchmarks.search: `python -m benchmarks.record_curves`.

Random configurations of `extended`, each trained to the end, without early stopping or
patience. The space is narrowed so that a recording takes hours rather than
days: `epochs` is 40 for all, so that all curves have the same epochs; networks have at most 384
units, batches at least 8 columns, and all read characters. The text is the beginning of a real
one. Seconds are CPU seconds with one thread per process, so that other work on the machine does
not affect them.

An interrupted recording continues where it stopped, from the table.
"""

import argparse
import dataclasses
import multiprocessing
import time
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from optuna.distributions import CategoricalDistribution, IntDistribution

from model.config import TrialConfig
from model.errors import TrainingDiverged
from model.scoring.objective import PreparedCorpus, prepare_corpus
from model.system.devices import use_threads
from model.system.seeds import hash_seed
from model.text.corpus import resolve_corpus
from model.training.trainer import Trainer
from search_spaces import SearchSpace, load_space

EPOCHS = 40
MAX_HIDDEN_SIZE = 384
BATCH_SIZES = (8, 16, 32, 64, 128)
TEXT_CHARS = 50_000
LEFT_OUT = ("epochs", "unit", "min_word_count")
SEED = 1
CURVES = Path(__file__).parent / "curves"
CLEANINGS = ["cased", "lower", "letters"]
PRICE = "restoration_bits_per_char"
"""Column of the price that val_bits_per_char includes."""


def recorded_space() -> SearchSpace:
    """Return `extended`, narrowed for recording: one number of epochs, smaller networks."""
    extended = load_space("extended")
    distributions = {
        axis: distribution
        for axis, distribution in extended.distributions.items()
        if axis not in LEFT_OUT
    }
    distributions["hidden_size"] = IntDistribution(64, MAX_HIDDEN_SIZE, log=True)
    distributions["batch_size"] = CategoricalDistribution(BATCH_SIZES)
    base = dataclasses.replace(
        extended.base, epochs=EPOCHS, patience_epochs=0, hidden_size=MAX_HIDDEN_SIZE
    )
    baselines = tuple(
        dataclasses.replace(
            baseline, params={axis: baseline.params[axis] for axis in distributions}
        )
        for baseline in extended.baselines
    )
    return dataclasses.replace(
        extended,
        base=base,
        distributions=distributions,
        conditions={},
        baselines=baselines,
        starts=(),
    )


def configurations(num_configurations: int) -> list[dict[str, Any]]:
    """Return the values of the axes: the baselines', the base's, then random ones; repeatable."""
    space = recorded_space()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=SEED))
    chosen = [dict(baseline.params) for baseline in space.baselines]
    chosen += space.all_starts()
    while len(chosen) < num_configurations:
        chosen.append(study.ask(dict(space.distributions)).params)
    return chosen[:num_configurations]


_corpus: PreparedCorpus


def _prepare(text: str) -> None:
    global _corpus
    use_threads(1)
    _corpus = prepare_corpus(text, CLEANINGS)


def record(job: tuple[int, dict[str, Any]]) -> dict[str, Any]:
    """Train one configuration and return its curve."""
    number, params = job
    values = {**recorded_space().base.to_dict(), **params, "seed": hash_seed(SEED, number)}
    config = TrialConfig.from_dict(values)
    curve = []
    start = time.process_time()
    corpus = _corpus.streams(config)
    trainer = Trainer(config, corpus)
    try:
        for report in trainer.reports():
            seconds = time.process_time() - start
            curve.append(
                {
                    "epoch": report.epoch,
                    "val_bits_per_char": report.val_bits_per_char,
                    PRICE: corpus.validation.restoration_bits_per_char,
                    "train_nats_per_char": report.train_nats_per_char,
                    "seconds": seconds,
                }
            )
            start = time.process_time()
    except TrainingDiverged:
        pass  # its curve ends here
    return {"configuration": number, "params": params, "curve": curve}


def rows(curve: dict[str, Any]) -> list[dict[str, Any]]:
    """Return one row per epoch."""
    named = {"configuration": curve["configuration"], **curve["params"]}
    return [{**named, **point} for point in curve["curve"]]


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write the curves atomically."""
    partial = path.with_suffix(".partial")
    ordered = table.sort_values(["configuration", "epoch"], ignore_index=True)
    ordered.to_parquet(partial, index=False, compression="zstd")
    partial.replace(path)


def main() -> None:
    """Record the missing curves; the table is written after each one."""
    parser = argparse.ArgumentParser(description="Record learning curves.")
    parser.add_argument("--corpus", default="../shared/data/wonderland.txt")
    parser.add_argument("--name", default="alice", help="name of the table in benchmarks/curves/")
    parser.add_argument("--configurations", type=int, default=160)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    text = resolve_corpus(options.corpus).text[:TEXT_CHARS]
    path = CURVES / f"{options.name}.parquet"
    table = pd.read_parquet(path) if path.exists() else pd.DataFrame({"configuration": []})
    known = set(table["configuration"])
    jobs = [
        (number, params)
        for number, params in enumerate(configurations(options.configurations))
        if number not in known
    ]
    context = multiprocessing.get_context("spawn")
    with context.Pool(options.processes, _prepare, (text,)) as pool:
        for curve in pool.imap_unordered(record, jobs):
            table = pd.concat([table, pd.DataFrame(rows(curve))], ignore_index=True)
            write_table(table, path)
            best = min((point["val_bits_per_char"] for point in curve["curve"]), default=None)
            seconds = sum(point["seconds"] for point in curve["curve"])
            print(f"configuration {curve['configuration']}: {best}, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
