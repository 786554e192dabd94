"""finalists.csv: the best configurations and the baselines, trained anew with other seeds."""

import pandas as pd

from tune.records.trial import Status


def spread(mean: float, deviation: float) -> str | None:
    """Return a mean and its deviation in words; None without a mean.

    >>> spread(1.9608, 0.0084), spread(1.9608, float("nan"))
    ('1.9608 ± 0.0084', '1.9608')
    """
    if pd.isna(mean):
        return None
    return f"{mean:.4f}" + ("" if pd.isna(deviation) else f" ± {deviation:.4f}")


def summary(finalists: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    """Return one row a finalist, best mean first.

    Args:
        finalists: finalists.csv.
        trials: trials.csv, for the values that the search saw.
    """
    ended = finalists[finalists["status"] == Status.COMPLETE.value]
    searched = trials.set_index("number")["val_bits_per_char"]
    rows = []
    for number, group in ended.groupby("number"):
        scores = group["val_bits_per_char"]
        rows.append(
            {
                "trial": number,
                "baseline": group["baseline"].fillna("").iloc[0],
                "seeds": len(group),
                "in the search": searched[number],
                "mean": scores.mean(),
                "deviation": scores.std(),
                "optimism": scores.mean() - searched[number],
                "test, mean": group["test_bits_per_char"].mean(),
                "test, deviation": group["test_bits_per_char"].std(),
                "per letter, mean": group["test_bits_per_letter"].mean(),
                "per letter, deviation": group["test_bits_per_letter"].std(),
            }
        )
    columns = ["trial", "baseline", "seeds", "in the search", "mean", "deviation", "optimism"]
    columns += ["test, mean", "test, deviation", "per letter, mean", "per letter, deviation"]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values(["mean", "trial"], ignore_index=True)
