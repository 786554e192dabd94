"""Carries out a user's orders to a running search; the history records what and when."""

import dataclasses
from collections.abc import Callable, Collection

from model.errors import ConfigError
from search_spaces import SearchSpace
from tune.monitoring.control import check_order, point_of
from tune.planning.study import Study, StudyOptions
from tune.records.history import History, OrderCarriedOut, OrderGiven, TrialEnded
from tune.records.order_table import write_orders
from tune.records.orders import Action, Order, OrderRecord
from tune.records.run_folder import RunFolder
from tune.records.search_record import SearchRecord
from tune.records.trial import Status
from tune.sampling.searcher import StudySearcher
from tune.storage.requests import Requests
from tune.trials.asha import FairASHA
from tune.trials.stopper import SearchStopper

_EARLIER = "the session it was given to ended before carrying it out"
_OVERRIDDEN = "it was given to an earlier session, and the command line overrides it"
_TOO_LATE = "it came after the search's last trial"
_TIME_IS_UP = "it came after the time budget ended; resume with a larger --time-budget"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Steering:
    """Carries out the orders of one session.

    Attributes:
        history: The search's events.
        folder: Its run folder.
        requests: Where orders come from.
        space: The search space.
        tell: Shows an order that was given, carried out or refused.
        replace_budget: Replaces the study's time budget, in seconds.
        stopper: Ends trials and the search.
        scheduler: Stops trials.
        searcher: Proposes trials.
        limit_workers: Limits the number of concurrent trials.
        overridden: Kinds of earlier sessions' orders that the command line replaces.
    """

    history: History
    folder: RunFolder
    requests: Requests
    space: SearchSpace
    tell: Callable[[OrderRecord], None]
    replace_budget: Callable[[float], None]
    stopper: SearchStopper
    scheduler: FairASHA
    searcher: StudySearcher
    limit_workers: Callable[[int], None]
    overridden: Collection[Action] = ()

    def resume(self) -> None:
        """Carry out orders that earlier sessions left open, except those that no longer apply.

        Orders that they have not read wait until trials run: for example, fewer workers must not
        keep a trial that is to be stopped from its next report.
        """
        begun = _begun(self.history)
        for record in list(self.history.orders.values()):
            if not record.is_open:
                continue
            if record.order.id in begun:  # its driver was killed between the two events
                self._close(record, trial=begun[record.order.id])
            else:
                self._check_and_carry_out(record, is_earlier=True)

    def carry_out(self) -> None:
        """Carry out the orders since the last call."""
        for order in self.requests.take():
            # If it is there, a driver was killed before it removed the file.
            if order.id not in self.history.orders:
                self._give(order)
            self.requests.done(order.id)

    def _give(self, order: Order) -> None:
        given = OrderGiven(order=order, search_seconds=self.stopper.seconds())
        record = self.history.add(given)
        self._check_and_carry_out(record, is_earlier=self.requests.is_earlier(order.id))

    def _check_and_carry_out(self, record: OrderRecord, *, is_earlier: bool) -> None:
        if refused := self._why_refused(record.order, is_earlier=is_earlier):
            self._close(record, refused=refused)
        else:
            self._carry_out(record)

    def _why_refused(self, order: Order, *, is_earlier: bool) -> str:
        if is_earlier and order.action is Action.END:
            return _EARLIER
        if is_earlier and order.action in self.overridden:
            return _OVERRIDDEN
        try:
            check_order(order, self.space, lambda: self.history.records)
        except ConfigError as error:
            return str(error)
        is_late = order.action is Action.BUDGET and self.stopper.timed_out
        return _TIME_IS_UP if is_late else ""  # Ray knows that nothing follows

    def _carry_out(self, record: OrderRecord) -> None:
        order = record.order
        if order.action is Action.STOP:
            assert order.trial is not None
            self.stopper.stop_trial(order.trial)
            self._write_and_tell(record)  # it ends with its next report
            return
        if order.action is Action.ADD:
            assert order.config is not None
            self.searcher.try_next(point_of(order.config, self.space), order.id)
            self._write_and_tell(record)  # it starts when a worker is free
            return
        if order.trial is not None:
            self.scheduler.let_finish(order.trial)
        if order.workers is not None:
            self.limit_workers(order.workers)
        if order.time_budget_seconds is not None:
            self.stopper.set_time_budget(order.time_budget_seconds)
            self.replace_budget(order.time_budget_seconds)
        self._close(record)
        if order.action is Action.END:
            self.stopper.interrupted = True

    def trial_started(self, number: int, order_id: str) -> None:
        """Learn that an added configuration has become a trial."""
        record = self.history.orders[order_id]
        if record.is_open:
            self._close(record, trial=number)

    def trial_ends(self, number: int, status: Status) -> None:
        """Learn how a trial ends, just before the history does."""
        for record in list(self.history.orders.values()):
            is_its = record.order.action is Action.STOP and record.order.trial == number
            if is_its and record.is_open:
                self._close(record, refused=_refusal(status))

    def search_ends(self) -> None:
        """Refuse configurations added as the search ended: nothing more is tried."""
        for record in additions(self.history):
            self._close(record, refused=_TOO_LATE)

    def _close(self, record: OrderRecord, *, trial: int | None = None, refused: str = "") -> None:
        trial = record.order.trial if trial is None else trial
        known = None if trial is None else self.history.records.get(trial)
        event = OrderCarriedOut(
            id=record.order.id,
            search_seconds=self.stopper.seconds(),
            trial=trial,
            epochs=known.epochs_run if known else None,
            refused=refused,
        )
        self._write_and_tell(self.history.add(event))

    def _write_and_tell(self, record: OrderRecord) -> None:
        write_orders(self.history.orders.values(), self.folder.orders_file)
        self.tell(record)


def _refusal(status: Status) -> str:
    """Return why a trial that a user stops has ended on its own; empty if it has not.

    One that ASHA stops with its last report has not: it will not be promoted.
    """
    by_itself = status in (Status.COMPLETE, Status.DIVERGED, Status.FAILED)
    return f"the trial had already ended as {status.value}" if by_itself else ""


def _begun(history: SearchRecord) -> dict[str, int]:
    """Return the ids of orders that have become trials, with the trials' numbers."""
    return {each.order_id: each.number for each in history.records.values() if each.order_id}


def additions(history: SearchRecord) -> list[OrderRecord]:
    """Return the configurations that a user added and that have not been tried yet."""
    begun = _begun(history)
    return [
        record
        for record in history.orders.values()
        if record.is_open and record.order.action is Action.ADD and record.order.id not in begun
    ]


def settle_ordered(history: History) -> None:
    """End trials that a user had stopped when the driver was killed: else they would resume."""
    seconds = history.seconds()
    for order in list(history.orders.values()):
        if order.order.action is not Action.STOP or order.refused or order.trial is None:
            continue
        record = history.records.get(order.trial)
        if record is None:  # killed before it was refused
            continue
        if order.is_open:
            history.add(
                OrderCarriedOut(
                    id=order.order.id,
                    search_seconds=seconds,
                    epochs=record.epochs_run,
                    refused=_refusal(record.status),
                )
            )
        if not record.has_ended and record.status is not Status.STOPPED:
            number = order.trial
            history.add(
                TrialEnded(number=number, status=Status.STOPPED, error="", search_seconds=seconds)
            )


def let_finish_again(scheduler: FairASHA, history: SearchRecord) -> None:
    """Keep ASHA from stopping the trials that earlier sessions let finish."""
    for order in history.orders.values():
        if order.order.action is Action.FINISH and not order.refused and order.trial is not None:
            scheduler.let_finish(order.trial)


def workers_ordered(history: SearchRecord) -> int | None:
    """Return the number of workers ordered last; None without such an order."""
    ordered = [each.order.workers for each in history.orders.values() if not each.refused]
    return next((number for number in reversed(ordered) if number is not None), None)


def without_ordered_budget(options: StudyOptions, search: SearchRecord) -> StudyOptions:
    """Return a repeated command line without the budget that an order has replaced."""
    ordered = {each.order.action for each in search.orders.values() if not each.refused}
    if Action.BUDGET not in ordered:
        return options
    return dataclasses.replace(options, time_budget=None, trials=None)


def overridden_by(options: StudyOptions) -> set[Action]:
    """Return the kinds of orders for which a new command line has options."""
    if options.or_resume:
        return set()
    options_of = {
        Action.WORKERS: (options.max_concurrent,),
        Action.BUDGET: (options.time_budget, options.trials),  # trials have no time limit
    }
    return {action for action, said in options_of.items() if any(said)}


def with_time_budget(study: Study, seconds: float) -> Study:
    """Return a study with another time budget."""
    budget = dataclasses.replace(study.space.budget, time_budget_seconds=seconds)
    return dataclasses.replace(study, space=dataclasses.replace(study.space, budget=budget))
