"""The six documented axes, small: about a minute on two CPU cores."""

from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from model.config import TrialConfig
from model.text.cleaning import CLEANINGS
from model.text.held_out import LONG_TEXT_CHARS
from search_spaces.baseline import Baseline
from search_spaces.budget import Budget
from search_spaces.documented import experiment
from search_spaces.space import SearchSpace

SPACE = SearchSpace(
    name="quick",
    description="the six documented axes, small: about a minute on two CPU cores",
    base=TrialConfig(
        epochs=5,
        hidden_size=192,
        batch_size=16,
        dropout=0.2,
        learning_rate=6e-3,
        embedding_dim=32,
        input_dropout=0.0,
    ),
    distributions={
        "epochs": IntDistribution(2, 6),
        "hidden_size": IntDistribution(32, 192, log=True),
        "batch_size": CategoricalDistribution((16, 32, 64)),
        "dropout": FloatDistribution(0.0, 0.5),
        "num_layers": IntDistribution(1, 2),
        "cleaning": CategoricalDistribution(tuple(CLEANINGS)),
    },
    baselines=(
        Baseline(
            name="experiment 1, scaled down",
            params=experiment(
                epochs=2, hidden_size=64, batch_size=64, num_layers=1, cleaning="lower"
            ),
        ),
        Baseline(
            name="experiment 2, scaled down",
            params=experiment(
                epochs=3, hidden_size=64, batch_size=32, num_layers=2, cleaning="lower"
            ),
        ),
        Baseline(
            name="experiment 3, scaled down",
            params=experiment(
                epochs=4, hidden_size=64, batch_size=32, num_layers=2, cleaning="letters"
            ),
        ),
    ),
    budget=Budget(trials=10, time_budget_seconds=120.0, grace_period_epochs=1, reduction_factor=2),
    most_chars=LONG_TEXT_CHARS,
)
