"""The six documented axes, and nine more that the reference did not vary."""

import dataclasses

from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from model.config import NORMALIZATIONS, TrialConfig
from model.text.held_out import LONG_TEXT_CHARS
from search_spaces.baseline import with_fields
from search_spaces.budget import Budget
from search_spaces.full import SPACE as FULL
from search_spaces.space import SearchSpace

_BASE = TrialConfig()
_MORE = {
    "unit": CategoricalDistribution(("char", "word")),
    # 1 is bad: the unknown symbol would never be trained (LOG.md, 2026-11-24).
    "min_word_count": IntDistribution(2, 10, log=True),
    "learning_rate": FloatDistribution(5e-4, 1e-2, log=True),
    "sequence_length": CategoricalDistribution((32, 50, 64, 100, 128, 200)),
    "embedding_dim": IntDistribution(16, 256, log=True),
    "weight_decay": FloatDistribution(0.0, 0.3),
    "input_dropout": FloatDistribution(0.0, 0.3),
    "normalization": CategoricalDistribution(NORMALIZATIONS),
    "gradient_clip_norm": FloatDistribution(0.1, 5.0, log=True),
}
_CONDITIONS = {"min_word_count": ("unit", "word")}

SPACE = SearchSpace(
    name="extended",
    description="the six documented axes and nine more, words among them",
    # Layer norm wins by 0.047 bits on one text and loses on none (LOG.md, 2026-11-24).
    base=dataclasses.replace(_BASE, normalization="layer"),
    distributions={
        **FULL.distributions,
        "hidden_size": IntDistribution(64, 1024, log=True),
        # Batches of 4 score 0.01 bits better than batches of 8 (LOG.md, 2026-11-26).
        "batch_size": CategoricalDistribution((4, 8, 16, 32, 64, 128)),
        **_MORE,
    },
    conditions=_CONDITIONS,
    baselines=with_fields(
        FULL.baselines, _BASE, [axis for axis in _MORE if axis not in _CONDITIONS]
    ),
    # The first trials are near the starts, so words need one too. Without layer norm this one has
    # 1.8621 bits on the reference's book, the base 1.9711 (LOG.md, 2026-11-24). It keeps its
    # dropout when a short time lowers the base's: words overfit sooner (LOG.md, 2026-11-29). It
    # keeps its batch size on a long text: there are fewer words than characters.
    starts=(
        {
            "unit": "word",
            "hidden_size": 256,
            "embedding_dim": 256,
            "min_word_count": 5,
            "dropout": _BASE.dropout,
            "batch_size": _BASE.batch_size,
        },
    ),
    # Words learn more per epoch: compared with them, characters would stop at the first rung.
    budget=Budget(trials=400, grace_period_epochs=1, compare_within=("unit",)),
    most_chars=LONG_TEXT_CHARS,
)
