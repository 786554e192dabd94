"""A space for a long text: fewer passes over it, several reports per pass, and another base.

One pass over a book gives a report; one over a gigabyte would take as long as a whole search. So
trials on a long text report, save and are compared several times per pass, and make fewer passes,
which still read more characters. Rare characters share a symbol. The base has less dropout, a
larger batch and layer norm.
"""

import dataclasses
import math
from collections.abc import Collection, Mapping
from typing import Any

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from model.text.held_out import LONG_TEXT_CHARS
from search_spaces.distributions import contains
from search_spaces.narrow import with_base, with_layer_norm, with_scaled_dropout
from search_spaces.space import SearchSpace

REPORT_CHARS, REPORT_CHARS_ON_GPU = 200_000, 2_000_000
"""Minimum number of characters between two reports: two epochs of a book. Scoring the validation
passage (HELD_OUT_CHARS) takes a tenth of that time."""
STEPS_A_REPORT = 2
"""Minimum number of optimiser steps of the largest batch between two reports."""
BATCH_EXPONENT = 1 / 2
"""The base's batch size grows with the text's length to this power (LOG.md)."""
MIN_CHAR_COUNT = 10
"""Rarer characters share a symbol: each takes time at every step, and nothing is learnt about it.
A space whose base has 1 keeps all of them."""
CHARS_A_WORD = 6
"""Characters per running word, its space included; on the high side, so that a report has its
steps."""
EXPONENT = 2 / 3
"""Passes fall with the text's length to this power; the characters read grow with its cube root.
Doubling the passes gains equally on four texts of 0.1 to 12 million characters if passes fall by a
power of 0.52 to 0.70: the larger the required gain, the larger the power (LOG.md)."""


def for_text(
    space: SearchSpace, num_chars: int, *, on_gpu: bool, kept: Collection[str] = ()
) -> SearchSpace:
    """Return a space adapted to a text's length; unchanged up to LONG_TEXT_CHARS.

    Args:
        space: The space.
        num_chars: Raw characters of the whole text.
        on_gpu: Whether trials have a GPU.
        kept: Fields that the user has fixed.
    """
    if num_chars <= LONG_TEXT_CHARS:
        return space
    reports, min_char_count = space.base.reports_per_epoch, space.base.min_char_count
    if reports == 1 and "reports_per_epoch" not in kept:  # otherwise they are the user's own
        least = _least_chars(space)
        report_chars = max(REPORT_CHARS_ON_GPU if on_gpu else REPORT_CHARS, least)
        # At least two: a text's passages must not depend on the device (see prepare.py).
        reports = max(_round(num_chars // report_chars), min(2, num_chars // least))
    if min_char_count == 0 and "min_char_count" not in kept:
        min_char_count = MIN_CHAR_COUNT
    base = dataclasses.replace(
        space.base, reports_per_epoch=reports, min_char_count=min_char_count
    )
    space = dataclasses.replace(space, base=base)
    if space.most_chars is None or num_chars <= space.most_chars:
        return space
    times = num_chars / space.most_chars
    space = _with_base_of_long_texts(space, times, kept)
    return space if "epochs" in kept else _with_fewer_epochs(space, times**-EXPONENT)


def changes_for_text(named: SearchSpace, space: SearchSpace, num_chars: int) -> list[str]:
    """Return one line on what `for_text` changed; nothing if it changed nothing.

    The base's dropout is left out: a time budget changes it again, and the plan shows it.

    Args:
        named: The space before.
        space: The space that it returned.
        num_chars: Raw characters of the whole text.
    """
    before, after, changes = named.base, space.base, list[str]()
    for what, field in (
        ("passes", "epochs"),
        ("the base's batch", "batch_size"),
    ):
        old, new = getattr(before, field), getattr(after, field)
        if new != old:
            changes.append(f"{what} x {new / old:.2g}")
    if after.normalization != before.normalization:
        changes.append("layer norm")
    if after.min_char_count != before.min_char_count:
        changes.append(
            f"characters that occur fewer than {after.min_char_count} times share a symbol"
        )
    if not changes:
        return []
    return [f"fitted to a text of {num_chars / 1e6:.1f} million characters: {', '.join(changes)}"]


def _round(number: int) -> int:
    """Return the largest of 1, 2, 5, 10, 20, 50, … up to a number, for readable epoch numbers."""
    power: int = 10 ** (len(str(number)) - 1)
    return max(times * power for times in (1, 2, 5) if times * power <= max(1, number))


def _least_chars(space: SearchSpace) -> int:
    """Return how many characters must separate two reports, for every configuration."""
    return max(
        STEPS_A_REPORT
        * (CHARS_A_WORD if config.unit == "word" else 1)
        * config.batch_size
        * (config.sequence_length if config.regime == "stream" else 1)
        for config in space.corners(("unit", "batch_size", "sequence_length", "regime"))
    )


def _with_base_of_long_texts(
    space: SearchSpace, times: float, kept: Collection[str]
) -> SearchSpace:
    """Return the space with a larger batch in its base, and layer norm unless that is an axis."""
    space = with_layer_norm(space, kept)
    base, axis = space.base, space.distributions.get("batch_size")
    changes: dict[str, Any] = {}
    if isinstance(axis, CategoricalDistribution) and contains(axis, base.batch_size):
        target = base.batch_size * times**BATCH_EXPONENT
        changes["batch_size"] = min(axis.choices, key=lambda size: abs(math.log(size / target)))
    return with_base(space, changes)


def _with_fewer_epochs(space: SearchSpace, factor: float) -> SearchSpace:
    """Return a space whose epochs, axis and values, are multiplied by a factor below 1.

    The base's dropout is multiplied too.
    """
    base = space.base

    def fewer(epochs: float) -> float:
        return base.epochs_near(factor * epochs)

    def changed(params: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: fewer(value) if name == "epochs" else value for name, value in params.items()
        }

    axis = space.distributions.get("epochs")
    if not isinstance(axis, (IntDistribution, FloatDistribution)):
        return space  # choices are the user's own
    epochs = FloatDistribution(float(fewer(axis.low)), float(fewer(axis.high)), log=axis.log)
    space = with_scaled_dropout(space, factor)
    return dataclasses.replace(
        space,
        base=dataclasses.replace(space.base, epochs=fewer(base.epochs)),
        distributions={**space.distributions, "epochs": epochs},
        baselines=tuple(
            dataclasses.replace(baseline, params=changed(baseline.params))
            for baseline in space.baselines
        ),
        starts=tuple(map(changed, space.starts)),
    )
