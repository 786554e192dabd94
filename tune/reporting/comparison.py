"""Compares runs with comparable scores in one table: `python -m tune.report RUN RUN`."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from model.errors import ConfigError
from model.system.durations import format_seconds
from tune.records.load import LoadedRun
from tune.records.predictor_table import WITHOUT_CACHE, predictor_row
from tune.records.study_file import StudyFile
from tune.reporting.confirmation import distance, noise_test, summary
from tune.reporting.noise import SeedNoise, seed_noise
from tune.reporting.section import Section, escaped, markdown, shown, spread

_SAME = 1e-9
"""Relative tolerance of floors of one text: the last digits differ between machines."""


def comparison(runs: Sequence[LoadedRun]) -> str:
    """Return the runs as a Markdown table, best first, and whether the best one's lead is noise.

    Args:
        runs: Two or more.

    Raises:
        ConfigError: Their texts or objectives differ.
    """
    for other in runs[1:]:
        _check_comparable(runs[0], other)
    ordered = sorted(
        zip(_scores(runs), runs, strict=True), key=lambda each: (each[0], each[1].name)
    )
    rows = [_row(run) for _, run in ordered]
    note = (
        "All runs have the same text and objective, so their scores are comparable. `best` is "
        "the lowest score of a search's trials on the validation passage; more trials make it "
        "more optimistic. `retrained` is the best mean of its finalists ± the standard deviation "
        "between their seeds; `test` is the same for these networks on the test passage. The "
        "predictor is scored there too, with its cache of the text read so far, if it has one, "
        "and without. Runs are sorted by `retrained`, or by `best` if any was not retrained."
    )
    table = pd.DataFrame(rows, dtype=object)
    body: list[pd.DataFrame | str] = [table, note, *_leads(runs)]
    return markdown(Section(title=f"{len(runs)} runs", body=body)) + "\n"


def _row(run: LoadedRun) -> dict[str, Any]:
    best = run.trials["val_bits_per_char"].min() if run.has_result else None
    predictor = predictor_row(run.predictor) or {}
    row = {
        "run": run.name,
        "space": run.space.name,
        "sampler": run.study.settings.sampler,
        "seed": run.study.settings.seed,
        "corpus": run.study.corpus.name,
        "trials": len(run.trials),
        "best": best,
        "retrained": None,
        "test": None,
        "predictor, test": predictor.get("test_bits_per_char"),
        "without its cache": predictor.get(WITHOUT_CACHE),
        "time": format_seconds(run.search_seconds),
        "ended": run.study.ended,
    }
    finalists = summary(run)
    if not finalists.empty:
        first = finalists.iloc[0]
        row["retrained"] = spread(first["mean"], first["deviation"])
        row["test"] = spread(first["test, mean"], first["test, deviation"])
    return row


def _leads(runs: Sequence[LoadedRun]) -> list[str]:
    """Return whether the lowest `retrained` is so by noise; nothing where that is unknown."""
    tables = [(run.name, table) for run in runs if not (table := summary(run)).empty]
    noise = _pooled_noise(runs)
    if len(tables) < 2 or noise is None:
        return []
    # The best of each run was chosen among its finalists, so all of them are compared.
    num_compared = sum(len(table) for _, table in tables)
    best = [(name, table.iloc[0]) for name, table in tables]
    (name, first), *rivals = sorted(best, key=lambda each: (each[1]["mean"], each[0]))
    lines = [
        f"{noise_test(noise, num_compared=num_compared)} Nor does it cover the luck of whole "
        f"searches: with another `--seed`, each may end with other configurations. The lowest "
        f"`retrained` is that of {escaped(name)}.",
        *(
            f"- {escaped(other)}: {distance(first, rival, noise, num_compared=num_compared)}"
            for other, rival in rivals
        ),
    ]
    return ["\n".join(lines)]


def _pooled_noise(runs: Sequence[LoadedRun]) -> SeedNoise | None:
    """Return the noise between the seeds of all runs' finalists; None if it is unknown.

    Runs with the same seed may share trainings, such as those of baselines: each counts once.
    """
    same = ["number", "finalist_seed", "seed", "val_bits_per_char"]
    finalists = pd.concat(
        [run.finalists[[*same, "status"]].assign(run=place) for place, run in enumerate(runs)]
    ).drop_duplicates(same)
    return seed_noise(finalists.assign(number=finalists.groupby(["run", "number"]).ngroup()))


def _scores(runs: Sequence[LoadedRun]) -> list[float]:
    """Return what the runs are sorted by: `retrained` if all have it, otherwise `best`."""
    retrained = [float(summary(run)["mean"].min()) for run in runs]
    if not np.isnan(retrained).any():
        return retrained
    return [run.trials["val_bits_per_char"].min() if run.has_result else math.inf for run in runs]


def _check_comparable(first: LoadedRun, other: LoadedRun) -> None:
    """Refuse two runs whose scores are not comparable.

    Raises:
        ConfigError: The reason.
    """
    for what, ours, theirs in _rules(first.study, other.study):
        same = (
            math.isclose(ours, theirs, rel_tol=_SAME)
            if isinstance(ours, float)
            else ours == theirs
        )
        if not same:
            one, another = (shown(value, ".6g") for value in (ours, theirs))
            raise ConfigError(
                f"compared runs must have the same {what}, but {first.name} has {one} "
                f"and {other.name} has {another}"
            )


def _rules(ours: StudyFile, theirs: StudyFile) -> list[tuple[str, Any, Any]]:
    """Return what must be equal: its name and the two values."""
    rules: list[tuple[str, Any, Any]] = [
        ("corpus (sha256)", ours.corpus.sha256[:12], theirs.corpus.sha256[:12]),
        ("lengths of its parts", _lengths(ours), _lengths(theirs)),
        ("objective's version", ours.objective.version, theirs.objective.version),
        ("objective's name", ours.objective.name, theirs.objective.name),
        ("objective's floor_order", ours.objective.floor_order, theirs.objective.floor_order),
    ]
    prices, others = (each.objective.restoration_bits_per_char for each in (ours, theirs))
    for cleaning in sorted(set(prices) & set(others)):
        first, other = (each.objective.floors[cleaning] for each in (ours, theirs))
        rules += [
            (
                f"floor of {cleaning}",
                first.validation_bits_per_char,
                other.validation_bits_per_char,
            ),
            (f"restoration price of {cleaning}", prices[cleaning], others[cleaning]),
        ]
    return rules


def _lengths(study: StudyFile) -> str:
    lengths = study.corpus.lengths
    return "{:,} and {:,} characters".format(*lengths) if lengths else "the default"
