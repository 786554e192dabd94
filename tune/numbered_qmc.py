"""The quasi-random sampler, whose points are the trials' by their numbers.

Optuna 5.0's takes the next point at each proposal and counts in the study. A proposal that a
killed driver made and never began counts too, and the search then goes on otherwise than one that
was not killed. A test in tests/test_upstream.py tells when that has changed.

Source: Sobol 1967.
"""

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, QMCSampler


class NumberedQMCSampler(QMCSampler):
    """Gives one trial its point of a scrambled Sobol sequence."""

    def __init__(self, index: int, *, seed: int, independent_sampler: BaseSampler) -> None:
        """Sample one trial.

        Args:
            index: Of the point, from 0.
            seed: Of the sequence, one for all trials.
            independent_sampler: For axes that the first trial did not have.
        """
        super().__init__(
            scramble=True,
            seed=seed,
            independent_sampler=independent_sampler,
            warn_independent_sampling=False,
        )
        self._index = index

    def _find_sample_id(self, study: Study, search_space: dict[str, BaseDistribution]) -> int:
        return self._index
