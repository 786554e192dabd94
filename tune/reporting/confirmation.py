"""The report's section on the finalists: how lucky the winner was, and what is within noise."""

import pandas as pd

from model.scoring.layout import MAX_DYNAMIC_SYMBOLS
from model.scoring.second_judge import judged_by_letters
from model.system.durations import counted
from tune.records.load import LoadedRun
from tune.records.predictor_table import PREDICTOR, predictor_row
from tune.records.tables import config_of
from tune.records.trial import Status
from tune.reporting.noise import FALSE_ALARMS, SeedNoise, seed_noise
from tune.reporting.section import Section, escaped, shown, spread

_OF_LETTERS = ("per letter, mean", "per letter, deviation")
_COLUMNS = (
    *("trial", "baseline", "seeds", "in the search", "mean", "deviation", "optimism"),
    *("test, mean", "test, deviation", *_OF_LETTERS),
)
OF_EACH_CLEANING = (
    "`per letter` compares cleanings: the best finalist of each is scored, if there are several."
)
LETTERLESS = (
    "`per letter` needs a network that reads characters one by one, with its state carried over; "
    "networks of words, bytes or windows have none."
)
NOT_SCORED = "not scored"
UNSCORED = f"`{NOT_SCORED}`: the time budget left no time for it, or scoring did not finish."


def confirmation(run: LoadedRun) -> Section:
    """Return the section."""
    title = "Is the winner confirmed?"
    table = summary(run)
    if table.empty:
        reason = run.study.unconfirmed  # earlier runs do not have it
        needed = "To find out, use `--finalists` and leave time for them in the time budget."
        text = (
            f"No: nothing was retrained, so it is unknown how much of the winner's lead is luck. "
            f"{f'Reason: {escaped(reason)}.' if reason else needed}"
        )
        return Section(title=title, body=(text,))
    first, reasons = table.iloc[0], _without_letters(run, table)
    # Where all finalists have one cleaning, none is scored.
    has_letters = table["per letter, mean"].notna().any() or (reasons == NOT_SCORED).any()
    told = set(reasons) if has_letters else set()
    lines = [
        f"Each finalist was retrained with other seeds, without ASHA; values are bits per "
        f"character. Trial {first['trial']}{_name(first)} has the best mean, "
        f"{first['mean']:.4f}; in the search it scored {first['in the search']:.4f}. `optimism` "
        f"is the mean minus the score in the search. Each retrained network was scored once on "
        f"the test passage; no trial was selected by it.",
        *_letters(run.finalists, table),
        *([OF_EACH_CLEANING] if "" in told else []),
        *([LETTERLESS] if told - {"", NOT_SCORED} else []),
        *([UNSCORED] if NOT_SCORED in told else []),
        *_comparisons(table, seed_noise(run.finalists)),
    ]
    table = table.astype({"per letter, mean": object})
    table.loc[reasons.index, "per letter, mean"] = reasons
    if not has_letters:
        table = table.drop(columns=list(_OF_LETTERS))
    table, learning = _with_learning(run.finalists, table)
    lines += learning
    whole = predictor_row(run.predictor)
    if whole is not None:
        values = whole["val_bits_per_char"], whole["test_bits_per_char"]
        row = {"trial": PREDICTOR, "mean": values[0], "test, mean": values[1]}
        table = pd.DataFrame([*table.to_dict("records"), row], columns=table.columns, dtype=object)
        lines.append("The predictor's `mean` is on the passage to which it was fitted.")
    return Section(title=title, body=(table, "\n".join(lines)))


def verdict(run: LoadedRun) -> str:
    """Return the best mean in one line; empty if nothing was retrained."""
    table = summary(run)
    if table.empty:
        return ""
    first = table.iloc[0]
    return (
        f"retrained with {counted(first['seeds'], 'seed')}, trial {first['trial']} is best: "
        f"{spread(first['mean'], first['deviation'])} bits, "
        f"{shown(first['test, mean']) or 'not scored yet'} on the test passage "
        f"(in the search: {first['in the search']:.4f})"
    )


def _with_learning(finalists: pd.DataFrame, table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return the table with scores by dynamic evaluation, and a sentence on them."""
    scored = finalists[finalists["test_bits_per_char_dynamic"].notna()]
    if scored.empty:
        return table, []
    values = scored.groupby("number")["test_bits_per_char_dynamic"].first().astype(object)
    table = table.assign(**{"test, dynamic": table["trial"].map(values)})
    each = " ".join(
        f"Trial {row['number']}'s network took {shown(row['dynamic_seconds'], '.0f')} s; without "
        f"dynamic evaluation, it scores {shown(row['test_bits_per_char'])}."
        for row in scored.to_dict("records")
    )
    return table, [
        f"`test, dynamic` is the test score with dynamic evaluation (Krause 2018): the first "
        f"network of the best finalist keeps learning from the text that it has read. For a "
        f"longer passage, the gain is measured on the first {MAX_DYNAMIC_SYMBOLS:,} symbols. "
        f"{each}"
    ]


def _letters(finalists: pd.DataFrame, table: pd.DataFrame) -> list[str]:
    """Return a sentence on bits per letter, and on how far the estimates might still fall."""
    trends = finalists[finalists["test_bits_per_letter_sixteenth"].notna()]
    if trends.empty:
        return []
    steps = ["sixteenth", "quarter"]
    names = [*(f"test_bits_per_letter_{step}" for step in steps), "test_bits_per_letter"]
    first = trends.groupby("number").first()
    estimates = [
        f"trial {number}: " + ", ".join(f"{first.loc[number, name]:.4f}" for name in names)
        for number in table["trial"]
        if number in first.index
    ]
    return [
        f"`per letter` is bits per letter of the test passage, marginalised over what cleanings "
        f"may drop, so all networks are judged on the same letters. It is estimated with "
        f"{finalists['letter_particles'].max()} particles, which errs upwards (with one where "
        f"that is exact). With a sixteenth, a quarter and all of the particles, the first "
        f"networks score: "
        f"{'; '.join(estimates)}."
    ]


def _without_letters(run: LoadedRun, table: pd.DataFrame) -> pd.Series:
    """Return why finalists have no bits per letter, by row."""
    trials = run.trials.set_index("number").loc[table["trial"]]
    configs = [config_of(trial) for _, trial in trials.iterrows()]
    judged = judged_by_letters(configs)
    limited = run.space.budget.time_budget_seconds is not None
    reasons = {}
    for row in table.index[table["per letter, mean"].isna()]:
        config = configs[row]
        if config.regime == "window":
            reasons[row] = "not for windows"
        elif config.unit != "char":
            reasons[row] = f"not for {config.unit}s"
        elif row not in judged:
            reasons[row] = ""
        elif limited:
            reasons[row] = NOT_SCORED
    return pd.Series(reasons, dtype=object)


def _comparisons(table: pd.DataFrame, noise: SeedNoise | None) -> list[str]:
    """Return each finalist's distance from the best, and whether it is more than noise."""
    first, rivals = table.iloc[0], table.iloc[1:]
    lines = []
    if noise is not None and not rivals.empty:
        lines.append(noise_test(noise, num_compared=len(table)))
    for _, rival in rivals.iterrows():
        told = distance(first, rival, noise, num_compared=len(table))
        lines.append(f"- trial {rival['trial']}{_name(rival)}: {told}")
    return lines


def noise_test(noise: SeedNoise, *, num_compared: int) -> str:
    """Return in words which leads are called more than noise."""
    return (
        f"A lead is called more than noise if the best of {num_compared} equally good "
        f"configurations would lead some other by as much by chance in about "
        f"{100 * FALSE_ALARMS:g} % of searches. This is Tukey's range test with the standard "
        f"deviation between seeds ({noise.basis}), or with that of the two configurations if "
        f"it is larger. It covers noise between seeds on the validation passage only; if "
        f"the test passage reverses the order, neither order is certain."
    )


def distance(
    first: pd.Series, rival: pd.Series, noise: SeedNoise | None, *, num_compared: int
) -> str:
    """Return in words by how much a row of `summary` leads another, and if that is noise."""
    gap, on_test = rival["mean"] - first["mean"], _on_test(first, rival)
    more = f"{gap:.4f} bits more"
    if noise is None:
        return f"{more}; one training of each says nothing about noise.{on_test}"
    least = least_lead(first, rival, noise, num_compared=num_compared)
    kind = "more than noise" if gap > least else "within noise"
    return f"{more} (up to {least:.4f} would be noise): {kind}.{on_test}"


def _name(finalist: pd.Series) -> str:
    return f" ({escaped(finalist['baseline'])})" if finalist["baseline"] else ""


def least_lead(
    first: pd.Series, rival: pd.Series, noise: SeedNoise, *, num_compared: int
) -> float:
    """Return by how many bits a row of `summary` must lead another to be more than noise."""
    known = [0.0 if pd.isna(row["deviation"]) else row["deviation"] for row in (first, rival)]
    return noise.least_lead(
        first["seeds"],
        rival["seeds"],
        num_compared=num_compared,
        deviations=(known[0], known[1]),
    )


def _on_test(first: pd.Series, rival: pd.Series) -> str:
    """Return the gap between two on the test passage; empty if one was not scored there."""
    gap = rival["test, mean"] - first["test, mean"]
    if pd.isna(gap):
        return ""
    kind = "more" if gap >= 0 else "fewer: the order is reversed"
    return f" On the test passage, {abs(gap):.4f} {kind}."


def summary(run: LoadedRun) -> pd.DataFrame:
    """Return one row per finalist, best mean first."""
    ended = run.finalists[run.finalists["status"] == Status.COMPLETE.value]
    searched = run.trials.set_index("number")["val_bits_per_char"]
    rows = []
    for number, group in ended.groupby("number"):
        row = {
            "trial": number,
            "baseline": group["baseline"].fillna("").iloc[0],
            "seeds": len(group),
            "in the search": searched[number],
        }
        for prefix, score in (
            ("", "val_bits_per_char"),
            ("test, ", "test_bits_per_char"),
            ("per letter, ", "test_bits_per_letter"),
        ):
            row |= {f"{prefix}mean": group[score].mean(), f"{prefix}deviation": group[score].std()}
        rows.append(row | {"optimism": row["mean"] - searched[number]})
    table = pd.DataFrame(rows, columns=list(_COLUMNS))
    return table.sort_values(["mean", "trial"], ignore_index=True)
