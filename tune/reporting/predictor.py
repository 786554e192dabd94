"""The report's section on the predictor: the best networks, the n-gram and the cache, mixed."""

import pandas as pd

from model.system.durations import counted
from tune.records.load import LoadedRun
from tune.records.predictor_table import (
    CACHE,
    NETWORK,
    NGRAM,
    PREDICTOR,
    WITHOUT_CACHE,
    predictor_row,
)
from tune.reporting.section import Section, shown

_TITLES = {
    "name": "",
    "weight": "weight",
    "val_bits_per_char": "validation",
    "test_bits_per_char": "test",
    "gain_bits_per_char": "gain",
    "milliseconds_per_symbol": "ms per symbol",
}
_FORMATS = {"weight": ".2f", "milliseconds_per_symbol": ".2f"}
_NOTE = (
    "At each symbol, it predicts the weighted sum of its members' probabilities. Members and "
    "weights were fitted on the validation passage, so the score there is optimistic; the test "
    "passage was scored once. A member's `gain` is how much worse the predictor scores on the "
    "validation passage without it; networks that gain less than noise are left out. "
    "`python -m model.generate` and `model.score` read `predictor/` like a checkpoint."
)
_CACHE_NOTE = (
    " The cache is an n-gram. Members have no cache, so compare them with the row of the cache: "
    "it shows the predictor without it. Members' gains are also without the cache, and generated "
    "text does not use it."
)


def predictor_section(run: LoadedRun) -> Section | None:
    """Return the section; None for a run without a predictor."""
    whole = predictor_row(run.predictor)
    if whole is None:
        return None
    table = pd.DataFrame(
        [
            {
                title: shown(row[column], _FORMATS.get(column, ".4f"))
                for column, title in _TITLES.items()
            }
            for row in run.predictor.to_dict("records")
        ]
    )
    note = _NOTE if whole[WITHOUT_CACHE] is None else _NOTE + _CACHE_NOTE
    return Section(title="The predictor", body=(table, f"{predictor_line(run)} {note}"))


def predictor_line(run: LoadedRun) -> str:
    """Return the scores of the predictor and its best member; empty without a predictor."""
    whole = predictor_row(run.predictor)
    members = run.predictor[~run.predictor["kind"].isin((PREDICTOR, CACHE))]
    if whole is None or members.empty:
        return ""
    networks, has_ngram = (int((members["kind"] == kind).sum()) for kind in (NETWORK, NGRAM))
    cached, without = "", ""
    if whole[WITHOUT_CACHE] is not None:
        cached = ", with a cache of the text read so far"
        without = f"; without the cache, {shown(whole[WITHOUT_CACHE])}"
    return (
        f"The predictor ({counted(networks, 'network')}{' and the n-gram' if has_ngram else ''}"
        f"{cached}) scores {shown(whole['test_bits_per_char'])} bits per character on the test "
        f"passage{without}; its best member, {shown(members['test_bits_per_char'].min())}. On the "
        f"validation passage, to which it was fitted, it scores "
        f"{shown(whole['val_bits_per_char'])}."
    )
