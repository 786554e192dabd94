"""The report's section on published results on the same test passage, and on our cost.

Parameters are given if a source could be checked.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence

import pandas as pd

from model.scoring.layout import MAX_DYNAMIC_SYMBOLS
from model.scoring.objective import MAX_SCORED_CHARS
from model.system.durations import counted
from model.text.cleaning import RAW
from model.text.published import PUBLISHED
from tune.records.load import LoadedRun
from tune.records.predictor_table import WITHOUT_CACHE, predictor_row
from tune.reporting.confirmation import summary
from tune.reporting.section import Section, listed, shown
from tune.reporting.trade_off import worked_seconds

_WHOLE, _DYNAMIC = "test part", "test part, dynamic evaluation"
_CACHED = "test part, with a cache of the text read so far"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PublishedResult:
    """One published figure.

    Attributes:
        name: Of the model.
        bits: Bits per character, or per byte if the corpus is compared per byte.
        parameters: Trainable parameters; None if unknown.
        protocol: What was scored, and how.
        source: Where it was published.
    """

    name: str
    bits: float
    parameters: int | None = None
    protocol: str = _WHOLE
    source: str


_AWD_LSTM = functools.partial(
    PublishedResult, name="AWD-LSTM, 3 layers", source="Merity 2018, arXiv:1803.08240"
)
_MOGRIFIER = functools.partial(
    PublishedResult, name="Mogrifier LSTM", source="Melis 2020, arXiv:1909.01792"
)
_LOWEST = "random windows of 256 without context; lowest value during training"
_IN_NANOGPT = functools.partial(
    PublishedResult, protocol=_LOWEST, source="Feng 2024, arXiv:2410.01201, with nanoGPT"
)
RESULTS: Mapping[str, Sequence[PublishedResult]] = {
    "tiny-shakespeare": (
        PublishedResult(
            name="nanoGPT, Transformer of 6 layers",
            bits=1.4697 / math.log(2),
            parameters=10_650_000,
            protocol=_LOWEST,
            source="README of github.com/karpathy/nanoGPT",
        ),
        _IN_NANOGPT(name="minGRU, recurrent", bits=1.548 / math.log(2)),
        _IN_NANOGPT(name="minLSTM, recurrent", bits=1.555 / math.log(2)),
    ),
    "ptb-char": (
        _AWD_LSTM(bits=1.175, parameters=13_800_000),
        _MOGRIFIER(bits=1.120, parameters=24_000_000),
        _MOGRIFIER(bits=1.083, parameters=24_000_000, protocol=_DYNAMIC),
    ),
    "text8": (
        PublishedResult(
            name="mLSTM, regularised",
            bits=1.27,
            parameters=45_000_000,
            source="Krause 2017, arXiv:1609.07959",
        ),
    ),
    "enwik8": (
        _AWD_LSTM(bits=1.232, parameters=47_000_000),
        _MOGRIFIER(bits=1.122, parameters=96_000_000),
        _MOGRIFIER(bits=0.988, parameters=96_000_000, protocol=_DYNAMIC),
    ),
}
"""Corpus to results on its test part."""
OURS = "this search"
RESTORED = ", restored bits"
NO_BYTES = ", not read as bytes"


def published_results(run: LoadedRun) -> Section | None:
    """Return the section; None for a text without published results or published parts."""
    corpus = run.study.corpus
    if not corpus.is_published or corpus.name not in RESULTS or corpus.lengths is None:
        return None
    published = PUBLISHED[corpus.name]
    unit = "byte" if published.is_per_byte else "character"
    chars_a_unit = 1.0
    if published.is_per_byte:
        assert published.part_bytes is not None
        chars_a_unit = (corpus.num_chars - sum(corpus.lengths)) / len(published.part_bytes[-1])
    of_network = _of_network(run)
    ours = [
        dataclasses.replace(result, bits=result.bits * chars_a_unit)
        for result in (*of_network, *_of_predictor(run))
    ]
    rows = [
        {
            "model": result.name,
            f"bits per {unit}": shown(result.bits),
            f"nats per {unit}": shown(result.bits * math.log(2)),
            "parameters": "" if result.parameters is None else f"{result.parameters:,}",
            "protocol": result.protocol,
            "source": result.source,
        }
        for result in (*ours, *RESULTS[corpus.name])
    ]
    unscored = "No network of this search has been scored on the test part yet."
    notes = [*([] if of_network else [unscored]), *_caveats(ours), _cost(run)]
    return Section(title="Beside published results", body=(pd.DataFrame(rows), listed(notes)))


def _of_network(run: LoadedRun) -> list[PublishedResult]:
    """Return the best finalist's bits per character; nothing before they are measured."""
    confirmed = summary(run)
    if confirmed.empty or pd.isna(confirmed.iloc[0]["test, mean"]):
        return []
    first = confirmed.iloc[0]
    trial = run.trials[run.trials["number"] == first["trial"]]
    size = trial["num_parameters"].iloc[0]
    protocol = _protocol(run, trial)
    result = functools.partial(
        PublishedResult, parameters=None if pd.isna(size) else int(size), source=OURS
    )
    found = [
        result(
            name=f"trial {first['trial']}, mean of {counted(first['seeds'], 'seed')}",
            bits=first["test, mean"],
            protocol=f"{_WHOLE}{protocol}",
        )
    ]
    of_first_seed = functools.partial(result, name=f"trial {first['trial']}, first seed")
    finalists = run.finalists[run.finalists["number"] == first["trial"]]
    cold = finalists["test_bits_per_char_cold"].dropna()
    if not cold.empty:
        length = PUBLISHED[run.study.corpus.name].window_chars
        measured = f"cold windows of {length}, without context{protocol}"
        found.append(of_first_seed(bits=cold.iloc[0], protocol=measured))
    dynamic = finalists["test_bits_per_char_dynamic"].dropna()
    if not dynamic.empty:
        gain = _of_part(run, "its gain measured on", MAX_DYNAMIC_SYMBOLS)
        measured = f"{_DYNAMIC}{protocol}{gain}"
        found.append(of_first_seed(bits=dynamic.iloc[0], protocol=measured))
    return found


def _of_predictor(run: LoadedRun) -> list[PublishedResult]:
    """Return the predictor's bits per character, with and without its cache; perhaps nothing."""
    whole = predictor_row(run.predictor)
    if whole is None:
        return []
    members = run.predictor["number"].dropna()
    trials = run.trials[run.trials["number"].isin(members)]
    protocol = _protocol(run, trials) + _of_part(run, "on", MAX_SCORED_CHARS)
    result = functools.partial(PublishedResult, name="predictor", source=OURS)
    score, without_cache = whole["test_bits_per_char"], whole[WITHOUT_CACHE]
    if without_cache is None:
        return [result(bits=score, protocol=f"{_WHOLE}{protocol}")]
    return [
        result(bits=score, protocol=f"{_CACHED}{protocol}"),
        result(bits=without_cache, protocol=f"{_WHOLE}{protocol}"),
    ]


def _caveats(ours: Sequence[PublishedResult]) -> list[str]:
    """Return what makes some of our figures incomparable, and how to get comparable ones."""
    notes = []
    if any(RESTORED in result.protocol for result in ours):
        notes.append(
            f"`{RESTORED.removeprefix(', ')}`: a cleaning dropped case or more. The figure "
            f"includes an n-gram's estimate of restoring it, so it is not comparable with the "
            f"papers'; with `--fix cleaning={RAW}`, it is."
        )
    if any(NO_BYTES in result.protocol for result in ours):
        notes.append(
            f"`{NO_BYTES.removeprefix(', ')}`: the network reads characters or words from a known "
            f"vocabulary, whereas the papers' networks read bytes. With `--fix unit=byte --fix "
            f"cleaning={RAW}`, it reads bytes too."
        )
    return notes


def _of_part(run: LoadedRun, words: str, most: int) -> str:
    """Return what a figure was measured on, unless that is the whole passage.

    Args:
        run: The run.
        words: What precedes the part's name.
        most: Symbols that are read of a longer passage.
    """
    corpus = run.study.corpus
    num_test_chars = corpus.num_chars - sum(corpus.lengths or ())
    return "" if num_test_chars <= most else f", {words} the first {most:,} symbols"


def _protocol(run: LoadedRun, trials: pd.DataFrame) -> str:
    """Return the caveats on some trials' figures.

    There are none if their cleanings drop nothing and they read what the papers' networks read.
    """
    floors = run.study.objective.floors
    drops = (floors[name] != floors[RAW] for name in trials["cleaning"] if name in floors)
    is_per_byte = PUBLISHED[run.study.corpus.name].is_per_byte
    other_symbols = is_per_byte and (trials["unit"] != "byte").any()
    protocol = RESTORED if any(drops) else ""
    return f"{protocol}{NO_BYTES}" if other_symbols else protocol


def _cost(run: LoadedRun) -> str:
    """Return the cost of the search, finalists included."""
    again = ""
    if len(run.finalists):
        again = f" and {counted(len(run.finalists), 'training')} of finalists"
    return (
        f"This search took {sum(worked_seconds(run)) / 3600:.2f} worker-hours: "
        f"{counted(len(run.trials), 'trial')}{again}."
    )
