"""After the finalists: a mixture of the best networks and the n-gram, kept as predictor/.

Networks that read the same symbols in the same way can be mixed. Of several such groups, the one
with the fewest bits on the validation passage is kept; weights and members were chosen there too.
The test passage is then scored once, by the predictor and its members.
"""

import dataclasses
import functools
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from model.errors import CheckpointError
from model.generation.decoding import (
    TIMED_SYMBOLS,
    fastest_milliseconds,
    milliseconds_per_symbol,
)
from model.scoring.evaluation import held_out_nats
from model.scoring.mixture import Mixture, Nats
from model.scoring.objective import MAX_SCORED_CHARS, PreparedCorpus
from model.system.durations import counted, format_seconds
from model.system.files import unwritable
from model.system.terminal import say
from model.text.ngram import Ngram
from model.training.predictor import PredictorMeta, load_network, save_predictor
from tune.cluster.resources import TrialResources
from tune.cluster.shared_corpus import SharedCorpus
from tune.job.mixing import Candidate, Group, Mixed, mix, on_test_passage
from tune.job.search import SearchResult
from tune.job.worker_tasks import AfterSearch, network_at, run_tasks
from tune.monitoring.json_events import warn
from tune.planning.finalist_budget import LATE_SHARE, choose, slot_ends
from tune.planning.study import Study
from tune.records.finalist_table import finalist_name, finalist_of
from tune.records.history import read_search
from tune.records.predictor_table import (
    CACHE,
    NETWORK,
    NGRAM,
    PREDICTOR,
    PREDICTOR_TABLE,
    PredictorRecord,
)
from tune.records.run_folder import RunFolder
from tune.records.trial import Status, TrialRecord
from tune.storage.checkpoints import KEPT_CHECKPOINTS, CheckpointStore, fetch
from tune.trials.stopper import SearchStopper

MAX_CANDIDATES = 20
"""Maximum number of networks scored: the finalists' first, then the kept trials'."""
MAX_FITTED_SYMBOLS = 100_000
"""Only this much of a longer validation passage is scored: a few weights need no more."""
SCORED_BY_TRAINED, FIXED_SECONDS = 0.4, 2.0
"""Time to score a character relative to training on one, and the n-gram's seconds."""


def with_predictor(after: AfterSearch, result: SearchResult) -> SearchResult:
    """Mix the best networks of a run and write predictor/ and predictor.csv.

    Nothing is written if the user interrupts or no network is available.

    Args:
        after: The search, and where it ran.
        result: The search's result.

    Returns:
        The result with the time so far, and whether the user interrupted.

    Raises:
        OSError: The folder cannot be written.
    """
    study, console = after.study, after.console
    budget = study.space.budget.time_budget_seconds
    stopper = SearchStopper(budget, spent_seconds=result.seconds)
    candidates = candidates_of(
        study, result.records, read_search(after.folder.finalists_history_file).records
    )
    scoring = [_scoring_seconds(study, candidate) for candidate in candidates]
    seconds = FIXED_SECONDS + max(slot_ends(scoring, after.concurrent()), default=0.0)
    left = stopper.seconds_left()
    if budget and left is not None and seconds > max(left, LATE_SHARE * budget):
        warn(
            console,
            f"\nno predictor: building it would take about {format_seconds(seconds)}; resume with "
            f"a larger --time-budget to build it",
        )
    elif candidates:
        number = counted(len(candidates), "network")
        say(
            console,
            f"\nbuilding the predictor: {number} and the n-gram, about {format_seconds(seconds)}",
        )
        _make(after, candidates, stopper)
    return dataclasses.replace(result, seconds=stopper.seconds(), interrupted=stopper.interrupted)


def _scoring_seconds(study: Study, candidate: Candidate) -> float:
    """Return how long scoring both passages with a network takes."""
    chars = study.prepared.encoded[candidate.config.cleaning]
    num_scored = chars.validation.num_raw_chars + chars.test.num_raw_chars
    share = num_scored / chars.train.num_raw_chars
    return SCORED_BY_TRAINED * share * candidate.epoch_seconds


def _make(after: AfterSearch, candidates: list[Candidate], stopper: SearchStopper) -> None:
    prepared, need, console = after.study.prepared, after.need, after.console

    def nats_of(networks: list[Candidate], *, is_test: bool) -> dict[int, Nats]:
        tasks = {
            index: functools.partial(_nats, after.corpus, candidate, need, is_test=is_test)
            for index, candidate in enumerate(networks)
        }
        found = {}
        for index, result in run_tasks(tasks, after, stopper):
            if isinstance(result, str):
                warn(console, f"{networks[index].name}: left out of the predictor: {result}")
            else:
                found[index] = result
        return found

    nats = nats_of(candidates, is_test=False)
    groups: dict[Group, list[int]] = {}
    for index in sorted(nats):
        groups.setdefault(candidates[index].group, []).append(index)
    mixed: list[Mixed] = []
    with stopper.catching_signals():
        for rows in groups.values():
            if not stopper.interrupted:
                group = [candidates[row] for row in rows]
                mixed.append(mix(prepared, group, [nats[row] for row in rows]))
    if stopper.interrupted or not mixed:
        return
    best = min(mixed, key=lambda each: each.val_bits_per_char)
    # Only now that the members are chosen: no other network sees the test passage.
    on_test = nats_of(list(best.networks), is_test=True)
    if len(on_test) < len(best.networks):
        return
    test = on_test_passage(prepared, best, [nats for _, nats in sorted(on_test.items())])
    try:
        _save(prepared, after.folder, best, test)
    except CheckpointError as error:  # removed or damaged since it was scored
        warn(console, f"no predictor: {error}")


def candidates_of(
    study: Study, records: Collection[TrialRecord], finalists: Mapping[int, TrialRecord]
) -> list[Candidate]:
    """Return the networks that may be mixed: the finalists' and the best trials'.

    Networks of the window regime read a whole window per symbol, so they qualify only if there
    are no others.
    """
    stores = [CheckpointStore(study.finalists_root), CheckpointStore(study.checkpoints_root)]
    of_finalists, of_trials = (store.newest_first() for store in stores)
    trained = [
        (finalist_name(key), finalist_of(key)[0], record, of_finalists[key][0])
        for key, record in sorted(finalists.items(), key=lambda item: item[1].objective)
        if record.status == Status.COMPLETE and key in of_finalists
    ]
    trained += [
        (f"trial {record.number}", record.number, record, of_trials[record.number][0])
        for record in choose(records, KEPT_CHECKPOINTS)[:KEPT_CHECKPOINTS]
        if record.number in of_trials
    ]
    found = [
        Candidate(
            name=name,
            number=number,
            config=record.config,
            location=location,
            epoch_seconds=record.epoch_seconds,
        )
        for name, number, record, location in trained
    ]
    streams = [each for each in found if each.config.regime == "stream"]
    return (streams or found)[:MAX_CANDIDATES]


def _nats(
    corpus: SharedCorpus, candidate: Candidate, need: TrialResources, *, is_test: bool
) -> Nats:
    """Return, on a worker, a network's nats for each symbol of a passage."""
    network, meta = network_at(candidate.location, need)
    return held_out_nats(
        network,
        corpus.get(),
        candidate.config,
        precision=meta.precision,
        is_test=is_test,
        max_symbols=MAX_SCORED_CHARS if is_test else MAX_FITTED_SYMBOLS,
    )


def _save(prepared: PreparedCorpus, folder: RunFolder, mixed: Mixed, test: list[float]) -> None:
    """Write predictor/ and predictor.csv.

    Args:
        prepared: The corpus.
        folder: The run folder.
        mixed: The mixture.
        test: As `on_test_passage` returns them.

    Raises:
        CheckpointError: A member's checkpoint is damaged or no longer available.
        OSError: The folder cannot be written.
    """
    weights = mixed.chosen.weights
    meta = PredictorMeta(
        weights=tuple(map(float, weights)),
        ngram_order=mixed.ngram.order if mixed.ngram else None,
        val_bits_per_char=mixed.val_bits_per_char,
        cache=mixed.cache,
    )
    with tempfile.TemporaryDirectory() as temporary:
        paths = []
        for index, candidate in enumerate(mixed.networks):
            try:
                paths.append(fetch(candidate.location, Path(temporary) / str(index)))
            except OSError as error:
                if unwritable(error):  # our disk, not its storage
                    raise
                raise CheckpointError(f"{candidate.name}: {error}") from error
        save_predictor(folder.predictor, paths, meta, mixed.counted if mixed.ngram else None)
    rows = _rows(prepared, folder, mixed, test)
    PREDICTOR_TABLE.write(map(dataclasses.asdict, rows), folder.predictor_file)


def _rows(
    prepared: PreparedCorpus, folder: RunFolder, mixed: Mixed, test: list[float]
) -> list[PredictorRecord]:
    """Return the rows of predictor.csv: the mixture, then its members."""
    whole = load_network(folder.predictor).network
    assert isinstance(whole, Mixture)
    rows = [
        PredictorRecord(
            kind=PREDICTOR,
            name=PREDICTOR,
            number=None,
            weight=1.0,
            val_bits_per_char=mixed.val_bits_per_char,
            test_bits_per_char=test[0],
            gain_bits_per_char=None,
            milliseconds_per_symbol=milliseconds_per_symbol(whole),
        )
    ]
    symbols_per_char = prepared.streams(mixed.networks[0].config).validation.symbols_per_char
    members: list[tuple[str, str, int | None, float]] = [
        (NETWORK, candidate.name, candidate.number, milliseconds_per_symbol(network))
        for candidate, network in zip(mixed.networks, whole.networks, strict=True)
    ]
    if mixed.ngram:
        name = f"{mixed.ngram.order}-gram"
        members.append((NGRAM, name, None, _ngram_milliseconds(mixed.ngram)))
    rows += [
        PredictorRecord(
            kind=kind,
            name=name,
            number=number,
            weight=float(mixed.chosen.weights[place]),
            val_bits_per_char=mixed.members_val_bits_per_char[place],
            test_bits_per_char=test[1 + place],
            gain_bits_per_char=float(mixed.chosen.gains_bits[place]) * symbols_per_char,
            milliseconds_per_symbol=milliseconds,
        )
        for place, (kind, name, number, milliseconds) in enumerate(members)
    ]
    if mixed.cache:
        rows.append(
            PredictorRecord(
                kind=CACHE,
                name=f"cache of {mixed.cache.shortest} to {mixed.cache.longest} symbols",
                val_bits_per_char=mixed.val_bits_without_cache,
                test_bits_per_char=test[-1],
                gain_bits_per_char=mixed.val_bits_without_cache - mixed.val_bits_per_char,
            )
        )
    return rows


def _ngram_milliseconds(ngram: Ngram) -> float:
    """Measure how long the n-gram alone takes per symbol."""
    state = ngram.start(np.zeros(1, dtype=np.int64))[:, None]

    def one_pass() -> None:
        nonlocal state
        for _ in range(TIMED_SYMBOLS):
            state = ngram.step(state, ngram.distribution(state).argmax(axis=1))

    return fastest_milliseconds(one_pass)
