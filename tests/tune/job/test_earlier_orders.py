"""Orders that a session left when it was killed, unread or half carried out."""

import dataclasses
from collections.abc import Callable, Collection, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from hand_made_run import STUDY
from hand_made_trials import epoch_record
from model.errors import ConfigError
from search_spaces import load_space
from tune.job import job
from tune.job.job import most_at_once
from tune.job.search import asha_of, promoted
from tune.job.steering import (
    Steering,
    additions,
    overridden_by,
    settle_ordered,
    without_ordered_budget,
)
from tune.planning.study import StudyOptions
from tune.records.history import (
    EpochEnded,
    History,
    OrderCarriedOut,
    OrderGiven,
    TrialEnded,
    TrialStarted,
)
from tune.records.order_table import ORDER_TABLE
from tune.records.orders import Action, Order
from tune.records.run_folder import RunFolder
from tune.records.trial import Status
from tune.storage.requests import CONTROL_FOLDER, OPEN_MARK, Requests, leave_request
from tune.trials.asha import FairASHA
from tune.trials.stopper import SearchStopper

SPACE = load_space("quick")
ADD = Order(action=Action.ADD, config={"hidden_size": 50})
WORKERS = Order(action=Action.WORKERS, workers=1)


class Session:
    """One session's steering of a run in the working folder, with stand-ins around it."""

    def __init__(
        self,
        history: History,
        *,
        overridden: Collection[Action] = (),
        after_copy: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        self.folder = RunFolder(Path.cwd())
        self.requests = Requests([str(self.folder.path)], lambda line: None, after_copy=after_copy)
        self.history = history
        self.stopper = SearchStopper(None)
        self.searcher, self.limit_workers = Mock(), Mock()
        self.steering = Steering(
            history=history,
            folder=self.folder,
            requests=self.requests,
            space=SPACE,
            tell=lambda record: None,
            replace_budget=lambda seconds: None,
            stopper=self.stopper,
            scheduler=FairASHA(SPACE.budget, max_reports=SPACE.max_reports),
            searcher=self.searcher,
            limit_workers=self.limit_workers,
            overridden=overridden,
        )

    def refused(self, order: Order) -> str:
        return self.history.orders[order.id].refused


@pytest.fixture
def history() -> Iterator[History]:
    with History(Path("history.jsonl")) as opened:
        yield opened


def open_requests() -> None:
    """Let requests be left, as a driver does whose search is about to run."""
    mark = Path(CONTROL_FOLDER, OPEN_MARK)
    mark.parent.mkdir(exist_ok=True)
    mark.touch()


def begin(history: History, order: Order) -> None:
    """Begin the trial of an order as a driver does that is killed right after it."""
    config = SPACE.config({**SPACE.point(SPACE.base.to_dict()), **(order.config or {})})
    event = TrialStarted(
        number=7, baseline="", config=config.to_dict(), search_seconds=2.0, order_id=order.id
    )
    history.add(event)


def test_unread_end_of_an_earlier_session_is_refused_and_other_orders_wait(
    history: History,
) -> None:
    stale, fresh = Order(action=Action.END), Order(action=Action.END)
    open_requests()
    for order in (stale, WORKERS):
        leave_request(str(Path.cwd()), order)
    session = Session(history)
    with session.requests:
        session.steering.resume()
        session.limit_workers.assert_not_called()  # until trials run
        session.steering.carry_out()
        session.limit_workers.assert_called_once_with(1)
        assert not session.stopper.interrupted
        assert session.refused(stale).startswith("the session it was given to ended")
        assert not session.refused(WORKERS)
    table = ORDER_TABLE.read(session.folder.orders_file)
    assert table[table["order"] == "end"]["refused"].notna().all()
    # One that comes while Ray starts is for this session.
    session = Session(history)
    with session.requests:
        leave_request(str(Path.cwd()), fresh)
        session.requests._look()
        session.steering.carry_out()
        assert session.stopper.interrupted and not session.refused(fresh)


def test_end_that_was_read_and_not_carried_out_ends_no_later_session(history: History) -> None:
    stale = Order(action=Action.END)
    for order in (stale, WORKERS):
        history.add(OrderGiven(order=order, search_seconds=1.0))
    session = Session(history)
    session.steering.resume()
    assert not session.stopper.interrupted
    assert session.refused(stale).startswith("the session it was given to ended")
    session.limit_workers.assert_called_once_with(1)


@pytest.mark.parametrize("has_ended", [False, True])
def test_configuration_that_has_begun_is_not_tried_again(
    history: History, has_ended: bool
) -> None:
    history.add(OrderGiven(order=ADD, search_seconds=1.0))
    begin(history, ADD)
    if has_ended:
        end = TrialEnded(number=7, status=Status.FAILED, error="lost", search_seconds=3.0)
        history.add(end)
    session = Session(history)
    assert additions(history) == []
    session.steering.resume()
    session.searcher.try_next.assert_not_called()
    record = history.orders[ADD.id]
    assert (record.is_open, record.trial, record.refused) == (False, 7, "")


@pytest.mark.parametrize("is_read", [False, True])
def test_trial_that_asha_stops_as_a_user_does_is_promoted_no_more(
    history: History, is_read: bool
) -> None:
    """The order came while the checkpoint of its rung was being saved."""
    stop, finish = (Order(action=action, trial=7) for action in (Action.STOP, Action.FINISH))
    begin(history, ADD)
    for number, report in enumerate((1, 2), start=1):
        epoch = epoch_record(7, report, search_seconds=3.0 + number)
        history.add(
            EpochEnded(epoch=epoch, precision="float32", num_parameters=5, vocabulary_size=3)
        )
    session = Session(history)
    session.steering.resume()
    if is_read:
        session.steering._give(stop)
        session.steering.trial_ends(7, Status.PRUNED)
    else:  # its driver is killed before it closes the order
        history.add(OrderGiven(order=stop, search_seconds=4.0))
    history.add(TrialEnded(number=7, status=Status.PRUNED, error="", search_seconds=6.0))
    settle_ordered(history)
    assert (history.orders[stop.id].is_open, session.refused(stop)) == (False, "")
    study: Any = SimpleNamespace(space=SPACE)
    scheduler = asha_of(study, history)
    assert scheduler.replay(history.records.values()) == {7}
    assert promoted(scheduler, history, is_last=True) is None
    session.steering._give(finish)
    assert session.refused(finish).endswith("got 7, which is PRUNED")


@pytest.mark.parametrize("status", [Status.COMPLETE, Status.DIVERGED, Status.FAILED])
def test_order_to_stop_a_trial_that_has_ended_by_itself_is_refused(
    history: History, status: Status
) -> None:
    stop = Order(action=Action.STOP, trial=7)
    begin(history, ADD)
    history.add(OrderGiven(order=stop, search_seconds=4.0))
    history.add(TrialEnded(number=7, status=status, error="", search_seconds=6.0))
    settle_ordered(history)
    assert history.orders[stop.id].refused == f"the trial had already ended as {status.value}"
    assert not history.records[7].is_stopped_by_hand


def test_configuration_that_has_not_begun_is_tried_or_refused_at_the_end(
    history: History,
) -> None:
    tried = Order(action=Action.ADD, config={"hidden_size": 40})
    for order in (ADD, tried):
        history.add(OrderGiven(order=order, search_seconds=1.0))
    begin(history, tried)
    history.add(OrderCarriedOut(id=tried.id, search_seconds=2.0, trial=7))
    session = Session(history)
    assert [each.order for each in additions(history)] == [ADD]
    session.steering.resume()
    ((point, order_id), _) = session.searcher.try_next.call_args
    assert (point["hidden_size"], order_id) == (50, ADD.id)
    session.steering.search_ends()  # it came in the instant after the last proposal
    assert session.refused(ADD) == "it came after the search's last trial"
    assert additions(history) == []


def test_budget_that_comes_after_the_searchs_time_is_refused(history: History) -> None:
    early, late = (Order(action=Action.BUDGET, time_budget_seconds=t) for t in (3600.0, 7200.0))
    session = Session(history)
    for order in (early, late):
        session.stopper.timed_out = order is late  # its trials end their epochs
        open_requests()
        leave_request(str(Path.cwd()), order)
        with session.requests if order is early else nullcontext():
            session.requests._look()
            session.steering.carry_out()
    assert not session.refused(early)
    assert session.refused(late).startswith("it came after the time budget ended")
    assert session.stopper.seconds_left() == pytest.approx(3600, abs=60)


@pytest.mark.parametrize("was_read", [False, True])
@pytest.mark.parametrize(
    ("said", "overridden"),
    [
        ({}, set()),
        ({"time_budget": "3h"}, {Action.BUDGET}),
        ({"trials": 20}, {Action.BUDGET}),  # which have no time limit
        ({"max_concurrent": 2}, {Action.WORKERS}),
    ],
)
def test_command_line_wins_over_orders_of_earlier_sessions(
    history: History, was_read: bool, said: dict[str, Any], overridden: set[Action]
) -> None:
    orders = WORKERS, Order(action=Action.BUDGET, time_budget_seconds=60.0), ADD
    open_requests()
    for order in orders:
        if was_read:
            history.add(OrderGiven(order=order, search_seconds=1.0))
        else:
            leave_request(str(Path.cwd()), order)
    session = Session(history, overridden=overridden_by(StudyOptions(**said)))
    with session.requests:
        session.steering.resume()
        session.steering.carry_out()
        refused = {order.action for order in orders if session.refused(order)}
        assert refused == overridden
        assert session.limit_workers.called == (Action.WORKERS not in overridden)
        assert (session.stopper.seconds_left() is None) == (Action.BUDGET in overridden)
        session.searcher.try_next.assert_called_once()
        # What is ordered of this session is carried out, whatever its command line says.
        now = Order(action=Action.BUDGET, time_budget_seconds=90.0)
        leave_request(str(Path.cwd()), now)
        session.requests._look()
        session.steering.carry_out()
    assert not session.refused(now) and session.stopper.seconds_left() is not None


def test_order_stays_until_the_history_that_has_it_is_copied(history: History) -> None:
    copied: list[Callable[[], None]] = []
    budget = Order(action=Action.BUDGET, time_budget_seconds=3600.0)
    session = Session(history, after_copy=copied.append)
    with session.requests:
        leave_request(str(Path.cwd()), budget)
        session.requests._look()
        session.steering.carry_out()
    file = Path(CONTROL_FOLDER, f"{budget.id}.json")
    assert not session.refused(budget) and file.exists()
    # Its machine is lost: another one has the history as it was before.
    with History(Path("copy.jsonl")) as copy:
        again = Session(copy)
        with again.requests:
            again.steering.carry_out()
        assert not again.refused(budget)
        assert again.stopper.seconds_left() == pytest.approx(3600, abs=60)
    assert not file.exists()
    # Or it is not lost, and the order is not given twice.
    file.parent.mkdir()
    file.touch()
    (action,) = copied
    action()
    assert not file.exists()


def test_command_line_that_is_said_again_does_not_win_over_orders(history: History) -> None:
    """As a job's does that Slurm queues again; a new one does."""
    asked = StudyOptions(space="quick", trials=200, max_concurrent=4, name="a", or_resume=True)
    assert overridden_by(asked) == set()
    assert without_ordered_budget(asked, history) == asked
    for number, order in enumerate(
        (Order(action=Action.BUDGET, time_budget_seconds=60.0), WORKERS), start=1
    ):
        history.add(OrderGiven(order=order, search_seconds=float(number)))
    left = without_ordered_budget(asked, history)
    assert (left.trials, left.time_budget) == (None, None)
    study: Any = SimpleNamespace(earlier=SimpleNamespace(search=history))
    assert most_at_once(study, asked) == 1
    assert most_at_once(study, dataclasses.replace(asked, or_resume=False)) == 4
    event = OrderCarriedOut(id=WORKERS.id, search_seconds=3.0, refused="for a reason")
    history.add(event)
    assert most_at_once(study, asked) == 4


def test_driver_that_is_refused_leaves_the_first_ones_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder.create(tmp_path / "ten", STUDY)
    plan = Mock()
    plan.study.earlier.folder, plan.study.mirror_root = folder, None
    monkeypatch.setattr(job, "study_file", Mock())
    with History(folder.history_file), Requests([str(folder.path)], print):
        with pytest.raises(ConfigError, match="one driver"):
            job._carried_out(plan, Mock(), Mock(), Mock())
        leave_request(str(folder.path), ADD)
