"""The report's section on the predictor: the best networks, the n-gram and the cache together."""

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
    "gain_bits_per_char": "brings",
    "milliseconds_per_symbol": "ms a symbol",
}
_FORMATS = {"weight": ".2f", "milliseconds_per_symbol": ".2f"}
_NOTE = (
    "A mixture: at each symbol the weighted sum of the members' probabilities. Members and "
    "weights were fitted on the validation passage, so its value there is too low; the test "
    "passage, scored once, judges. A member `brings` what the validation passage costs more "
    "without it; networks that bring less than noise are left out. `python -m model.generate` and "
    "`model.score` read `predictor/` like a checkpoint."
)
_CACHE_NOTE = (
    " The cache counts what a passage has said so far and expects it again; no member has it, and "
    "its row has the predictor's values without it, which compare with theirs. What members bring "
    "is without it, and so is text."
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
    note = _NOTE + _CACHE_NOTE * (whole[WITHOUT_CACHE] is not None)
    return Section(title="The predictor", body=(table, f"{predictor_line(run)} {note}"))


def predictor_line(run: LoadedRun) -> str:
    """Return what the predictor scores beside its best member; empty without one."""
    whole = predictor_row(run.predictor)
    members = run.predictor[~run.predictor["kind"].isin((PREDICTOR, CACHE))]
    if whole is None or members.empty:
        return ""
    networks, has_ngram = (int((members["kind"] == kind).sum()) for kind in (NETWORK, NGRAM))
    cached, without = "", ""
    if whole[WITHOUT_CACHE] is not None:
        cached = " with a cache of what it reads"
        without = f" without the cache {shown(whole[WITHOUT_CACHE])},"
    return (
        f"The predictor, {counted(networks, 'network')}{' and the n-gram' * bool(has_ngram)}"
        f"{cached}, has {shown(whole['test_bits_per_char'])} bits on the test passage "
        f"({shown(whole['val_bits_per_char'])} on the validation passage, fitted there),{without} "
        f"its best member there {shown(members['test_bits_per_char'].min())}."
    )
