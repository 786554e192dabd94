"""What report.html says of a run in sentences: the winner, what it cost, how sure it is."""

from pathlib import PurePath

import pandas as pd

from model.system.durations import counted, format_seconds
from model.text.cleaning import CLEANINGS, RAW
from tune.records.load import LoadedRun
from tune.records.predictor_table import WITHOUT_CACHE, predictor_row
from tune.records.tables import ranked
from tune.records.trial import Status
from tune.reporting.against import as_far_as, best_baseline, compared_fields, winner_then
from tune.reporting.confirmation import least_lead, summary
from tune.reporting.noise import seed_noise
from tune.reporting.section import shown, spread
from tune.reporting.trade_off import worked_seconds

_CELLS = {"lstm": "an LSTM", "gru": "a GRU", "mogrifier": "a Mogrifier LSTM"}
_UNITS = {"char": "character by character", "word": "word by word", "byte": "byte by byte"}


def title(run: LoadedRun) -> str:
    """Return what was searched, and on which text."""
    return f"{run.space.name} on {PurePath(run.study.corpus.name).name}"


def headline(run: LoadedRun) -> str:
    """Return the winner in a sentence that a person would say."""
    best = ranked(run.trials)
    if best.empty:
        if run.is_running:
            return "The search has begun; no trial has trained an epoch yet."
        return "The search found nothing: no trial trained an epoch."
    if run.study.found_nothing:
        return f"The search found nothing: {run.study.found_nothing}."
    winner = best.iloc[0]
    first = "So far the best" if run.is_running else "The best"
    layers = int(winner["num_layers"])
    cell = _CELLS.get(winner["cell"], f"a network of {winner['cell']}")
    size = f"{winner['hidden_size']} units" + (" a layer" if layers > 1 else "")
    floor = run.study.floor_bits_per_char
    behind = (
        f"No network is better than a {run.study.objective.floor_name}, which trains in a second "
        f"and spends {floor:.3f} bits on a character. "
    )
    return (
        f"{behind * bool(winner['val_bits_per_char'] >= floor)}"
        f"{first} network, {cell} with {counted(layers, 'layer')} of {size}, spends "
        f"{winner['val_bits_per_char']:.3f} bits on a character of the validation passage, which "
        f"chose it; {_against(run, winner)}."
    )


def described(run: LoadedRun) -> str:
    """Return how the winner reads and was trained; empty without one."""
    best = ranked(run.trials)
    if best.empty:
        return ""
    winner = best.iloc[0]
    is_start = winner["number"] in run.starts["number"].tolist()
    began = " The search started from it." * is_start
    text = CLEANINGS[winner["cleaning"]].description
    return (
        f"It reads {text}, {_UNITS[winner['unit']]}, and was at its best "
        f"after epoch {winner['best_epoch']:g} of {winner['epochs']:g}. Its settings: "
        + ", ".join(f"{each} {shown(winner[each], '.4g')}" for each in compared_fields(run))
        + f".{began}"
    )


def facts(run: LoadedRun) -> list[tuple[str, str, str]]:
    """Return label, value and explanation of each fact below the headline, so far."""
    return [*_score_facts(run), _cost(run), _sureness(run)] if run.has_result else [_cost(run)]


def _against(run: LoadedRun, winner: pd.Series) -> str:
    rival = best_baseline(run)
    if rival is None:
        return "no baseline was measured beside it"
    if rival["number"] == winner["number"]:
        return (
            f"it is {winner['baseline']}, a baseline: no configuration from the search is better"
        )
    name, score = f"the best baseline, {rival['baseline']}", rival["val_bits_per_char"]
    if cut := as_far_as(rival):
        return f"{name}, trained {cut}, spends {score:.3f} (the winner {winner_then(run, rival)})"
    return f"{name}, spends {score:.3f}"


def _score_facts(run: LoadedRun) -> list[tuple[str, str, str]]:
    best = ranked(run.trials)
    winner = best.iloc[0]
    score, floor = float(winner["val_bits_per_char"]), run.study.floor_bits_per_char
    again = summary(run)
    found = [
        (
            "Score",
            f"{score:.4f}",
            f"bits per character, trial {winner['number']}, the lowest of {len(best)} on the "
            f"validation passage",
        )
    ]
    if not again.empty:
        first = again.iloc[0]
        on_test = shown(first["test, mean"])
        found.append(
            (
                "Retrained",
                spread(first["mean"], first["deviation"]),
                f"trial {first['trial']}, {counted(first['seeds'], 'seed')}"
                f"{f'; {on_test} on the test passage' if on_test else ''}",
            )
        )
    whole = predictor_row(run.predictor)
    if whole is not None:
        plain = whole[WITHOUT_CACHE]
        without = "" if plain is None else f"; {shown(plain)} without its cache of what it reads"
        mixed = f"bits on the test passage, by the best networks and the n-gram mixed{without}"
        found.append(("Predictor", shown(whole["test_bits_per_char"]), mixed))
    where = "validation"
    if not again.empty and pd.notna(again.iloc[0]["test, mean"]):
        # No trial was chosen by it.
        where, score = "test", again.iloc[0]["test, mean"]
        floor = run.study.objective.floors[RAW].test_bits_per_char
    compared = "better than" if score < floor else "worse than"
    found.append(
        (
            "Against the floor",
            f"{abs(floor - score):.4f}",
            f"bits {compared} a {run.study.objective.floor_name} ({floor:.4f}) on the {where} "
            f"passage, which trains in a second",
        )
    )
    return found


def _cost(run: LoadedRun) -> tuple[str, str, str]:
    trials = run.trials
    num_epochs = float(trials["epochs_run"].sum())
    worked = sum(worked_seconds(run))
    pruned = int((trials["status"] == Status.PRUNED.value).sum())
    stopped = f", {pruned} of them stopped by ASHA" if pruned else ""
    return (
        "Cost so far" if run.is_running else "Cost",
        format_seconds(run.search_seconds),
        f"{counted(len(trials), 'trial')}{stopped}; {counted(num_epochs, 'epoch')}; "
        f"{format_seconds(worked)} of training in all; "
        f"{run.study.machine}",
    )


def _sureness(run: LoadedRun) -> tuple[str, str, str]:
    label = "How sure"
    again = summary(run)
    if again.empty:
        when = "yet " if run.is_running else ""
        reason = run.study.unconfirmed  # earlier runs do not say
        return (
            label,
            "not confirmed",
            f"nothing was {when}retrained with other seeds, so the lead may be luck in part"
            f"{f'; the reason: {reason}' if reason else ''}",
        )
    first, noise = again.iloc[0], seed_noise(run.finalists)
    winner = ranked(run.trials).iloc[0]
    if first["trial"] == winner["number"]:
        same = "the search's winner is also the best when retrained"
    elif winner["number"] in again["trial"].tolist():
        same = (
            f"retrained, trial {first['trial']} has a lower mean than the search's winner, "
            f"trial {winner['number']}"
        )
    else:
        same = (
            f"the search's winner, trial {winner['number']}, was not retrained; of those that "
            f"were, trial {first['trial']} has the lowest mean"
        )
    is_baseline = again["baseline"] != ""
    rivals = again[~is_baseline if first["baseline"] else is_baseline]
    if noise is None:
        return label, "one seed", f"{same}; one training each says nothing about noise"
    if rivals.empty:
        return (
            label,
            f"no {'trial of the search' if first['baseline'] else 'baseline'} beside it",
            f"{same}; the seeds scatter by {noise.deviation:.4f}",
        )
    rival = rivals.iloc[0]
    gap = float(rival["mean"] - first["mean"])
    least = least_lead(first, rival, noise, num_compared=len(again))
    lead = f"{first['baseline']} leads" if first["baseline"] else "lead"
    name = rival["baseline"] or f"trial {rival['trial']}"
    on_test = rival["test, mean"] - first["test, mean"]
    there = "" if pd.isna(on_test) else f" ({shown(on_test)} on the test passage)"
    return (
        label,
        f"{lead} {'beyond' if gap > least else 'within'} noise",
        f"the lead over {name} is {gap:.4f} bits{there}, noise between seeds is up to "
        f"{least:.4f}; {same}",
    )
