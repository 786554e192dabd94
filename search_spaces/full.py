"""The six documented axes, in ranges that contain the reference's three configurations."""

from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from model.config import TrialConfig
from model.text.cleaning import CLEANINGS
from model.text.held_out import LONG_TEXT_CHARS
from search_spaces.budget import Budget
from search_spaces.documented import BASELINES
from search_spaces.space import SearchSpace

SPACE = SearchSpace(
    name="full",
    description="the six documented axes",
    base=TrialConfig(),
    distributions={
        "epochs": IntDistribution(8, 64, log=True),
        "hidden_size": IntDistribution(64, 512, log=True),
        "batch_size": CategoricalDistribution((8, 16, 32, 64, 128)),
        "dropout": FloatDistribution(0.0, 0.7),
        "num_layers": IntDistribution(1, 3),
        "cleaning": CategoricalDistribution(tuple(CLEANINGS)),
    },
    baselines=BASELINES,
    budget=Budget(trials=200, grace_period_epochs=1),
    most_chars=LONG_TEXT_CHARS,
)
