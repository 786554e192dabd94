"""Options written as a command line, for a process that is started and for a user to type."""

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from model.system.secrets import redacted
from tune.planning.study import StudyOptions

OF_THE_TERMINAL = ("command", "dry_run", "quiet", "log_format")
"""Options that concern only what the command prints."""
FIELDS = [field for field in dataclasses.fields(StudyOptions) if field.name not in OF_THE_TERMINAL]
_NOT_KEPT = (
    *("address", "max_concurrent", "cpus_per_trial", "gpus_per_trial"),
    *("mlflow", "tracker"),
)
"""Options of a machine and of trackers, which no run keeps. A webhook's path is a secret, so
`notify` is not among them."""


def flags_of(values: Mapping[str, Any]) -> list[str]:
    """Return the command line for some options."""
    flags: list[str] = []
    for field in FIELDS:
        value, name = values.get(field.name), field.name.replace("_", "-")
        flag = f"--{name}"
        if value is None or (value is False and field.default is False):
            continue
        if isinstance(value, bool):
            flags.append(flag if value else f"--no-{name}")
        elif isinstance(value, Sequence) and not isinstance(value, str):
            flags += [flag, *map(str, value)] if value else []
        else:
            flags += [flag, str(value)]
    return flags


def options_to_repeat(options: StudyOptions) -> str:
    """Return the options that no run keeps, as one types them behind --resume.

    Those with a secret are left out.
    """
    words = ""
    for field in FIELDS:
        value = getattr(options, field.name)
        if field.name in _NOT_KEPT and value != field.default:
            said = shlex.join(flags_of({field.name: value}))
            words += f" {said}" if redacted(said) == said else ""
    return words
