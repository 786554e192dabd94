"""What earlier sessions left: whether the search is over, how it ended, how long it took."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hand_made_run import STUDY
from hand_made_trials import epoch_record, search_ended
from model.config import TrialConfig
from search_spaces import load_space
from tune.job.found_before import found_before, is_spent
from tune.job.study_json import how_it_ended
from tune.planning.study import EarlierSessions
from tune.planning.training_time import num_settled
from tune.records.finalist_table import finalist_key
from tune.records.history import (
    EpochEnded,
    History,
    OrderCarriedOut,
    OrderGiven,
    TrialEnded,
    TrialStarted,
)
from tune.records.orders import Action, Order
from tune.records.run_folder import RunFolder
from tune.records.search_record import SearchEnded
from tune.records.study_file import STILL_RUNNING, StudySettings
from tune.records.trial import Status

CONFIG = TrialConfig(epochs=30, decay_fraction=0.0)
TIMED_OUT = search_ended(
    search_seconds=420.0, timed_out=True, trials=100, time_budget_seconds=600.0
)
DONE = dataclasses.replace(TIMED_OUT, timed_out=False, trials=2)
SETTLED = dataclasses.replace(DONE, trials=100, ended_early="the rest is noise", is_settled=True)
ADD = Order(action=Action.ADD, config={"hidden_size": 50})


def study(time_budget_seconds: float | None, num_trials: int = 100, **settings: Any) -> Any:
    space = load_space("full")
    budget = dataclasses.replace(
        space.budget, time_budget_seconds=time_budget_seconds, trials=num_trials
    )
    return SimpleNamespace(
        space=dataclasses.replace(space, budget=budget),
        settings=StudySettings(**settings),
        num_trials=num_trials,
        wants_finalists=True,
        reserves_time=True,
    )


def start(history: History, number: int, seconds: float = 0.0, order_id: str = "") -> None:
    config = dataclasses.replace(CONFIG, seed=number).to_dict()
    history.add(
        TrialStarted(
            number=number,
            baseline="",
            config=config,
            search_seconds=seconds,
            order_id=order_id,
        )
    )


def end(history: History, number: int, seconds: float, status: Status = Status.COMPLETE) -> None:
    event = TrialEnded(number=number, status=status, error="", search_seconds=seconds)
    history.add(event)


def report(history: History, number: int, bits: float, seconds: float) -> None:
    epoch = epoch_record(number, 1, bits=bits, search_seconds=seconds)
    history.add(EpochEnded(epoch=epoch, precision="float32", num_parameters=5, vocabulary_size=3))


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """Return the run of two trials, one of which was cut off."""
    run = RunFolder.create(tmp_path / "run")
    run.write_study(dataclasses.replace(STUDY, search_seconds=0.0, ended=STILL_RUNNING))
    with History(run.history_file) as history:
        for number in (0, 1):
            start(history, number)
        end(history, 0, 400.0)
        end(history, 1, 420.0, Status.STOPPED)
    return run


def train_finalist(folder: RunFolder, seconds: float) -> None:
    with History(folder.finalists_history_file) as finalists:
        start(finalists, finalist_key(0, 0), 430.0)
        end(finalists, finalist_key(0, 0), seconds)


def ended(folder: RunFolder, event: SearchEnded) -> None:
    with History(folder.history_file) as history:
        history.add(event)
    train_finalist(folder, 470.0)


def spent(folder: RunFolder, asked: Any) -> bool:
    return is_spent(asked, EarlierSessions.of(folder), 1)


def reason(folder: RunFolder, asked: Any) -> str:
    return how_it_ended(found_before(asked, EarlierSessions.of(folder)))


def test_search_whose_time_was_over_does_not_go_on_in_that_of_its_finalists(
    folder: RunFolder,
) -> None:
    ended(folder, TIMED_OUT)
    asked = study(600.0)
    assert spent(folder, asked)
    found = found_before(asked, EarlierSessions.of(folder))
    assert found.timed_out and found.seconds == 470.0
    assert spent(folder, study(600.0, finalists=5))
    assert spent(folder, study(300.0))
    assert spent(folder, study(600.0, num_trials=200))  # it had no time for the first hundred
    with History(folder.history_file) as history:
        history.add(OrderGiven(order=ADD, search_seconds=419.0))
    assert spent(folder, asked)
    for more in (study(601.0), study(None)):
        assert not spent(folder, more)
    # One of those was begun, and its driver was killed: the search is not over any more.
    with History(folder.history_file) as history:
        start(history, 2, 475.0)
    assert not spent(folder, study(600.0))
    assert not found_before(study(600.0), EarlierSessions.of(folder)).timed_out


def test_search_of_before_there_was_the_event_is_read_by_its_clock(folder: RunFolder) -> None:
    train_finalist(folder, 470.0)
    assert not spent(folder, study(600.0))
    assert reason(folder, study(600.0)) == "all trials done"
    assert spent(folder, study(470.0))
    assert reason(folder, study(470.0)) == "ended by its time budget"
    # Its trials were done in time: it was the finalists that took longer.
    assert reason(folder, study(470.0, num_trials=1)) == "all trials done"
    assert spent(folder, study(600.0, num_trials=1))


def test_search_whose_trials_are_done_goes_on_for_more_of_them(folder: RunFolder) -> None:
    with History(folder.history_file) as history:
        end(history, 1, 420.0)
    ended(folder, DONE)
    assert spent(folder, study(600.0, num_trials=2))
    assert reason(folder, study(600.0, num_trials=2)) == "all trials done"
    assert spent(folder, study(900.0, num_trials=2))  # of these there is none
    assert not spent(folder, study(600.0, num_trials=3))
    assert spent(folder, study(470.0, num_trials=3))  # but its time is over
    with History(folder.history_file) as history:
        history.add(OrderGiven(order=ADD, search_seconds=419.0))
    assert not spent(folder, study(600.0, num_trials=2))
    with History(folder.history_file) as history:
        history.add(OrderCarriedOut(id=ADD.id, search_seconds=421.0, refused="too late"))
    assert spent(folder, study(600.0, num_trials=2))


def test_settled_search_goes_on_where_it_is_not_to_end_so(folder: RunFolder) -> None:
    ended(folder, SETTLED)
    settles = study(600.0, stop_when_settled=True)
    assert spent(folder, settles)
    assert reason(folder, settles) == "ended early: the rest is noise"
    assert not spent(folder, study(600.0))
    assert not spent(folder, study(600.0, num_trials=200, stop_when_settled=True))


def test_search_that_ended_early_for_its_trials_failed_stays_so(folder: RunFolder) -> None:
    ended(folder, dataclasses.replace(SETTLED, is_settled=False, ended_early="all failed"))
    assert spent(folder, study(600.0))
    assert reason(folder, study(600.0)) == "ended early: all failed"
    assert not spent(folder, study(900.0))


def test_time_of_all_sessions_counts_when_a_search_is_resumed(folder: RunFolder) -> None:
    def seconds() -> float:
        return found_before(study(900.0), EarlierSessions.of(folder)).seconds

    assert seconds() == 420.0
    train_finalist(folder, 550.0)
    assert seconds() == 550.0
    # Scoring and predictor are in no history.
    stored = folder.read_study()
    folder.write_study(dataclasses.replace(stored, search_seconds=700.0))
    assert seconds() == 700.0
    assert not spent(folder, study(701.0))
    assert spent(folder, study(700.0))


def test_baseline_that_has_had_its_time_is_done(folder: RunFolder) -> None:
    train_finalist(folder, 590.0)
    earlier = EarlierSessions.of(folder)
    asked = study(590.0, num_trials=2)
    assert found_before(asked, earlier).timed_out
    earlier.search.records[1].has_had_its_time = True
    assert not found_before(asked, earlier).timed_out
    assert is_spent(asked, earlier, 1)


def test_no_trial_is_left_where_more_have_ended_than_are_asked_for(folder: RunFolder) -> None:
    with History(folder.history_file) as history:
        for number in range(2, 5):
            start(history, number)
            end(history, number, 430.0)
    earlier = EarlierSessions.of(folder)
    records = earlier.search.records.values()
    for num_trials, is_over in ((6, False), (5, False), (4, True), (3, True)):
        asked = study(None, num_trials)
        assert num_settled(asked, records, 2) == 4
        assert is_spent(asked, earlier, 2) == is_over


@pytest.mark.parametrize(("added", "open_trial"), [(5, 1), (5, 5), (2, 1)])
def test_trial_that_was_added_after_the_last_takes_no_others_place(
    folder: RunFolder, added: int, open_trial: int
) -> None:
    """A kill left one of the search's own trials open, or the added one itself."""
    with History(folder.history_file) as history:
        for number in range(2, 6):
            start(history, number, order_id=ADD.id if number == added else "")
        for number in {1, 2, 3, 4, 5} - {open_trial}:
            end(history, number, 430.0)
    own = 5 if added == 5 else 6
    assert not spent(folder, study(None, own))
    assert reason(folder, study(430.0, own)) == "ended by its time budget"
    with History(folder.history_file) as history:
        start(history, open_trial, 440.0)
        end(history, open_trial, 450.0)
    assert spent(folder, study(None, own))
    assert reason(folder, study(430.0, own)) == "all trials done"


@pytest.mark.parametrize("promotes", [True, False])
def test_trial_that_is_to_go_on_from_its_rung_is_not_forgotten(
    tmp_path: Path, promotes: bool
) -> None:
    """The driver was killed between the last trial's end and the proposal that follows."""
    run = RunFolder.create(tmp_path / "run")
    run.write_study(STUDY)
    with History(run.history_file) as history:
        for number, bits in enumerate((2.5, 2.1, 2.3, 2.7)):
            start(history, number, 10.0 * number)
            report(history, number, bits, 10.0 * number + 5)
            end(history, number, 10.0 * number + 5, Status.PRUNED)
    asked = study(None, num_trials=4)
    budget = dataclasses.replace(asked.space.budget, promotes=promotes, grace_period_epochs=1)
    asked.space = dataclasses.replace(asked.space, budget=budget)
    assert spent(run, asked) != promotes
    # Two of four may go on when no other will come. The second is the one a user lets finish.
    with History(run.history_file) as history:
        for number in (1, 2):
            start(history, number, 50.0 + number)
            end(history, number, 60.0 + number)
    assert spent(run, asked)
    finish = Order(action=Action.FINISH, trial=3)
    with History(run.history_file) as history:
        history.add(OrderGiven(order=finish, search_seconds=70.0))
    assert spent(run, asked) != promotes
    with History(run.history_file) as history:  # in the end it came to nothing
        history.add(dataclasses.replace(DONE, trials=4, time_budget_seconds=None))
    assert spent(run, asked)
