"""The reference's three configurations, with no axes, trained in the stream regime."""

from typing import Any

from model.config import TrialConfig
from search_spaces.baseline import Baseline
from search_spaces.budget import Budget
from search_spaces.space import SearchSpace


def experiment(
    *, epochs: int, hidden_size: int, batch_size: int, num_layers: int, cleaning: str
) -> dict[str, Any]:
    """Return the settings of an experiment of the reference, or of a scaled-down one."""
    return {
        "epochs": epochs,
        "hidden_size": hidden_size,
        "batch_size": batch_size,
        "dropout": 0.2,
        "num_layers": num_layers,
        "cleaning": cleaning,
    }


BASELINES = (
    Baseline(
        name="experiment 1",
        params=experiment(
            epochs=20, hidden_size=256, batch_size=128, num_layers=1, cleaning="lower"
        ),
        documented_nats_per_char=1.9413,
        documented_seconds=7_206,
    ),
    Baseline(
        name="experiment 2",
        params=experiment(
            epochs=30, hidden_size=256, batch_size=64, num_layers=2, cleaning="lower"
        ),
        documented_nats_per_char=1.3376,
        documented_seconds=39_464,
    ),
    Baseline(
        name="experiment 3",
        params=experiment(
            epochs=40, hidden_size=256, batch_size=64, num_layers=2, cleaning="letters"
        ),
        documented_nats_per_char=1.1254,
        documented_seconds=49_060,
    ),
)
"""The three documented experiments: settings, final training loss, seconds on their GPU."""

SPACE = SearchSpace(
    name="documented",
    description="the reference's three configurations, nothing else",
    base=TrialConfig(),
    distributions={},
    baselines=BASELINES,
    budget=Budget(trials=3),
)
