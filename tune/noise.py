"""Which differences between trials are noise, and which networks learnt little: two plain lines.

The finalists' trainings show how far the same settings scatter from seed to seed. A trial of
the search is one training, so that scatter is what its score can be trusted to.

Source: Fisher's least significant difference (The Design of Experiments, 1935).
"""

import dataclasses
import math
from typing import Any

import pandas as pd

from tune.confirmation import SURE
from tune.records import Status, ranked


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SeedNoise:
    """How far single trainings of the same settings scatter.

    Attributes:
        deviation: Standard deviation of val_bits_per_char between seeds, pooled.
        num_trainings: Trainings that it rests on.
        num_settings: Configurations that they are of, two trainings or more of each.
    """

    deviation: float
    num_trainings: int
    num_settings: int

    @property
    def least_difference(self) -> float:
        """The bits that two single trainings must be apart to differ by more than noise.

        The difference of two trainings of the same settings has the variance s² + s², so its
        standard deviation is sqrt(2) s, and it counts from SURE times as much.
        """
        return SURE * math.sqrt(2) * self.deviation


def seed_noise(finalists: pd.DataFrame) -> SeedNoise | None:
    """Return the scatter between seeds, or None where nothing was trained twice or more.

    It is pooled: each finalist's squared deviations from its own mean, over the trainings less
    one a finalist. So it rests on all of them, each alone being two or three.

    Args:
        finalists: The finalists table.
    """
    ended = finalists[finalists["status"] == Status.COMPLETE.value]
    scores = ended.groupby("number")["val_bits_per_char"]
    counts = scores.transform("count")
    squares = (ended["val_bits_per_char"] - scores.transform("mean")) ** 2
    repeated = counts >= 2
    num_trainings = int(repeated.sum())
    if num_trainings == 0:
        return None
    num_settings = ended[repeated]["number"].nunique()
    variance = float(squares[repeated].sum()) / (num_trainings - num_settings)
    return SeedNoise(
        deviation=math.sqrt(variance), num_trainings=num_trainings, num_settings=num_settings
    )


def table_notes(
    study: dict[str, Any], table: pd.DataFrame, trials: pd.DataFrame, finalists: pd.DataFrame
) -> list[str]:
    """Return what stands under a table of the best: how far its ranks hold, and the floor.

    Args:
        study: What study.json holds.
        table: The best trials, best first; one at least.
        trials: The trials table.
        finalists: The finalists table.
    """
    scores = ranked(trials)["val_bits_per_char"]
    return [_noise(scores, seed_noise(finalists)), _floor(table["val_bits_per_char"], study)]


def _noise(scores: pd.Series, noise: SeedNoise | None) -> str:
    if noise is None:
        return "noise: not measured, for no configuration was retrained with two seeds."
    # The scores ascend: whoever is within noise of the first is so of all between.
    num_level = int((scores - scores.iloc[0] <= noise.least_difference).sum())
    ranks = (
        f"ranks 1 to {num_level} are within noise of each other"
        if num_level > 1
        else "no other rank is within noise of the first"
    )
    return (
        f"noise: two trials differ by more than noise only if more than "
        f"{noise.least_difference:.4f} bits apart ({SURE:g} √2 times the deviation between "
        f"seeds, {noise.deviation:.4f}, from {noise.num_trainings} trainings of "
        f"{noise.num_settings} configuration{'s' * (noise.num_settings > 1)}); {ranks}."
    )


def _floor(scores: pd.Series, study: dict[str, Any]) -> str:
    objective = study["objective"]
    floor = objective["floors"]["cased"]["validation_bits_per_char"]
    num_better = int((scores < floor).sum())
    line = f"floor: a character {objective['floor_order']}-gram scores {floor:.4f} bits;"
    if num_better == 0:
        return f"{line} none of these {len(scores)} is better than the n-gram."
    others = ", the others are no better than the n-gram" if num_better < len(scores) else ""
    verb = "is" if num_better == 1 else "are"
    return f"{line} {num_better} of these {len(scores)} {verb} better{others}."
