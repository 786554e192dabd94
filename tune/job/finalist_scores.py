"""Scores the finalists' networks on the test passage, which no other networks are shown."""

import tempfile
from pathlib import Path
from typing import Any

import ray
from rich.console import Console

from model.errors import CheckpointError
from model.scoring.evaluation import score_test_passage
from model.scoring.letters import score_letters
from model.scoring.objective import PreparedCorpus
from model.system.devices import pick_device, use_threads
from model.system.durations import counted, format_seconds
from model.system.terminal import say
from model.training.checkpoint import load_checkpoint
from tune.cluster.resources import TrialResources
from tune.planning.finalist_budget import scoring_seconds_of, spread_seconds
from tune.planning.study import Study
from tune.records.finalist_table import (
    FinalistRecord,
    TestPassageScores,
    finalist_name,
    finalist_of,
    known_scores,
)
from tune.records.history import History
from tune.records.run_folder import RunFolder
from tune.records.trial import Status, TrialRecord
from tune.storage.checkpoints import MODEL_FOLDER, CheckpointStore, fetch
from tune.trials.stopper import SearchStopper

POLL_SECONDS = 1.0
"""Poll interval of Ctrl-C, seconds."""


def score_finalists(
    study: Study,
    folder: RunFolder,
    history: History,
    store: CheckpointStore,
    need: TrialResources,
    concurrent: int,
    console: Console,
    stopper: SearchStopper,
) -> None:
    """Score the test passage with each finalist that ended, once, and write finalists.csv.

    Each is a Ray task with the CPUs and GPUs of a trial; memory is not asked for. Where the user
    interrupts, those that are left have no scores; `--resume` gives them theirs.
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
    running: dict[Any, int] = {}
    try:
        if unscored and not stopper.interrupted:
            seconds = [
                scoring_seconds_of(study, record, with_trend=_has_trend(record))
                for record in unscored.values()
            ]
            say(
                console,
                f"scoring the test passage: {counted(len(unscored), 'network')}, about "
                f"{format_seconds(spread_seconds(seconds, concurrent))}",
            )
            corpus = ray.put(study.prepared)
            task = ray.remote(num_cpus=need.cpus, num_gpus=need.gpus)(_score)
            running = {
                task.remote(corpus, locations[number][0], record, need): number
                for number, record in unscored.items()
            }
            with stopper.catching_signals():
                while running and not stopper.interrupted:
                    ended, _ = ray.wait(list(running), timeout=POLL_SECONDS)
                    for reference in ended:
                        number = running.pop(reference)
                        scores[number] = _result(reference, number, console)
    finally:  # what is scored stays so, also where a defect of ours ends the session
        for reference in running:
            ray.cancel(reference, force=True)
        finalists = [
            FinalistRecord.of(record, scores.get(number, TestPassageScores()))
            for number, record in sorted(history.records.items())
        ]
        folder.write_finalists(finalists)


def _result(reference: Any, number: int, console: Console) -> TestPassageScores:
    """Return what a task gave; nothing, and a line that says why, where it could not be had."""
    try:
        result: TestPassageScores | str = ray.get(reference)
    except ray.exceptions.RayTaskError as error:  # a defect of ours does not cost the report
        result = f"{type(error.cause).__name__}: {error.cause}"
    except ray.exceptions.RayError as error:  # its process died, or its node
        result = str(error)
    if isinstance(result, TestPassageScores):
        return result
    reason = " ".join(result.split("\n", 1)[0].split())
    say(console, f"{finalist_name(number)}: not scored on the test passage: {reason}")
    return TestPassageScores()


def _score(
    prepared: PreparedCorpus, location: str, record: TrialRecord, need: TrialResources
) -> TestPassageScores | str:
    """Score one network, on a worker; return why, where its checkpoint cannot be read."""
    use_threads(need.cpus)
    device = pick_device(use_gpu=need.gpus > 0)
    with tempfile.TemporaryDirectory() as temporary:
        try:
            fetched = fetch(location, Path(temporary) / MODEL_FOLDER)
            network, meta = load_checkpoint(fetched, device)
        except (CheckpointError, OSError) as error:
            return " ".join(str(error).split())
    bits_per_char = score_test_passage(network, prepared, record.config, precision=meta.precision)
    letters = score_letters(
        network,
        prepared.streams(record.config),
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
    return finalist_of(record.number)[1] == 0
