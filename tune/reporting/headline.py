"""The sentences at the top of report.html: the winner, its cost, how certain the result is."""

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
    """Return the winner and the best baseline in one or two sentences."""
    best = ranked(run.trials)
    if best.empty:
        if run.is_running:
            return "The search has started; no trial has trained an epoch yet."
        return "The search found nothing: no trial trained an epoch."
    if run.study.found_nothing:
        return f"The search found nothing: {run.study.found_nothing}."
    winner = best.iloc[0]
    first = "The best network so far" if run.is_running else "The best network"
    layers = int(winner["num_layers"])
    cell = _CELLS.get(winner["cell"], f"a network of {winner['cell']}")
    size = f"{winner['hidden_size']} units" + (" each" if layers > 1 else "")
    floor = run.study.floor_bits_per_char
    behind = ""
    if winner["val_bits_per_char"] >= floor:
        behind = (
            f"No network beats a {run.study.objective.floor_name}, which trains in a second and "
            f"scores {floor:.3f} bits per character. "
        )
    return (
        f"{behind}{first}, {cell} with {counted(layers, 'layer')} of {size}, scores "
        f"{winner['val_bits_per_char']:.3f} bits per character on the validation passage, on "
        f"which it was selected. {_against(run, winner)}."
    )


def described(run: LoadedRun) -> str:
    """Return what the winner reads and how it was trained; empty without a winner."""
    best = ranked(run.trials)
    if best.empty:
        return ""
    winner = best.iloc[0]
    is_start = winner["number"] in run.starts["number"].tolist()
    began = " It is one of the search's starts." if is_start else ""
    text = CLEANINGS[winner["cleaning"]].description
    return (
        f"It reads {text}, {_UNITS[winner['unit']]}. Its best score came after "
        f"epoch {winner['best_epoch']:g} of {winner['epochs']:g}. Settings: "
        + ", ".join(f"{each} {shown(winner[each], '.4g')}" for each in compared_fields(run))
        + f".{began}"
    )


def facts(run: LoadedRun) -> list[tuple[str, str, str]]:
    """Return label, value and explanation of each fact below the headline, so far."""
    if not run.has_result:
        return [_cost(run)]
    return [*_score_facts(run), _cost(run), ("Confidence", *_sureness(run))]


def _against(run: LoadedRun, winner: pd.Series) -> str:
    rival = best_baseline(run)
    if rival is None:
        return "No baseline was measured"
    if rival["number"] == winner["number"]:
        return f"It is a baseline, {winner['baseline']}; no other trial is better"
    name, score = f"The best baseline, {rival['baseline']}", rival["val_bits_per_char"]
    if cut := as_far_as(rival):
        then = f"the winner scored {winner_then(run, rival)}"
        return f"{name}, trained for {cut}, scores {score:.3f} ({then})"
    return f"{name}, scores {score:.3f}"


def _score_facts(run: LoadedRun) -> list[tuple[str, str, str]]:
    best = ranked(run.trials)
    winner = best.iloc[0]
    score, floor = float(winner["val_bits_per_char"]), run.study.floor_bits_per_char
    again = summary(run)
    found = [
        (
            "Score",
            f"{score:.4f}",
            f"bits per character on the validation passage: trial {winner['number']}, the lowest "
            f"of {len(best)}",
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
        without = (
            "" if plain is None else f"; {shown(plain)} without its cache of the text read so far"
        )
        mixed = f"bits per character on the test passage: networks and n-gram mixed{without}"
        found.append(("Predictor", shown(whole["test_bits_per_char"]), mixed))
    where = "validation"
    if not again.empty and pd.notna(again.iloc[0]["test, mean"]):
        # No trial was chosen by it.
        where, score = "test", again.iloc[0]["test, mean"]
        floor = run.study.objective.floors[RAW].test_bits_per_char
    compared = "better" if score < floor else "worse"
    found.append(
        (
            "Against the floor",
            f"{abs(floor - score):.4f}",
            f"bits {compared} than a {run.study.objective.floor_name} that trains in a second "
            f"({floor:.4f} on the {where} passage)",
        )
    )
    return found


def _cost(run: LoadedRun) -> tuple[str, str, str]:
    trials = run.trials
    num_epochs = float(trials["epochs_run"].sum())
    worked = sum(worked_seconds(run))
    pruned = int((trials["status"] == Status.PRUNED.value).sum())
    stopped = f" ({pruned} stopped by ASHA)" if pruned else ""
    return (
        "Cost so far" if run.is_running else "Cost",
        format_seconds(run.search_seconds),
        f"{counted(len(trials), 'trial')}{stopped}, {counted(num_epochs, 'epoch')}, "
        f"{format_seconds(worked)} of training in total; {run.study.machine}",
    )


def _sureness(run: LoadedRun) -> tuple[str, str]:
    again = summary(run)
    if again.empty:
        when = "has been retrained yet" if run.is_running else "was retrained"
        reason = run.study.unconfirmed  # earlier runs do not say
        return (
            "not confirmed",
            f"no configuration {when}, so part of the lead may be luck"
            f"{f'; reason: {reason}' if reason else ''}",
        )
    first, noise, same = again.iloc[0], seed_noise(run.finalists), _first_again(run, again)
    if noise is None:
        return "one seed", f"{same}; one training of each says nothing about noise"
    is_baseline = again["baseline"] != ""
    if not run.space.distributions:  # baselines are compared with each other
        rivals = again.iloc[1:]
    else:
        rivals = again[~is_baseline if first["baseline"] else is_baseline]
    if rivals.empty:
        return (
            f"no {'trial of the search' if first['baseline'] else 'baseline'} to compare",
            f"{same}; the standard deviation between seeds is {noise.deviation:.4f}",
        )
    rival = rivals.iloc[0]
    gap = float(rival["mean"] - first["mean"])
    least = least_lead(first, rival, noise, num_compared=len(again))
    lead = f"{first['baseline']}'s lead" if first["baseline"] else "lead"
    name = rival["baseline"] or f"trial {rival['trial']}"
    on_test = rival["test, mean"] - first["test, mean"]
    there = "" if pd.isna(on_test) else f", and {shown(on_test)} on the test passage"
    return (
        f"{lead} {'exceeds' if gap > least else 'is within'} noise",
        f"the lead over {name} is {gap:.4f} bits (up to {least:.4f} would be noise between "
        f"seeds){there}; {same}",
    )


def _first_again(run: LoadedRun, again: pd.DataFrame) -> str:
    """Return whether the best after retraining is the search's winner."""
    first, winner = again.iloc[0], ranked(run.trials).iloc[0]
    if first["trial"] == winner["number"]:
        return "the search's winner also has the lowest mean after retraining"
    if winner["number"] in again["trial"].tolist():
        return (
            f"after retraining, trial {first['trial']} has a lower mean than the search's "
            f"winner, trial {winner['number']}"
        )
    return (
        f"the search's winner, trial {winner['number']}, was not retrained; of the "
        f"retrained trials, trial {first['trial']} has the lowest mean"
    )
