"""The axes of `extended`, the recurrent cell, the optimiser, tied weights and weight dropout."""

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from model.config import CELLS
from search_spaces.baseline import with_fields
from search_spaces.extended import SPACE as EXTENDED
from search_spaces.space import SearchSpace

_FIELDS = ("cell", "optimizer", "tie_weights", "weight_dropout")
_CONDITIONS = {
    "mogrifier_rounds": ("cell", "mogrifier"),
    "learning_rate": ("optimizer", ("adamw", "adam")),
    # Adam adds weight decay to the gradient: 0.01 costs it half a bit, adamw 0.001 (LOG.md,
    # 2026-11-30). So adam uses the base's, 0.
    "weight_decay": ("optimizer", "adamw"),
    "sgd_learning_rate": ("optimizer", "asgd"),
}

SPACE = SearchSpace(
    name="research",
    description="the axes of extended, the cell, the optimiser, tied weights, weight dropout",
    base=EXTENDED.base,
    distributions={
        # It must precede the axes that depend on it.
        "optimizer": CategoricalDistribution(("adamw", "adam", "asgd")),
        **EXTENDED.distributions,
        # 0.5, 2 and 5 train on a book; 10 fails from the first epoch on (LOG.md, 2026-11-29).
        "sgd_learning_rate": FloatDistribution(0.1, 5.0, log=True),
        "cell": CategoricalDistribution(CELLS),
        "mogrifier_rounds": IntDistribution(2, 6),
        "tie_weights": CategoricalDistribution((False, True)),
        "weight_dropout": FloatDistribution(0.0, 0.5),
    },
    conditions={**EXTENDED.conditions, **_CONDITIONS},
    baselines=with_fields(EXTENDED.baselines, EXTENDED.base, _FIELDS),
    # The first trials are near the starts, so each cell and optimiser needs one; adam shares the
    # base's, because it is adamw without weight decay.
    starts=(*EXTENDED.starts, {"cell": "gru"}, {"cell": "mogrifier"}, {"optimizer": "asgd"}),
    budget=EXTENDED.budget,
    most_chars=EXTENDED.most_chars,
)
