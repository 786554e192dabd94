"""Every error this project raises on purpose.

ValueError
 └─ ConfigError          a setting breaks a rule; the message says rule, value and choices
     └─ CorpusError      a text that cannot be read, or is unfit for training
         └─ UnfitCleaning    a cleaning keeps too little of a text
RuntimeError
 ├─ CheckpointError      a checkpoint folder is missing, incomplete or damaged
 ├─ ExternalFault               a search was ended from outside, and can go on when that is mended
 └─ TrainingDiverged     the loss became NaN or infinite

The command lines print each as one line and exit with 2, after ExternalFault with 75.
TrainingDiverged is 1 in model.train, and in a search the status of a trial.
"""

import difflib
from collections.abc import Iterable

EXTERNAL_FAULT = 75
"""The exit code: EX_TEMPFAIL of sysexits.h, "the user is invited to retry"."""


class ConfigError(ValueError):
    """A setting breaks a rule. The message states the rule, the value and the choices."""


class CorpusError(ConfigError):
    """A text cannot be read or is unfit for training."""


class UnfitCleaning(CorpusError):
    """A cleaning keeps too little of a text.

    Attributes:
        cleaning: Its name.
    """

    def __init__(self, cleaning: str, reason: str) -> None:
        super().__init__(reason)
        self.cleaning = cleaning


class CheckpointError(RuntimeError):
    """A checkpoint folder is missing, incomplete or damaged."""


class ExternalFault(RuntimeError):
    """A full disk or the like ended a search; what it has can be resumed."""


class TrainingDiverged(RuntimeError):
    """The training loss became NaN or infinite.

    Attributes:
        epoch: The epoch in which it happened; the first is 1.
        step: The optimiser step within that epoch; the first is 1.
        loss: The loss of that step, in nats per symbol.
    """

    def __init__(self, *, epoch: int, step: int, loss: float) -> None:
        super().__init__(f"training diverged in epoch {epoch} at step {step}: loss is {loss}")
        self.epoch = epoch
        self.step = step
        self.loss = loss


def exit_code_of(error: BaseException) -> int:
    """Return what a search exits with that an error has ended."""
    if isinstance(error, ExternalFault):
        return EXTERNAL_FAULT
    return 2 if isinstance(error, ConfigError | CheckpointError) else 1


def first_line(error: BaseException) -> str:
    r"""Return what an error says in one line: its first, or its kind where it says nothing.

    >>> first_line(OSError("no route to host\nat all")), first_line(TimeoutError())
    ('no route to host', 'TimeoutError')
    """
    return str(error).partition("\n")[0] or type(error).__name__


def unknown_choice(kind: str, value: str, choices: Iterable[str]) -> str:
    """Return the message for a name that is not among the choices.

    >>> unknown_choice("search space", "ful", ["full", "quick"])
    "unknown search space 'ful'; did you mean full? choose from full, quick"
    """
    names = list(choices)
    near = difflib.get_close_matches(value, names, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"unknown {kind} {value!r}; {hint}choose from {', '.join(names)}"
