"""A run's records by one name: what a trial is, its tables, and a whole run read back.

`from tune.records import load_run` is how a notebook begins.
"""

from model.system.files import write_text
from tune.loaded_run import LoadedRun, load_run
from tune.tables import (
    EPOCH_DTYPES,
    TRIAL_DTYPES,
    Table,
    config_of,
    epochs_frame,
    ranked,
    read_table,
    trials_frame,
    write_table,
)
from tune.trial_record import EpochRecord, Status, TrialRecord, num_ended, trial_id

__all__ = [
    "EPOCH_DTYPES",
    "TRIAL_DTYPES",
    "EpochRecord",
    "LoadedRun",
    "Status",
    "Table",
    "TrialRecord",
    "config_of",
    "epochs_frame",
    "load_run",
    "num_ended",
    "ranked",
    "read_table",
    "trial_id",
    "trials_frame",
    "write_table",
    "write_text",
]
