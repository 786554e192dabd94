"""Random configurations of a space, for tune/planning, which must not import Optuna."""

import optuna

from model.config import TrialConfig
from search_spaces.space import SearchSpace


def random_configs(space: SearchSpace, num: int, *, seed: int) -> list[TrialConfig]:
    """Draw `num` configurations independently; none if the space has no axes."""
    if not space.distributions:
        return []
    own_seed = seed % 2**32  # numpy accepts no larger seed
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # or it announces the study on stderr
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=own_seed))
    optuna.logging.set_verbosity(verbosity)
    axes = dict(space.distributions)
    return [space.config(space.point(study.ask(axes).params)) for _ in range(num)]
