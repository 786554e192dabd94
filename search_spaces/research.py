"""The axes of `extended`, and the recurrent cell with what it depends on."""

import dataclasses

from optuna.distributions import CategoricalDistribution, IntDistribution

from model.config import CELLS
from search_spaces.extended import SPACE as EXTENDED
from search_spaces.space import SearchSpace

SPACE = SearchSpace(
    name="research",
    description="the axes of extended and the recurrent cell",
    base=EXTENDED.base,
    distributions={
        **EXTENDED.distributions,
        "cell": CategoricalDistribution(CELLS),
        "mogrifier_rounds": IntDistribution(2, 6),
    },
    conditions={**EXTENDED.conditions, "mogrifier_rounds": ("cell", "mogrifier")},
    baselines=tuple(
        dataclasses.replace(baseline, params={**baseline.params, "cell": EXTENDED.base.cell})
        for baseline in EXTENDED.baselines
    ),
    # The first trials lie near the starts, so each cell needs one.
    starts=(*EXTENDED.starts, {"cell": "gru"}, {"cell": "mogrifier"}),
    budget=EXTENDED.budget,
    most_chars=EXTENDED.most_chars,
)
