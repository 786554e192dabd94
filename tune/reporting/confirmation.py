"""The report's section on the finalists: how lucky was the winner, what is within noise."""

import pandas as pd

from model.system.durations import counted
from tune.records.trial import Status
from tune.reporting.markdown import escaped, section
from tune.reporting.noise import FALSE_ALARMS, SeedNoise, seed_noise


def confirmation(
    finalists: pd.DataFrame, trials: pd.DataFrame, unconfirmed: str | None = None
) -> str:
    """Return the section as Markdown.

    Args:
        finalists: The finalists table.
        trials: The trials table.
        unconfirmed: What study.json says of why none was trained; None in earlier runs.
    """
    table = summary(finalists, trials)
    if table.empty:
        needed = "To find out, use `--finalists` and leave room in the time budget."
        return (
            f"## Is the winner confirmed?\n\nNo: nothing was retrained, so it is unknown how "
            f"much of its lead is luck. "
            f"{f'The reason: {escaped(unconfirmed)}.' if unconfirmed else needed}"
        )
    first = table.iloc[0]
    lines = [
        f"Each was retrained with other seeds, without ASHA; values are bits per "
        f"character. The best mean, {first['mean']:.4f}, is trial {first['trial']}'s; in the "
        f"search it had {first['in the search']:.4f}. `optimism` is the mean less the search's "
        f"value. The test passage was scored once per training, by these networks alone."
    ]
    lines += _letters(finalists, table)
    lines += _comparisons(table, seed_noise(finalists))
    return section("Is the winner confirmed?", table, "\n".join(lines))


def verdict(finalists: pd.DataFrame, trials: pd.DataFrame) -> str:
    """Return the best mean in one line, or an empty text where nothing was retrained."""
    table = summary(finalists, trials)
    if table.empty:
        return ""
    first = table.iloc[0]
    test = first["test, mean"]
    on_test = "not scored yet" if pd.isna(test) else f"{test:.4f}"
    return (
        f"retrained with {counted(first['seeds'], 'seed')}, trial {first['trial']} is best: "
        f"{spread(first['mean'], first['deviation'])} bits, {on_test} on the test passage "
        f"(in the search: {first['in the search']:.4f})"
    )


def _letters(finalists: pd.DataFrame, table: pd.DataFrame) -> list[str]:
    """Say what bits per letter are, and how far their estimates may still fall."""
    trends = finalists[finalists["test_bits_per_letter_sixteenth"].notna()]
    if trends.empty:
        return []
    steps = ["sixteenth", "quarter"]
    names = [*(f"test_bits_per_letter_{step}" for step in steps), "test_bits_per_letter"]
    first = trends.groupby("number").first()
    shown = [
        f"trial {number}: " + ", ".join(f"{first.loc[number, name]:.4f}" for name in names)
        for number in table["trial"]
        if number in first.index
    ]
    return [
        f"`per letter` is what a network spends on a letter of the test passage, marginalised "
        f"over what cleanings may drop by {finalists['letter_particles'].max()} particles (one "
        f"where that is exact): all are judged on the same letters, from above. With a "
        f"sixteenth, a quarter and all of the particles: {'; '.join(shown)}."
    ]


def _comparisons(table: pd.DataFrame, noise: SeedNoise | None) -> list[str]:
    """Say how far each is behind the best, and whether that is more than noise."""
    first, rivals = table.iloc[0], table.iloc[1:]
    lines = []
    if noise is not None and not rivals.empty:
        lines.append(
            f"A lead is more than noise if the best of {len(table)} equal configurations would "
            f"have it over any other by chance in {100 * FALSE_ALARMS:g} % of searches at most "
            f"(Tukey's range test, with the deviation between seeds, {noise.basis})."
        )
    for _, rival in rivals.iterrows():
        name = f"trial {rival['trial']}" + (f" ({rival['baseline']})" if rival["baseline"] else "")
        gap = rival["mean"] - first["mean"]
        if noise is None:
            lines.append(f"- {name}: {gap:.4f} bits more; one training says nothing about noise.")
            continue
        least = noise.least_lead(first["seeds"], rival["seeds"], num_compared=len(table))
        kind = "more than noise" if gap > least else "within noise"
        lines.append(f"- {name}: {gap:.4f} bits more, noise is up to {least:.4f}: {kind}.")
    return lines


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
