"""The landscape of a simulated search: any configuration's curve and seconds, at once.

A surrogate predicts configurations between the recorded ones: a Gaussian process over the axes for
each of the main directions in which recorded curves differ (principal components), and one for
the seconds per epoch. The benchmark also prints its error on curves that it has not
seen. Seconds and values are smooth functions of the configuration. The noise of training
is left out, so all methods search the same deterministic landscape.

If few curves of a text are recorded, those of another text may help: the text is then one more
input of the surrogate, so that it learns from both what they share.
"""

import dataclasses
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
import pandas as pd
from numpy.typing import NDArray
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from search_spaces import SearchSpace

Array = NDArray[np.float64]

COMPONENTS = 6
"""Directions in which curves differ; on the book, the first six hold 99 % of the variance."""
FLOOR_SHARE = 0.95
"""No simulated curve falls below this share of the lowest recorded value: an unbounded surrogate
promises 1.76 bits at a far corner, where 2.22 is the lowest of 68 recorded."""
_RANDOM_POINTS, _ROUNDS, _KEPT, _KEEP_SHARE = 4_000, 12, 60, 0.8
"""The search for the lowest value: random points, then rounds of crossing the best ones kept."""
WORST_BITS = 5.0
"""Curves are cut off here: for a configuration that diverges, this is bad enough."""


def features(params: dict[str, Any], distributions: dict[str, BaseDistribution]) -> Array:
    """Return a configuration as numbers in 0 to 1: log scales as logs, names one-hot."""
    values: list[float] = []
    for axis, distribution in distributions.items():
        value = params[axis]
        if isinstance(distribution, CategoricalDistribution):
            if isinstance(value, str):
                values += [float(value == choice) for choice in distribution.choices]
                continue
            numbers = [float(choice) for choice in distribution.choices if choice is not None]
            low, high, log = min(numbers), max(numbers), True
        else:
            assert isinstance(distribution, IntDistribution | FloatDistribution)
            low, high, log = distribution.low, distribution.high, distribution.log
        scale = np.log if log else float
        values.append(float((scale(value) - scale(low)) / (scale(high) - scale(low))))
    return np.array(values)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Curves:
    """Curves of several configurations.

    Attributes:
        bits: val_bits_per_char of each configuration and epoch.
        seconds: Seconds per epoch of each configuration.
    """

    bits: Array
    seconds: Array

    @property
    def floor(self) -> float:
        """The bound below which no curve simulated from these falls."""
        return FLOOR_SHARE * float(self.bits.min())


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """How well a surrogate predicts curves that it has not seen.

    Attributes:
        num_curves: Number of predicted curves.
        spearman: Rank correlation of the best values of the curves.
        error_bits: Root mean square error of these values.
        spread_bits: Standard deviation of the true values: the error of a constant prediction.
        seconds_error: Root mean square error of the logarithm of an epoch's seconds.
    """

    num_curves: int
    spearman: float
    error_bits: float
    spread_bits: float
    seconds_error: float

    @classmethod
    def of(cls, pairs: Sequence[tuple[Curves, Curves]]) -> "Fit":
        """Compare recorded curves with predicted ones, in pairs."""
        truth = np.concatenate([recorded.bits.min(1) for recorded, _ in pairs])
        guess = np.concatenate([told.bits.min(1) for _, told in pairs])
        ratios = [np.log(recorded.seconds / told.seconds) for recorded, told in pairs]
        return cls(
            num_curves=len(truth),
            spearman=float(pd.Series(truth).corr(pd.Series(guess), method="spearman")),
            error_bits=float(np.sqrt(np.mean((truth - guess) ** 2))),
            spread_bits=float(truth.std()),
            seconds_error=float(np.sqrt(np.mean(np.concatenate(ratios) ** 2))),
        )


class Landscape:
    """The curves of all configurations of a recorded space."""

    def __init__(
        self, table: pd.DataFrame, space: SearchSpace, *, other_text: pd.DataFrame | None = None
    ) -> None:
        """Fit the surrogate.

        Args:
            table: Recorded curves, one row per configuration and epoch.
            space: The space from which they were recorded.
            other_text: Curves of another text, to learn from what both share.
        """
        self.space = space
        self._distributions = dict(space.distributions)
        self._axes = list(self._distributions)
        self._num_texts = 1 if other_text is None else 2
        inputs, curves = self._arrays(table)
        self.num_epochs = curves.bits.shape[1]
        self.full_seconds = float(curves.seconds.mean() * self.num_epochs)
        self._floor = curves.floor
        logs, log_seconds = np.log(curves.bits - curves.floor), np.log(curves.seconds)
        if other_text is not None:
            more, others = self._arrays(other_text)
            more[:, -1] = 1.0
            inputs = np.concatenate([inputs, more])
            logs = np.concatenate([logs, np.log(others.bits - others.floor)])
            log_seconds = np.concatenate([log_seconds, np.log(others.seconds)])
        self._pca = PCA(min(COMPONENTS, len(inputs) - 1), random_state=0).fit(logs)
        scores = self._pca.transform(logs)
        self._means, self._scales = scores.mean(0), scores.std(0)
        self._models = [
            _fit(inputs, (column - mean) / scale)
            for column, mean, scale in zip(scores.T, self._means, self._scales, strict=True)
        ]
        self._seconds_mean, self._seconds_scale = log_seconds.mean(), log_seconds.std()
        self._seconds_model = _fit(
            inputs, (log_seconds - self._seconds_mean) / self._seconds_scale
        )
        self._known: dict[tuple[Any, ...], tuple[Array, float]] = {}
        self.best = self._find_best()

    def curve(self, params: dict[str, Any]) -> tuple[Array, float]:
        """Return val_bits_per_char of each epoch, and the seconds per epoch."""
        key = tuple(params[axis] for axis in self._axes)
        if key not in self._known:
            told = self._tell(self._inputs(params)[None])
            self._known[key] = told.bits[0], float(told.seconds[0])
        return self._known[key]

    def recorded_and_told(self, table: pd.DataFrame) -> tuple[Curves, Curves]:
        """Return recorded curves, and the surrogate's predictions for their configurations."""
        inputs, curves = self._arrays(table)
        return curves, self._tell(inputs)

    def _inputs(self, params: dict[str, Any]) -> Array:
        """Return a configuration's features; with two texts, the last input says which."""
        return np.append(features(params, self._distributions), np.zeros(self._num_texts - 1))

    def _arrays(self, table: pd.DataFrame) -> tuple[Array, Curves]:
        inputs, curves, seconds = [], [], []
        most = int(table["epoch"].max())
        for _, rows in table.groupby("configuration"):
            curve = np.full(most, WORST_BITS)
            curve[: len(rows)] = rows["val_bits_per_char"].clip(upper=WORST_BITS)
            (first,) = rows.head(1).to_dict("records")
            inputs.append(self._inputs({axis: first[axis] for axis in self._distributions}))
            curves.append(curve)
            # The first epoch also measures the precision.
            seconds.append(rows["seconds"].median())
        return np.array(inputs), Curves(bits=np.array(curves), seconds=np.array(seconds))

    def _tell(self, inputs: Array) -> Curves:
        scores = np.stack([model.predict(inputs) for model in self._models], axis=1)
        logs = self._pca.inverse_transform(scores * self._scales + self._means)
        log_seconds = self._seconds_model.predict(inputs) * self._seconds_scale
        return Curves(
            bits=self._floor + np.exp(logs), seconds=np.exp(log_seconds + self._seconds_mean)
        )

    def _find_best(self) -> float:
        """Return the lowest value of the landscape: of many points, then of points near the best.

        Regret is measured from it; a search that finds a lower value has a regret below zero.
        """
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        chance = np.random.default_rng(0)
        points = [study.ask(self._distributions).params for _ in range(_RANDOM_POINTS)]
        for _ in range(_ROUNDS):
            values = self._lowest(points)
            best = [points[index] for index in np.argsort(values)[:_KEPT]]
            fresh = [study.ask(self._distributions).params for _ in range(_KEPT)]
            points = best + [
                {
                    axis: (near if chance.random() < _KEEP_SHARE else other)[axis]
                    for axis in self._axes
                }
                for near in best
                for other in fresh
            ]
        return float(self._lowest(points).min())

    def _lowest(self, points: list[dict[str, Any]]) -> Array:
        lowest: Array = self._tell(np.array([self._inputs(point) for point in points])).bits.min(1)
        return lowest


def _fit(inputs: Array, targets: Array) -> GaussianProcessRegressor:
    kernel = ConstantKernel(1.0, (0.1, 30.0)) * Matern(
        np.full(inputs.shape[1], 2.0), (0.2, 50.0), nu=2.5
    ) + WhiteKernel(0.1, (1e-4, 1.0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GaussianProcessRegressor(kernel, random_state=0, n_restarts_optimizer=1).fit(
            inputs, targets
        )
