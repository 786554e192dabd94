"""Scores the finalists' networks on the test passage; others see it only in the predictor."""

import dataclasses
import functools
import time
from collections import defaultdict

from model.network.stream import StreamNetwork
from model.scoring.dynamic import dynamic_gain
from model.scoring.evaluation import score_cold_windows, score_test_passage
from model.scoring.letters import score_letters
from model.scoring.second_judge import judged_by_letters
from model.system.durations import counted, format_seconds
from model.system.terminal import say
from model.text.published import PUBLISHED
from model.text.streams import EncodedCorpus
from tune.cluster.resources import TrialResources
from tune.cluster.shared_corpus import SharedCorpus
from tune.job.worker_tasks import AfterSearch, network_at, run_tasks
from tune.monitoring.json_events import warn
from tune.planning.finalist_budget import learning_seconds_of, scoring_seconds_of, slot_ends
from tune.planning.study import Study
from tune.records.finalist_table import (
    FINALIST_TABLE,
    TestPassageScores,
    finalist_name,
    finalist_of,
    finalist_row,
    known_scores,
)
from tune.records.history import History
from tune.records.trial import Status, TrialRecord
from tune.storage.checkpoints import CheckpointStore
from tune.trials.stopper import SearchStopper


def score_finalists(
    after: AfterSearch, history: History, store: CheckpointStore, stopper: SearchStopper
) -> None:
    """Score the test passage once with each finalist that ended, and write finalists.csv.

    Each is a Ray task with a trial's CPUs and GPUs, without a memory request. Second scores (bits
    per letter of the best of each cleaning, dynamic evaluation of the winner) are computed as far
    as the time budget allows. If the user interrupts, the remaining finalists have no scores until
    `--resume`.
    """
    study, console, table_file = after.study, after.console, after.folder.finalists_file
    scores = defaultdict(TestPassageScores, known_scores(FINALIST_TABLE.read(table_file)))
    finalists = _ranked(history)
    winner = min(finalists[0]) if finalists else None
    places = judged_by_letters([trained[min(trained)].config for trained in finalists])
    with_letters = {key for place in places for key in finalists[place]}
    locations = store.newest_first()
    second: dict[int, float] = {}  # key to the seconds of its missing second scores
    window_chars: int | None = None  # of the cold windows that the winner still needs
    for number, record in sorted(history.records.items(), key=lambda item: item[0] != winner):
        if record.status == Status.COMPLETE and number in locations:
            known, is_winner = scores[number], number == winner
            seconds = _second_seconds(
                study, record, known, is_winner=is_winner, has_letters=number in with_letters
            )
            if is_winner and known.test_bits_per_char_cold is None:
                window_chars = _window_chars(study, record)
            if seconds or (is_winner and window_chars) or known.test_bits_per_char is None:
                second[number] = seconds
    left = stopper.seconds_left()
    ends = zip(second, slot_ends(second.values(), after.concurrent()), strict=True)
    in_time = {number: end for number, end in ends if left is None or end <= left}
    unscored = [key for key in second if key in in_time or scores[key].test_bits_per_char is None]
    try:
        if unscored and not stopper.interrupted:
            say(
                console,
                f"scoring the test passage: {counted(len(unscored), 'network')}, about "
                f"{format_seconds(max(in_time.values(), default=0.0))}",
            )
            tasks = {
                number: functools.partial(
                    _score,
                    after.corpus,
                    locations[number][0],
                    history.records[number],
                    after.need,
                    scores[number],
                    has_room=number in in_time,
                    is_winner=number == winner,
                    has_letters=number in with_letters,
                    window_chars=window_chars if number == winner else None,
                )
                for number in unscored
            }
            for number, result in run_tasks(tasks, after, stopper):
                if isinstance(result, TestPassageScores):
                    scores[number] = result
                else:
                    reason = f"not scored on the test passage: {result}"
                    warn(console, f"{finalist_name(number)}: {reason}")
    finally:  # keeps the scores, even if our own bug ends the session
        rows = (
            finalist_row(record, scores[key]) for key, record in sorted(history.records.items())
        )
        FINALIST_TABLE.write(rows, table_file)


def _second_seconds(
    study: Study,
    record: TrialRecord,
    known: TestPassageScores,
    *,
    is_winner: bool,
    has_letters: bool,
) -> float:
    """Return how long the missing second scores of a network take."""
    seconds = 0.0
    if has_letters and known.test_bits_per_letter is None:
        num_parameters = record.num_parameters or 0
        seconds += scoring_seconds_of(study, record.config, num_parameters, _has_trend(record))
    if is_winner and known.test_bits_per_char_dynamic is None:
        seconds += learning_seconds_of(study, record)
    return seconds


def _score(
    corpus: SharedCorpus,
    location: str,
    record: TrialRecord,
    need: TrialResources,
    scores: TestPassageScores,
    *,
    has_room: bool,
    is_winner: bool,
    has_letters: bool,
    window_chars: int | None,
) -> TestPassageScores:
    """Compute a network's missing scores on a worker; second scores only if there is time."""
    prepared = corpus.get()
    network, meta = network_at(location, need)
    if scores.test_bits_per_char is None:
        bits = score_test_passage(network, prepared, record.config, precision=meta.precision)
        scores = dataclasses.replace(scores, test_bits_per_char=bits)
    if window_chars is not None:  # as quick as the first
        cold_bits = score_cold_windows(
            network, prepared, record.config, precision=meta.precision, length=window_chars
        )
        scores = dataclasses.replace(scores, test_bits_per_char_cold=cold_bits)
    if not has_room:
        return scores
    streams, seed = prepared.streams(record.config), record.config.seed
    lacks_dynamic = is_winner and scores.test_bits_per_char_dynamic is None
    if lacks_dynamic and isinstance(network, StreamNetwork):
        scores = _with_dynamic(scores, network, streams, seed=seed)
    if not has_letters or scores.test_bits_per_letter is not None:
        return scores
    letters = score_letters(network, streams, seed=seed, with_trend=_has_trend(record))
    if letters is None:
        return scores
    return dataclasses.replace(scores, **dataclasses.asdict(letters))


def _with_dynamic(
    scores: TestPassageScores, network: StreamNetwork, streams: EncodedCorpus, *, seed: int
) -> TestPassageScores:
    """Return the scores with that of dynamic evaluation, if it succeeds."""
    assert scores.test_bits_per_char is not None
    start = time.perf_counter()
    try:
        gain_bits, num_symbols = dynamic_gain(network, streams, seed=seed)
    except RuntimeError:  # torch's; never run on a GPU, and optional
        return scores
    test = streams.test
    gain = gain_bits * len(test.symbols) / num_symbols
    return dataclasses.replace(
        scores,
        test_bits_per_char_dynamic=scores.test_bits_per_char - gain / test.num_raw_chars,
        dynamic_seconds=time.perf_counter() - start,
    )


def _window_chars(study: Study, record: TrialRecord) -> int | None:
    """Return the length of the windows of the corpus's published figures; None if it has none.

    Windows of words vary in length; the window regime would reread one for each symbol.
    """
    corpus, config = study.corpus, record.config
    published = PUBLISHED.get(corpus.name)  # a resumed run's name is not trusted
    if published is None or config.unit == "word" or config.regime != "stream":
        return None
    return published.window_chars


def _ranked(history: History) -> list[dict[int, TrialRecord]]:
    """Return each finalist's complete trainings by key, those of the best mean first."""
    trained: dict[int, dict[int, TrialRecord]] = {}
    for key, record in history.records.items():
        if record.status == Status.COMPLETE:
            trained.setdefault(finalist_of(key)[0], {})[key] = record
    return sorted(
        trained.values(),
        key=lambda of_one: sum(each.objective for each in of_one.values()) / len(of_one),
    )


def _has_trend(record: TrialRecord) -> bool:
    """Whether a record is a finalist's first training: one trend per finalist suffices."""
    return finalist_of(record.number)[1] == 0
