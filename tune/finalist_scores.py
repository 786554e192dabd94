"""Scores the finalists' networks on the test passage: the only place that looks at it."""

import tempfile
from pathlib import Path

from rich.console import Console

from model.checkpoint import load_checkpoint
from model.errors import CheckpointError
from model.letter_score import score_letters
from model.test_score import score_test_passage
from tune.checkpoints import MODEL_FOLDER, CheckpointStore, fetch
from tune.durations import format_seconds
from tune.finalist_choice import scoring_seconds_of
from tune.finalist_records import (
    SEEDS_AT_MOST,
    FinalistRecord,
    TestPassageScores,
    known_scores,
)
from tune.history import History
from tune.records import Status, TrialRecord
from tune.run_folder import RunFolder
from tune.stopping import SearchStopper
from tune.study import Study


def score_finalists(
    study: Study,
    folder: RunFolder,
    history: History,
    store: CheckpointStore,
    console: Console,
    stopper: SearchStopper,
) -> None:
    """Score the test passage with each finalist that ended, once, and write finalists.csv.

    Where the user interrupts, those that are left have no scores; `--resume` gives them theirs.
    """
    scores = known_scores(folder.read_finalists())
    locations = store.newest_first()
    unscored = {
        number: record
        for number, record in sorted(history.records.items())
        if record.status == Status.COMPLETE
        and number in locations
        and scores.get(number, TestPassageScores()).test_bits_per_char is None
    }
    if unscored and not stopper.interrupted:
        seconds = sum(
            scoring_seconds_of(study, record, with_trend=_has_trend(record))
            for record in unscored.values()
        )
        console.print(
            f"scoring the test passage: {len(unscored)} networks, about {format_seconds(seconds)}",
            highlight=False,
            markup=False,
        )
    with stopper.catching_signals():
        for number, record in unscored.items():
            if stopper.interrupted:
                break
            scores[number] = _scores(study, locations[number][0], record)
    finalists = [
        FinalistRecord.of(record, scores.get(number, TestPassageScores()))
        for number, record in sorted(history.records.items())
    ]
    folder.write_finalists(finalists)


def _scores(study: Study, location: str, record: TrialRecord) -> TestPassageScores:
    with tempfile.TemporaryDirectory() as temporary:
        try:
            network, _ = load_checkpoint(fetch(location, Path(temporary) / MODEL_FOLDER))
        except (CheckpointError, OSError):
            return TestPassageScores()
    bits_per_char = score_test_passage(network, study.prepared, record.config)
    letters = score_letters(
        network,
        study.prepared.streams(record.config),
        seed=record.config.seed,
        with_trend=_has_trend(record),
    )
    if letters is None:
        return TestPassageScores(test_bits_per_char=bits_per_char)
    return TestPassageScores(
        test_bits_per_char=bits_per_char,
        test_bits_per_letter=letters.bits_per_letter,
        letter_particles=letters.num_particles,
        test_bits_per_letter_quarter=letters.bits_per_letter_quarter,
        test_bits_per_letter_sixteenth=letters.bits_per_letter_sixteenth,
    )


def _has_trend(record: TrialRecord) -> bool:
    """Whether a record is a finalist's first training: one trend tells enough of each."""
    return record.number % SEEDS_AT_MOST == 0
