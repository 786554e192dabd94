"""Which differences between trials are noise, and which networks learnt little: two plain lines.

The finalists' trainings show how far the same settings scatter from seed to seed. A trial of
the search is one training, so that scatter is what its score can be trusted to.

Source: Tukey's honestly significant difference (The Problem of Multiple Comparisons, 1953), for
unequal numbers as in Kramer (Biometrics 12, 1956).
"""

import dataclasses
import functools
import math

import pandas as pd

from model.system.durations import counted
from tune.records.load import LoadedRun
from tune.records.tables import ranked
from tune.records.trial import Status

FALSE_ALARMS = 0.05
"""Share of searches of equal configurations in which a difference is called more than noise,
about: 4 % where they scatter alike, 6.5 to 8 % where one scatters ten times as much as others."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SeedNoise:
    """How far single trainings of the same settings scatter, on one passage.

    Attributes:
        deviation: Standard deviation of val_bits_per_char between seeds, pooled.
        num_trainings: Trainings that it rests on.
        num_settings: Configurations that they are of, two trainings or more of each.
    """

    deviation: float
    num_trainings: int
    num_settings: int

    @property
    def degrees_of_freedom(self) -> int:
        """Trainings less one a configuration."""
        return self.num_trainings - self.num_settings

    @property
    def basis(self) -> str:
        """The deviation in words, and what it rests on."""
        return (
            f"{self.deviation:.4f}, from {counted(self.num_trainings, 'training')} of "
            f"{counted(self.num_settings, 'configuration')}"
        )

    def least_lead(
        self,
        num_first: int,
        num_rival: int,
        *,
        num_compared: int,
        deviations: tuple[float, float] = (0.0, 0.0),
    ) -> float:
        """Return the bits by which the lowest of several means must lead to be more than noise.

        The same values decide which is the lowest, so its largest lead is the range of all means,
        and that must be a rare one. Student's t, even with Bonferroni's correction for the rivals,
        is for a first that was named before.

        Args:
            num_first: Trainings of the one with the lowest mean.
            num_rival: Trainings of the one that it is compared with.
            num_compared: Means that it is the lowest of, itself included.
            deviations: Between the seeds of each of the two, 0 of one. Not all scatter alike:
                with those of results/reference/full, 0.0022 to 0.0203, the pooled one alone calls
                13.5 % of searches of equal configurations more than noise, the larger of both
                6.5 % (simulated, 2026-11-30).
        """
        numbers = (num_first, num_rival)
        pooled = sum(self.deviation**2 / number for number in numbers)
        both = zip(deviations, numbers, strict=True)
        own = sum(deviation**2 / number for deviation, number in both)
        quantile = _range_quantile(num_compared, self.degrees_of_freedom)
        return quantile * math.sqrt(max(own, pooled) / 2)


@functools.cache  # 0.1 s each
def _range_quantile(num_compared: int, degrees_of_freedom: int) -> float:
    from scipy.stats import studentized_range  # 0.8 s, and most commands never come here

    return float(studentized_range.ppf(1 - FALSE_ALARMS, num_compared, degrees_of_freedom))


def seed_noise(finalists: pd.DataFrame) -> SeedNoise | None:
    """Return the scatter between seeds, or None where nothing was trained twice or more.

    It is pooled: each finalist's squared deviations from its own mean, over the trainings less
    one a finalist. So it rests on all of them, each alone being two or three.
    """
    ended = finalists[finalists["status"] == Status.COMPLETE.value]
    of_each = ended.groupby("number")["val_bits_per_char"].agg(["count", "var"])
    repeated = of_each[of_each["count"] >= 2]
    if repeated.empty:
        return None
    free = repeated["count"] - 1
    variance = float((free * repeated["var"]).sum() / free.sum())
    return SeedNoise(
        deviation=math.sqrt(variance),
        num_trainings=int(repeated["count"].sum()),
        num_settings=len(repeated),
    )


def table_notes(run: LoadedRun, table: pd.DataFrame) -> list[str]:
    """Return two sentences on a table of the best: how far its ranks hold, and the floor.

    Args:
        run: The run.
        table: Its best trials, best first; one at least.
    """
    scores = ranked(run.trials)["val_bits_per_char"]
    return [_noise(scores, seed_noise(run.finalists)), _floor(table["val_bits_per_char"], run)]


def _noise(scores: pd.Series, noise: SeedNoise | None) -> str:
    if noise is None:
        return "noise: not measured, because no configuration was retrained with two seeds."
    if len(scores) == 1:
        return f"noise: the deviation between seeds is {noise.basis}; there is one rank."
    if noise.degrees_of_freedom == 1:  # of 51 trials a lead would have to be 71 deviations
        return (
            f"noise: the deviation between seeds is {noise.basis}, which is too few to say how "
            f"far ranks hold."
        )
    # The scores ascend: whoever is within noise of the first is so of all between.
    least = noise.least_lead(1, 1, num_compared=len(scores))
    num_level = int((scores - scores.iloc[0] <= least).sum())
    ranks = (
        f"ranks 1 to {num_level} are within noise of each other"
        if num_level > 1
        else "no other rank is that close to the first"
    )
    return (
        f"noise: the best of {counted(len(scores), 'equal trial')} leads every other by less than "
        f"{least:.4f} bits in {100 - 100 * FALSE_ALARMS:g} % of searches (Tukey's range test, "
        f"with the deviation between seeds, {noise.basis}); {ranks}."
    )


def _floor(scores: pd.Series, run: LoadedRun) -> str:
    floor, name = run.study.floor_bits_per_char, run.study.objective.floor_name
    num_better = int((scores < floor).sum())
    line = f"floor: a {name} scores {floor:.4f} bits;"
    if num_better == 0:
        return f"{line} none of these {len(scores)} is better than the n-gram."
    others = ", the others are no better than the n-gram" if num_better < len(scores) else ""
    verb = "is" if num_better == 1 else "are"
    return f"{line} {num_better} of these {len(scores)} {verb} better{others}."
