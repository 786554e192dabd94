"""Which trials are trained anew, whether there is time for it, and what the test passage says."""

import dataclasses
import functools
import io
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
import torch
from rich.console import Console

from hand_made_trials import epoch_record
from model.config import TrialConfig
from model.network.precision import has_bfloat16
from model.scoring.dynamic import dynamic_seconds
from model.scoring.evaluation import score_test_passage
from model.scoring.letters import scoring_seconds
from model.scoring.objective import PreparedCorpus
from model.scoring.second_judge import judged_by_letters
from model.text.published import PUBLISHED
from model.training.checkpoint import load_checkpoint
from model.training.trainer import Trainer
from search_spaces import load_space
from tune.cluster.cluster import Cluster
from tune.cluster.resources import TrialResources
from tune.cluster.shared_corpus import SharedCorpus
from tune.job import finalist_scores, finalists, worker_tasks
from tune.job.finalist_scores import score_finalists
from tune.job.finalists import no_room
from tune.job.search import SearchResult
from tune.planning.finalist_budget import (
    FinalistTimes,
    choose,
    estimated_times,
    left_to_train,
    reserved_seconds,
)
from tune.records.finalist_table import (
    FINALIST_TABLE,
    SEEDS_AT_MOST,
    TestPassageScores,
    finalist_key,
)
from tune.records.history import History, TrialEnded, TrialStarted
from tune.records.run_folder import RunFolder
from tune.records.study_file import StudySettings
from tune.records.trial import Status, TrialRecord
from tune.storage.checkpoints import CheckpointStore
from tune.trials.stopper import SearchStopper


def record(
    number: int, bits: float | None, seconds: float = 10.0, baseline: str = ""
) -> TrialRecord:
    epochs = []
    if bits is not None:
        epochs = [epoch_record(number, 5, bits=bits, elapsed_seconds=10.0)]
    config = TrialConfig(
        epochs=10,
        gradient_clip_norm=1.0 + number,
        cleaning="cased" if number == 1 else "lower",
        seed=number,
    )
    return TrialRecord(
        number=number,
        config=config,
        baseline=baseline,
        status=Status.COMPLETE,
        num_parameters=1_000,
        epochs=epochs,
    )


RECORDS = [
    record(0, 2.3, baseline="experiment 1"),
    record(1, 2.0, baseline="experiment 2"),
    record(2, None, baseline="experiment 3"),
    record(3, 2.1),
    record(4, 1.9),
    record(5, None),
]


def study(time_budget_seconds: float | None, num_finalists: int = 2) -> Any:
    space = load_space("full")
    budget = dataclasses.replace(space.budget, time_budget_seconds=time_budget_seconds)
    test = SimpleNamespace(symbols=[0] * 500)
    return SimpleNamespace(
        space=dataclasses.replace(space, budget=budget),
        settings=StudySettings(finalists=num_finalists, finalist_seeds=3),
        num_trials=len(RECORDS),
        prepared=SimpleNamespace(
            encoded=dict.fromkeys(("lower", "cased"), SimpleNamespace(test=test))
        ),
        wants_finalists=num_finalists > 0,
        reserves_time=num_finalists > 0,
    )


def after_search(of_study: Any, folder: RunFolder, corpus: Any) -> worker_tasks.AfterSearch:
    return worker_tasks.AfterSearch(
        study=of_study,
        folder=folder,
        corpus=corpus,
        need=TrialResources(),
        concurrent=lambda: 1,
        console=Console(quiet=True),
    )


def done(*keys: int) -> dict[int, TrialRecord]:
    """Return finalists' trainings that have ended."""
    return {key: record(key, 2.0) for key in keys}


def test_best_and_baselines_are_chosen_once_each() -> None:
    assert [chosen.number for chosen in choose(RECORDS, 2)] == [4, 1, 0]
    assert [chosen.number for chosen in choose(RECORDS, 3)] == [4, 1, 3, 0]
    assert choose(RECORDS[5:], 3) == []


def test_baseline_that_was_not_trained_to_its_end_is_no_finalist() -> None:
    cut = dataclasses.replace(RECORDS[1], status=Status.STOPPED)
    for by_hand in (False, True):
        cut.is_stopped_by_hand = by_hand
        chosen = choose([*RECORDS[:1], cut, *RECORDS[2:]], 2)
        assert [each.number for each in chosen] == [4, 3, 0]
    # Another trial that a user stopped is one: it is trained to its end then.
    best = dataclasses.replace(RECORDS[4], status=Status.STOPPED, is_stopped_by_hand=True)
    assert [each.number for each in choose([*RECORDS[:4], best], 1)] == [4, 1, 0]


@pytest.mark.parametrize("status", [Status.DIVERGED, Status.FAILED])
def test_baseline_that_failed_midway_is_no_finalist(status: Status) -> None:
    failed = dataclasses.replace(RECORDS[1], status=status)
    chosen = choose([*RECORDS[:1], failed, *RECORDS[2:]], 2)
    assert [each.number for each in chosen] == [4, 3, 0]
    # What the search found is: best.json and the report name it as the winner.
    best = dataclasses.replace(RECORDS[4], status=status)
    assert [each.number for each in choose([*RECORDS[:4], best], 1)] == [4, 1, 0]


def test_trials_that_differ_in_their_seed_alone_are_one_candidate() -> None:
    again = [
        dataclasses.replace(each, config=dataclasses.replace(RECORDS[4].config, seed=number))
        for number, each in ((6, record(6, 1.95)), (7, record(7, 1.85)))
    ]
    assert [chosen.number for chosen in choose([*RECORDS, *again], 3)] == [7, 1, 3, 0]


def test_best_of_each_group_is_a_finalist() -> None:
    def unit(config: TrialConfig) -> tuple[str]:
        return (config.unit,)

    words = [
        dataclasses.replace(each, config=dataclasses.replace(each.config, unit="word"))
        for each in (record(6, 1.5), record(7, 1.6), record(8, 1.7))
    ]
    for num_best, expected in ((1, [6, 4]), (2, [6, 4]), (3, [6, 7, 4]), (5, [6, 7, 8, 4, 1])):
        found = [each.number for each in choose([*RECORDS, *words], num_best, unit)]
        assert found == [*expected, *(n for n in (1, 0) if n not in expected)]
    assert [each.number for each in choose([*RECORDS, *words], 3)] == [6, 7, 8, 1, 0]
    of_study = study(600.0, num_finalists=1)
    few, more = [*RECORDS[:5], words[0]], study(600.0, num_finalists=1)
    budget = dataclasses.replace(more.space.budget, compare_within=("unit",))
    more.space = dataclasses.replace(more.space, budget=budget)
    assert reserved_seconds(more, few, 2) > reserved_seconds(of_study, few, 2)


def test_time_is_reserved_for_what_is_a_small_part_of_the_budget() -> None:
    # Three trainings of 20 s each (10 s were half of the epochs), three seeds, two at once;
    # the winner's and those of the best of the other cleaning are scored, the first of each with a
    # trend; one learns on.
    plain, with_trend = (
        scoring_seconds(RECORDS[0].config, 1_000, num_chars=500, with_trend=with_trend)
        for with_trend in (False, True)
    )
    learning = dynamic_seconds(1_000, num_symbols=500)  # of one of them
    chosen = choose(RECORDS, 2)
    trainings = left_to_train(study(None), chosen, {})
    seconds, trained_seconds, _ = estimated_times(study(None), trainings, chosen, 2, {})
    assert seconds[:3] == pytest.approx(
        [
            20 + with_trend + learning,
            20 + with_trend + learning,  # the winner's second, beside the first
            40 + plain + with_trend + learning,
        ]
    )
    assert seconds == sorted(seconds) and seconds[-1] > 5 * 20
    # The search's own end: writing the tables of six trials, and an epoch of the slowest.
    ending = 1.006
    assert reserved_seconds(study(600.0), RECORDS, 2) == pytest.approx(seconds[-1] + ending)
    running = [*RECORDS[:5], dataclasses.replace(record(5, 3.0), status=Status.RUNNING)]
    expected = seconds[-1] + ending + 2.0
    assert reserved_seconds(study(600.0), running, concurrent=2) == pytest.approx(expected)
    # Less room: as many as fit into three tenths; the winner's first two, less their second
    # scores, into half.
    assert trained_seconds[:4] == [20.0, 20.0, 40.0, 40.0]
    for budget, kept in (
        (200.0, seconds[3]),
        (150.0, seconds[3]),
        (100.0, seconds[1]),
        (47.5, 20),
    ):
        expected = kept + ending
        assert reserved_seconds(study(budget), RECORDS, 2) == pytest.approx(expected), budget
    assert reserved_seconds(study(35.0), RECORDS, concurrent=2) == 0.0  # no room
    assert reserved_seconds(study(None), RECORDS, concurrent=2) == 0.0
    assert reserved_seconds(study(600.0, num_finalists=0), RECORDS, concurrent=2) == 0.0
    assert reserved_seconds(study(600.0), [], concurrent=2) == 0.0
    # What an earlier session has trained needs no time any more.
    trained = done(*(n * SEEDS_AT_MOST + seed for n in (4, 1, 0) for seed in range(3)))
    assert reserved_seconds(study(600.0), RECORDS, 2, trained) == 0.0
    del trained[4 * SEEDS_AT_MOST + 1]
    left = reserved_seconds(study(600.0), RECORDS, 2, trained)
    assert left == pytest.approx(20.0 + plain + ending)


def test_training_that_was_cut_off_needs_the_rest_of_its_epochs_alone() -> None:
    winner = record(4, 1.9, seconds=10.0)  # of 10 epochs, 2 s each
    key = 4 * SEEDS_AT_MOST
    cut = dataclasses.replace(winner, number=key, status=Status.STOPPED)
    cut.epochs = [epoch_record(key, 9, bits=1.95, elapsed_seconds=18.0)]
    trainings = left_to_train(study(None), [winner], {key: cut})
    assert [seed for _, seed in trainings] == [0, 1, 2]
    times = estimated_times(study(None), trainings, [winner], 1, {key: cut})
    assert times.trained_seconds == [2.0, 22.0, 42.0]
    whole = estimated_times(study(None), trainings, [winner], 1, {})
    assert whole.trained_seconds == [20.0, 40.0, 60.0]
    # The search keeps no more free than that: a whole one would not fit into half of 30 s.
    assert reserved_seconds(study(30.0, 1), [winner], 1) == 0.0
    left = reserved_seconds(study(30.0, 1), [winner], 1, {key: cut})
    assert left == pytest.approx(times.seconds[0] + 1.001) and left < 9


def test_winner_is_trained_twice_first_then_the_best_baseline() -> None:
    def trained(*chosen: TrialRecord, keys: tuple[int, ...] = ()) -> list[tuple[int, int]]:
        left = left_to_train(study(None), chosen, done(*keys))
        return [(each.number, seed) for each, seed in left]

    both = choose(RECORDS, 3)
    assert [each.number for each in both] == [4, 1, 3, 0]
    order = [(4, 0), (4, 1), (1, 0), (1, 1), (3, 0), (0, 0), (3, 1), (0, 1)]
    assert trained(*both) == [*order, (4, 2), (1, 2), (3, 2), (0, 2)]
    assert trained(*both, keys=(4 * SEEDS_AT_MOST, SEEDS_AT_MOST + 1))[:3] == [
        (4, 1),
        (1, 0),
        (3, 0),
    ]
    assert trained(*choose(RECORDS[:2], 1))[:4] == [(1, 0), (1, 1), (0, 0), (0, 1)]
    assert trained(RECORDS[4]) == [(4, 0), (4, 1), (4, 2)]  # no baseline
    assert trained() == []


def test_as_many_finalists_are_begun_as_there_is_room_for() -> None:
    times = FinalistTimes([40.0, 45.0, 90.0, 180.0], [28.0, 28.0, 70.0, 150.0], 2)
    assert times.begun(None) == 4
    assert times.begun(200.0) == 4
    assert times.begun(95.0) == 3
    assert times.begun(85.0) == 3  # 5 s late
    assert times.begun(30.0) == 2  # without their second scores
    assert times.begun(20.0) == 0
    # Time was kept for the winner, and the search ended later than was thought.
    assert times.begun(20.0, least=2) == 2
    assert times.begun(0.0, least=2) == 0  # the time budget was all used
    assert FinalistTimes([], [], 0).begun(30.0) == 0


def test_half_of_the_budget_is_for_the_winners_first_two_alone() -> None:
    def reserved(seconds: list[float], of_winner: int, scoring: float = 0.0) -> tuple[int, float]:
        scored = [each + scoring for each in seconds]
        return FinalistTimes(scored, seconds, of_winner).reserved(100.0)

    assert reserved([20.0, 40.0, 60.0], 2) == (2, 40.0)
    assert reserved([20.0, 40.0, 60.0], 2, scoring=30.0) == (2, 40.0)  # as far as there is room
    assert reserved([20.0, 25.0, 60.0], 2, scoring=3.0) == (2, 28.0)
    assert reserved([41.0, 82.0, 123.0], 2) == (1, 41.0)
    assert reserved([20.0, 40.0, 60.0], 1) == (1, 20.0)  # the second is another's
    assert reserved([20.0, 29.0, 60.0], 0) == (2, 29.0)
    assert reserved([51.0], 1) == (0, 0.0)
    chosen = choose(RECORDS, 3)

    def of_winner(*keys: int, seeds: int = 3) -> int:
        asked = study(None)
        asked.settings = StudySettings(finalist_seeds=seeds)
        left = left_to_train(asked, chosen, done(*keys))
        return estimated_times(asked, left, chosen, 1, done(*keys)).num_of_winner

    assert of_winner() == 2
    assert of_winner(seeds=1) == 1
    assert of_winner(4 * SEEDS_AT_MOST) == 1
    assert of_winner(4 * SEEDS_AT_MOST, 4 * SEEDS_AT_MOST + 1) == 0


def test_finalists_without_room_are_said_to_be_left_out() -> None:
    said = no_room(12, 191.0, 55.2)
    assert "the first of 12 trainings would take about 3m11s" in said
    assert "55s of the time budget is left" in said
    assert "--time-budget" in said


@pytest.mark.parametrize(
    ("budget", "outcome", "reason"),
    [
        (600.0, Status.COMPLETE, ""),
        (600.0, Status.FAILED, "every retraining failed"),
        (600.0, Status.STOPPED, "no retraining had finished when the time budget ran out"),
        # Announced, but on a busy machine Ray took the time.
        (600.0, None, "the time budget ran out before the first retraining began"),
        # No room, and an earlier session's trainings were cut off.
        (20.0, Status.STOPPED, "the first of 9 trainings would take about"),
    ],
)
def test_why_no_finalist_was_trained_is_kept(
    budget: float,
    outcome: Status | None,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    def train(after: Any, history: History, *_: Any, **more: Any) -> None:
        if outcome is None:
            return
        config = RECORDS[0].config.to_dict()
        history.add(TrialStarted(number=0, baseline="", config=config, search_seconds=0.0))
        history.add(TrialEnded(number=0, status=outcome, error="", search_seconds=1.0))

    monkeypatch.setattr(finalists, "_train", train)
    monkeypatch.setattr(finalists, "score_finalists", lambda *_: None)
    of_study = study(budget)
    of_study.finalists_root = str(tmp_path / "ray/finalists")
    result = SearchResult(records=RECORDS, seconds=9.0, interrupted=False, timed_out=False)
    folder = RunFolder.create(tmp_path / "run")
    if budget == 20.0:
        with History(folder.finalists_history_file) as earlier:
            train(of_study, earlier)
    nowhere: Any = None  # no trial is trained
    after = dataclasses.replace(
        after_search(of_study, folder, nowhere), console=Console(file=(said := io.StringIO()))
    )
    confirmed = finalists.confirm(after, result)
    assert ("not confirmed: " in said.getvalue()) == bool(reason)
    assert confirmed.unconfirmed.startswith(reason) and bool(confirmed.unconfirmed) == bool(reason)


def test_uniform_network_scores_the_test_passage_as_by_hand(
    trained_checkpoint: Path, tiny_corpus: PreparedCorpus
) -> None:
    network, meta = load_checkpoint(trained_checkpoint)
    for parameter in network.output.parameters():
        torch.nn.init.zeros_(parameter)
    corpus = tiny_corpus.encoded["lower"]
    expected = math.log2(len(corpus.vocabulary)) + score_price(tiny_corpus)
    scored = score_test_passage(network, tiny_corpus, meta.config, precision=meta.precision)
    assert abs(scored - expected) < 1e-5


@pytest.mark.parametrize(
    "precision",
    [
        "float32",
        pytest.param(
            "bfloat16",
            marks=pytest.mark.skipif(
                not has_bfloat16(), reason="this CPU has no LSTM in bfloat16"
            ),
        ),
    ],
)
def test_test_passage_is_scored_as_the_validation_passage_is(
    precision: str, tiny_corpus: PreparedCorpus, tiny_config: TrialConfig
) -> None:
    config = dataclasses.replace(tiny_config, precision=precision)
    corpus = tiny_corpus.encoded["lower"]
    passage = dataclasses.replace(
        corpus.validation, restoration_bits_per_char=corpus.test.restoration_bits_per_char
    )
    as_test = dataclasses.replace(corpus, validation=corpus.train, test=passage)
    trainer = Trainer(config, corpus)
    scored = score_test_passage(
        trainer.model,
        dataclasses.replace(tiny_corpus, encoded={"lower": as_test}),
        config,
        precision=precision,
    )
    price = score_price(tiny_corpus)
    validated = trainer.validation_nats() / math.log(2) / corpus.validation.num_raw_chars
    assert scored - price == pytest.approx(validated, abs=1e-9)


def score_price(prepared: PreparedCorpus) -> float:
    """Return what restoring the raw test passage costs, in bits per raw character."""
    cased, lower = (
        prepared.floors.of_cleaning[cleaning].test_bits_per_char for cleaning in ("cased", "lower")
    )
    return max(0.0, cased - lower)


def test_why_a_task_failed_is_one_line_and_costs_the_report_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def result_of(given: object) -> object:
        def get(_: object) -> object:
            if isinstance(given, Exception):
                raise given
            return given

        monkeypatch.setattr(ray, "get", get)
        return worker_tasks._result(None)

    scores = TestPassageScores(test_bits_per_char=2.0)
    assert result_of(scores) == scores
    defect = ray.exceptions.RayTaskError("_score", "Traceback …", ZeroDivisionError("division"))
    for loss, reason in (
        (ray.exceptions.WorkerCrashedError(), "The worker died"),
        ("damaged checkpoint x\nat y", "damaged checkpoint x"),
        (defect.as_instanceof_cause(), "ZeroDivisionError: division"),
    ):
        said = result_of(loss)
        assert isinstance(said, str) and said.startswith(reason) and "\n" not in said


def test_no_more_tasks_are_submitted_than_run_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    submitted: list[int] = []
    running: list[int] = []
    room = iter([2, 2, 0, 3, 3, 3, 3])  # a node goes, and another comes

    class Remote:
        def remote(self, _: object, task: Callable[[], int]) -> int:
            submitted.append(task())
            running.append(task())
            return task()

    def first_ends(references: list[int], timeout: float) -> tuple[list[int], list[int]]:
        assert references == running
        return [running.pop(0)], []

    monkeypatch.setattr(ray, "remote", lambda **_: lambda function: Remote())
    monkeypatch.setattr(ray, "wait", first_ends)
    monkeypatch.setattr(ray, "get", lambda reference: 10 * reference)
    of_study = study(None)
    after = dataclasses.replace(
        after_search(of_study, RunFolder.create(tmp_path / "run"), None),
        concurrent=lambda: next(room),
    )
    tasks = {key: functools.partial(int, key) for key in range(5)}
    seen = []
    for key, result in worker_tasks.run_tasks(tasks, after, SearchStopper(None)):
        seen.append((key, result, len(submitted)))
    assert seen == [(0, 0, 2), (1, 10, 3), (2, 20, 3), (3, 30, 5), (4, 40, 5)]


def test_letters_judge_the_best_of_each_cleaning_where_there_are_several() -> None:
    lower, cased = (TrialConfig(cleaning=cleaning) for cleaning in ("lower", "cased"))
    window = TrialConfig(cleaning="letters", regime="window", sequence_length=10)
    assert judged_by_letters([lower, lower, cased, lower, cased, window]) == {0, 2}
    assert judged_by_letters([window, lower, lower]) == set()
    assert judged_by_letters([lower, dataclasses.replace(cased, unit="word")]) == set()
    # With one cleaning the time of the finalists is that of their trainings, and of learning on.
    alike = [dataclasses.replace(each, config=lower) for each in RECORDS[3:5]]
    chosen = choose(alike, 2)
    trainings = left_to_train(study(None), chosen, {})
    times = estimated_times(study(None), trainings, chosen, 1, {})
    learning = dynamic_seconds(1_000, num_symbols=500)
    assert times.seconds == pytest.approx([each + learning for each in times.trained_seconds])


@pytest.mark.slow
def test_what_ctrl_c_left_unscored_is_scored_later(
    trained_checkpoint: Path,
    tiny_corpus: PreparedCorpus,
    tiny_config: TrialConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    letters = dataclasses.replace(tiny_config, cleaning="letters")
    other = Trainer(letters, tiny_corpus.encoded["letters"])
    next(other.reports())
    other.save(tmp_path / "other")
    first, second, of_other, worse = (
        finalist_key(*each) for each in ((4, 0), (4, 1), (6, 0), (7, 0))
    )
    records = {}
    for key, checkpoint, config, bits in (
        (first, trained_checkpoint, tiny_config, 2.0),
        (second, trained_checkpoint, tiny_config, 2.0),
        (of_other, tmp_path / "other", letters, 2.1),
        (worse, trained_checkpoint, tiny_config, 2.2),
    ):
        place = tmp_path / f"ray/session-1/trial_{key:05d}/checkpoint_000000/checkpoint"
        shutil.copytree(checkpoint, place)
        records[key] = dataclasses.replace(record(key, bits), config=config)
    failed = 5 * SEEDS_AT_MOST
    records[failed] = dataclasses.replace(record(failed, None), status=Status.FAILED)
    folder, stopper = RunFolder.create(tmp_path / "run"), SearchStopper(None)

    small = dataclasses.replace(PUBLISHED["tiny-shakespeare"], window_chars=20)
    monkeypatch.setattr(finalist_scores, "PUBLISHED", {"small": small})
    corpus = SimpleNamespace(name="small", is_published=True)
    of_study = SimpleNamespace(prepared=tiny_corpus, corpus=corpus)
    shared: Any = None

    def score() -> Any:
        score_finalists(
            after_search(of_study, folder, shared),
            SimpleNamespace(records=records),  # type: ignore[arg-type]
            CheckpointStore(str(tmp_path / "ray")),
            stopper,
        )
        return FINALIST_TABLE.read(folder.finalists_file)

    stopper.interrupted = True
    assert score()["test_bits_per_char"].isna().all()
    stopper.interrupted = False
    with Cluster(None) as cluster:
        cluster.start()
        # Of a copy: its arrays are the store's from then on.
        shared = SharedCorpus.of(dataclasses.replace(tiny_corpus, encoded={**tiny_corpus.encoded}))
        scored = score()

    def has(column: str) -> list[tuple[int, int]]:
        found = scored[scored[column].notna()]
        return list(zip(found["number"], found["finalist_seed"], strict=True))

    assert has("test_bits_per_char") == [(4, 0), (4, 1), (6, 0), (7, 0)]
    assert has("test_bits_per_letter") == [(4, 0), (4, 1), (6, 0)]  # the best of each cleaning
    assert has("test_bits_per_letter_quarter") == [(4, 0), (6, 0)]
    assert has("test_bits_per_char_cold") == has("test_bits_per_char_dynamic") == [(4, 0)]
    shutil.rmtree(tmp_path / "ray")  # what is scored is not scored again
    assert score().equals(scored)
