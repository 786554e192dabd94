"""A space of given configurations, which compares them: `--configs a.json b.json`.

They are its baselines, and it has no axes: each is trained whole, and each is a finalist.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from model.config import ARITHMETIC_FIELDS, FIELD_NAMES, TrialConfig
from model.errors import ConfigError, unknown_choice
from model.system.files import expanded
from search_spaces.baseline import Baseline
from search_spaces.budget import Budget
from search_spaces.narrow import value_of
from search_spaces.space import PER_TRIAL_FIELDS, SearchSpace

MAX_CONFIGS = 50
_OF_THE_SEARCH = (*PER_TRIAL_FIELDS, "patience_epochs")
"""Fields that the search sets."""
_OF_THE_TEXT = ("reports_per_epoch", "min_char_count")
"""Fields that are the same for all trials: a best.json has the values of its text."""


def given_space(files: Sequence[str], fixes: Sequence[str] = ()) -> SearchSpace:
    """Return a space of the configurations in JSON files, each named by its file.

    The same for all are what `fixes` say (FIELD=VALUE), the arithmetic, which the machine chooses,
    and the largest of their values that depend on the text.

    Raises:
        ConfigError: The first rule that is broken.
    """
    if not 2 <= len(files) <= MAX_CONFIGS:
        raise ConfigError(f"--configs must name 2 to {MAX_CONFIGS} files, got {len(files)}")
    paths = [expanded(file) for file in files]
    read = [TrialConfig.from_file(path) for path in paths]
    shared = {name: getattr(TrialConfig(), name) for name in (*_OF_THE_SEARCH, *ARITHMETIC_FIELDS)}
    shared |= {name: max(getattr(each, name) for each in read) for name in _OF_THE_TEXT}
    shared |= dict(map(_fixed, fixes))
    stems = [path.stem for path in paths]
    of_config: dict[TrialConfig, str] = {}
    for path, config in zip(paths, read, strict=True):
        name = path.stem
        if stems.count(name) > 1:  # such as best
            name = f"{path.resolve().parent.name}/{name}"
        try:
            config = dataclasses.replace(config, **shared)
        except ConfigError as error:
            told = ", ".join(f"{field}={shared[field]}" for field in _OF_THE_TEXT)
            raise ConfigError(f"{path}: {error}; for all are {told}, unless --fix sets") from error
        if config in of_config:
            raise ConfigError(
                f"--configs must name different configurations, but {name} is {of_config[config]} "
                f"again: {', '.join(shared)} are the same for all"
            )
        if name in of_config.values():
            raise ConfigError(f"--configs must name files of different names, got {name} twice")
        of_config[config] = name
    varied = [name for name in FIELD_NAMES if len({getattr(each, name) for each in of_config}) > 1]
    return SearchSpace(
        name="configs",
        description=f"{len(files)} given configurations, nothing else",
        base=next(iter(of_config)),
        distributions={},
        baselines=tuple(
            Baseline(name=name, params={field: getattr(config, field) for field in varied})
            for config, name in of_config.items()
        ),
        budget=Budget(trials=len(files)),
    )


def _fixed(rule: str) -> tuple[str, Any]:
    """Return the field of a `--fix`, and its value."""
    field, mark, text = rule.partition("=")
    if not mark:
        raise ConfigError(f"--fix needs FIELD=VALUE, got {rule!r}")
    if field not in (choices := [name for name in FIELD_NAMES if name not in _OF_THE_SEARCH]):
        raise ConfigError(unknown_choice("field", field, choices))
    return field, value_of(field, text)
