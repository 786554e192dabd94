"""Which differences between trials are noise, and which networks learnt little: two lines.

The finalists' trainings show how much the scores of equal settings vary between seeds. A trial of
the search is a single training, so its score is no more certain than that.

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
"""Approximate share of searches of equal configurations in which a difference is called more than
noise: 4 % if all vary alike, 6.5 to 8 % if one varies ten times as much as the others."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SeedNoise:
    """How much single trainings of equal settings vary on one passage.

    Attributes:
        deviation: Pooled standard deviation of val_bits_per_char between seeds.
        num_trainings: Trainings that it is based on.
        num_settings: Their configurations, each trained at least twice.
    """

    deviation: float
    num_trainings: int
    num_settings: int

    @property
    def degrees_of_freedom(self) -> int:
        """Trainings minus one per configuration."""
        return self.num_trainings - self.num_settings

    @property
    def basis(self) -> str:
        """The deviation and what it is based on, in words."""
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
        """Return by how many bits the lowest of several means must lead to be more than noise.

        The same values decide which mean is lowest, so its largest lead is the range of all means,
        and that range must be rare. Student's t-test, even with Bonferroni's correction, would
        need a winner named in advance.

        Args:
            num_first: Trainings of the one with the lowest mean.
            num_rival: Trainings of the one that it is compared with.
            num_compared: Number of means, the lowest included.
            deviations: Standard deviations between the seeds of each of the two; 0 for a single
                seed. Configurations vary unequally: with those of results/reference/full, 0.0022
                to 0.0203, the pooled one alone finds more than noise in 13.5 % of searches of
                equal configurations, the larger of both in 6.5 % (simulated, 2026-11-30).
        """
        numbers = (num_first, num_rival)
        pooled = sum(self.deviation**2 / number for number in numbers)
        both = zip(deviations, numbers, strict=True)
        own = sum(deviation**2 / number for deviation, number in both)
        quantile = _range_quantile(num_compared, self.degrees_of_freedom)
        return quantile * math.sqrt(max(own, pooled) / 2)


@functools.cache  # 0.1 s each
def _range_quantile(num_compared: int, degrees_of_freedom: int) -> float:
    from scipy.stats import studentized_range  # 0.8 s; most commands do not need it

    return float(studentized_range.ppf(1 - FALSE_ALARMS, num_compared, degrees_of_freedom))


def seed_noise(finalists: pd.DataFrame) -> SeedNoise | None:
    """Return the noise between seeds; None if nothing was trained at least twice.

    The variance is pooled: the sum of squared deviations from each finalist's own mean, divided by
    the trainings minus one per finalist. Each finalist alone has only two or three trainings.
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
    """Return two sentences on a table of the best: which ranks are certain, and the floor.

    Args:
        run: The run.
        table: Its best trials, at least one, best first.
    """
    scores = ranked(run.trials)["val_bits_per_char"]
    return [_noise(scores, seed_noise(run.finalists)), _floor(table["val_bits_per_char"], run)]


def _noise(scores: pd.Series, noise: SeedNoise | None) -> str:
    if noise is None:
        return "noise: not measured, because no configuration was retrained with two seeds."
    if len(scores) == 1:
        return f"noise: the standard deviation between seeds is {noise.basis}; there is one rank."
    if noise.degrees_of_freedom == 1:  # among 51 trials a lead would need 71 deviations
        return (
            f"noise: the standard deviation between seeds is {noise.basis}, which is too few to "
            f"say which ranks are certain."
        )
    # Scores ascend, so a trial within noise of the first is within noise of all between.
    least = noise.least_lead(1, 1, num_compared=len(scores))
    num_level = int((scores - scores.iloc[0] <= least).sum())
    ranks = (
        f"ranks 1 to {num_level} are within noise of each other"
        if num_level > 1
        else "no other rank is that close to the first"
    )
    return (
        f"noise: in {100 - 100 * FALSE_ALARMS:g} % of searches, the best of "
        f"{counted(len(scores), 'equally good trial')} would lead any other by less than "
        f"{least:.4f} bits (Tukey's range test; standard deviation between seeds: "
        f"{noise.basis}); {ranks}."
    )


def _floor(scores: pd.Series, run: LoadedRun) -> str:
    floor, name = run.study.floor_bits_per_char, run.study.objective.floor_name
    num_better = int((scores < floor).sum())
    line = f"floor: a {name} scores {floor:.4f} bits;"
    if num_better == 0:
        longer = "; with more time (--resume) one may" if run.space.distributions else ""
        return f"{line} none of these {len(scores)} beats it{longer}."
    others = ", the others do not" if num_better < len(scores) else ""
    verb = "beats" if num_better == 1 else "beat"
    return f"{line} {num_better} of these {len(scores)} {verb} it{others}."
