"""Hand-made trials of the space `quick`: one of each way to end, and one that runs."""

from search_spaces import load_space
from tune.records.trial import EpochRecord, Status, TrialRecord

SPACE = load_space("quick")


def record(number: int, bits: list[float], status: Status, error: str = "") -> TrialRecord:
    epochs = [
        EpochRecord(
            trial_id=f"trial_{number:05d}",
            number=number,
            epoch=epoch,
            train_nats_per_char=1.0,
            val_nats_per_char=1.0,
            val_own_bits_per_char=value,
            val_bits_per_char=value,
            elapsed_seconds=1.0,
            search_seconds=1.0,
        )
        for epoch, value in enumerate(bits, start=1)
    ]
    return TrialRecord(number=number, config=SPACE.base, status=status, epochs=epochs, error=error)


RECORDS = [
    record(0, [3.0, 2.5], Status.COMPLETE),
    record(1, [4.0], Status.PRUNED),
    record(2, [], Status.DIVERGED, error="training diverged in epoch 1 at step 3: loss is nan"),
    record(3, [2.25], Status.RUNNING),
]
