"""orders.csv: what was ordered of a search while it ran, and what a report says of it."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from model.errors import ConfigError
from model.system.durations import counted, format_seconds
from tune.records.orders import Action, OrderRecord
from tune.records.tables import Table, TableKind

ORDER_TABLE = TableKind(
    dtypes={
        "order": "string",
        "trial": "Int64",
        "workers": "Int64",
        "time_budget_seconds": "Float64",
        "config": "string",
        "ordered_seconds": "Float64",
        "carried_out_seconds": "Float64",
        "epochs_run": "Float64",
        "refused": "string",
    }
)
"""orders.csv: one row an order, as they came."""


_NEEDED = {
    **dict.fromkeys((Action.STOP, Action.FINISH, Action.ADD), "trial"),
    Action.WORKERS: "workers",
    Action.BUDGET: "time_budget_seconds",
}
"""What an order that was carried out has."""


def write_orders(orders: Iterable[OrderRecord], path: Path) -> None:
    """Write orders.csv; a search that nobody steers has none."""
    rows = [each.row() for each in orders]
    if rows:
        ORDER_TABLE.write(rows, path)


def by_hand(table: Table) -> list[str]:
    """Return what was done by hand, a few words an order; what waits or was refused is not.

    Raises:
        ConfigError: An order lacks what it ordered.
    """
    done = table[table["carried_out_seconds"].notna() & table["refused"].isna()]
    return [_words(row) for _, row in done.iterrows()]


def _words(row: pd.Series) -> str:
    action = Action(row["order"])
    if (needed := _NEEDED.get(action)) and pd.isna(row[needed]):
        raise ConfigError(f"a run's table must be readable: orders.csv: {action} without {needed}")
    when = f"from {format_seconds(row['carried_out_seconds'])}"
    match action:
        case Action.STOP:
            epochs = 0 if pd.isna(row["epochs_run"]) else row["epochs_run"]
            return f"trial {row['trial']} stopped after {counted(epochs, 'epoch')}"
        case Action.FINISH:
            return f"trial {row['trial']} exempt from ASHA {when}"
        case Action.ADD:
            return f"trial {row['trial']} added"
        case Action.WORKERS:
            return f"{counted(row['workers'], 'worker')} {when}"
        case Action.BUDGET:
            return f"a time budget of {format_seconds(row['time_budget_seconds'])} {when}"
        case Action.END:
            return f"ended at {format_seconds(row['carried_out_seconds'])}"
