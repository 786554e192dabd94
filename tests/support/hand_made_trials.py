"""Hand-made trials of the space `quick`: one for each way to end, and a running one."""

import dataclasses
from typing import Any

from search_spaces import load_space
from tune.records.search_record import SearchEnded
from tune.records.trial import EpochRecord, Status, TrialRecord, trial_id

SPACE = load_space("quick")


def epoch_record(
    number: int,
    epoch: int,
    *,
    bits: float = 1.0,
    elapsed_seconds: float = 1.0,
    search_seconds: float = 1.0,
) -> EpochRecord:
    """Return a report of a trial that was never trained."""
    return EpochRecord(
        trial_id=trial_id(number),
        number=number,
        epoch=epoch,
        train_nats_per_char=1.0,
        val_nats_per_char=1.0,
        val_own_bits_per_char=bits,
        val_bits_per_char=bits,
        elapsed_seconds=elapsed_seconds,
        search_seconds=search_seconds,
    )


def record(number: int, bits: list[float], status: Status, error: str = "") -> TrialRecord:
    epochs = [epoch_record(number, epoch, bits=value) for epoch, value in enumerate(bits, start=1)]
    return TrialRecord(number=number, config=SPACE.base, status=status, epochs=epochs, error=error)


RECORDS = [
    record(0, [3.0, 2.5], Status.COMPLETE),
    record(1, [4.0], Status.PRUNED),
    record(2, [], Status.DIVERGED, error="training diverged in epoch 1 at step 3: loss is nan"),
    record(3, [2.25], Status.RUNNING),
]


def search_ended(**changes: Any) -> SearchEnded:
    """The end of a search of ten trials, all done after a minute."""
    end = SearchEnded(
        search_seconds=60.0,
        timed_out=False,
        ended_early="",
        is_settled=False,
        trials=10,
        time_budget_seconds=None,
    )
    return dataclasses.replace(end, **changes)
