import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from model.errors import ExternalFault
from model.system.terminal import SIGNALS, end_on_signals, take_signals_back
from tune.records.trial import Outcome
from tune.trials import stopper as stopping
from tune.trials.stopper import SearchStopper


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let so many seconds pass on the stopper's clock, which nothing else moves."""
    now = [100.0]
    monkeypatch.setattr(stopping, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def wait(seconds: float) -> None:
        now[0] += seconds

    return wait


def test_time_budget_ends_the_search(wait: Callable[[float], None]) -> None:
    stopper = SearchStopper(60)
    wait(90)  # before the start nothing counts
    stopper.start()
    assert not stopper.stop_all()
    wait(59)
    assert not stopper.stop_all() and stopper.seconds_left() == 1
    wait(1)
    assert stopper.stop_all() and stopper.timed_out and not stopper.interrupted
    assert stopper.seconds_left() == 0


@pytest.mark.parametrize(("budget_seconds", "grace_seconds"), [(100, 10), (1_000, 50)])
def test_when_the_time_is_up_running_trials_may_end_their_epoch(
    budget_seconds: float, grace_seconds: float, wait: Callable[[float], None]
) -> None:
    training, finished = {"outcome": "TRAINING"}, {"outcome": "FINISHED"}
    running = ["one", "two", "three"]
    stopper = SearchStopper(budget_seconds)
    stopper.start(lambda: len(running))
    assert not stopper("one", training)
    wait(budget_seconds)
    assert not stopper.stop_all() and stopper.timed_out
    assert stopper("one", training) and stopper.has_cut_off("one")
    # These end by themselves.
    assert not stopper("two", finished) and not stopper.has_cut_off("two")
    assert not stopper("three", {"outcome": "FAILED"})
    # Its worker died as it saved; the next one trained the last epoch within the grace.
    assert not stopper("one", finished) and not stopper.has_cut_off("one")
    del running[:2]
    wait(grace_seconds - 1)
    assert not stopper.stop_all()
    wait(2)
    assert stopper.stop_all()  # one that hangs ends no search late


def test_finalists_train_on_for_a_twentieth_of_the_budget(wait: Callable[[float], None]) -> None:
    stopper = SearchStopper(1_000, may_be_late=True)
    stopper.start(lambda: 1)
    wait(1_049)
    assert not stopper.stop_all() and stopper.seconds_left() == 0
    assert not stopper("one", {"outcome": "TRAINING"})
    wait(1)
    assert not stopper.stop_all() and stopper.timed_out
    assert stopper("one", {"outcome": "TRAINING"})
    wait(11)
    assert stopper.stop_all()


def test_when_the_time_is_up_the_last_running_trial_ends_the_search(
    wait: Callable[[float], None],
) -> None:
    running = ["one"]
    stopper = SearchStopper(100)
    stopper.start(lambda: len(running))
    wait(100)
    assert not stopper.stop_all()
    running.clear()
    assert stopper.stop_all()


def test_reserve_is_asked_for_in_the_thread_that_runs_the_search(
    wait: Callable[[float], None],
) -> None:
    asked: list[str] = []

    def reserve() -> float:
        asked.append(threading.current_thread().name)
        return 40.0

    stopper = SearchStopper(100.0, reserve_seconds=reserve)
    terminal = threading.Thread(target=stopper.seconds_left)
    terminal.start()
    terminal.join()
    assert asked == []
    assert not stopper.stop_all()
    assert asked == [threading.current_thread().name]
    assert stopper.seconds_left() == 60
    wait(5)
    assert stopper.seconds_left() == 55


def test_checks_that_take_long_are_rare(wait: Callable[[float], None]) -> None:
    asked = []

    def settled() -> str:
        asked.append(True)
        wait(1.0)  # it takes so long
        return ""

    stopper = SearchStopper(None, why_settled=settled)
    for _ in range(4):
        assert not stopper.stop_all()
        wait(6.0)
    assert len(asked) == 1  # a twentieth of the time, or less
    wait(3.0)
    assert not stopper.stop_all() and len(asked) == 2


def test_without_a_budget_it_never_ends() -> None:
    stopper = SearchStopper(None)
    assert stopper.seconds_left() is None
    assert not stopper.stop_all()
    assert not stopper("trial", {})


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_is_graceful_the_second_is_not(number: signal.Signals) -> None:
    stopper = SearchStopper(None)
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), stopper.catching_signals():
        os.kill(os.getpid(), number)
        assert stopper.stop_all() and stopper.interrupted
        stopper.check()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
        # Ray may have caught it.
        with pytest.raises(KeyboardInterrupt):
            stopper.check()
    assert signal.getsignal(number) == before


def test_signal_after_an_order_to_end_is_the_first() -> None:
    stopper = SearchStopper(None)
    with pytest.raises(KeyboardInterrupt), stopper.catching_signals():
        stopper.interrupted = True  # as `tune.control RUN end` does
        os.kill(os.getpid(), signal.SIGINT)
        assert stopper.stop_all()
        stopper.check()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def own_signals() -> Iterator[None]:
    """Let a test set the handlers that `main` sets."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_signal_that_was_lost_before_the_search_ends_it(
    number: signal.Signals, own_signals: None
) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    end_on_signals()
    take_signals_back()
    with SearchStopper(None).catching_signals():
        pass
    with pytest.raises(KeyboardInterrupt):  # as C code may do, which then goes on
        os.kill(os.getpid(), number)
    stopper = SearchStopper(None)
    with stopper.catching_signals():
        assert stopper.stop_all() and stopper.interrupted


def test_sigterm_is_taken_back_from_ray(own_signals: None) -> None:
    end_on_signals()
    ours = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    take_signals_back()
    assert signal.getsignal(signal.SIGTERM) == ours


def test_storage_that_cannot_be_written_ends_the_search() -> None:
    stopper = SearchStopper(None)
    stopper.check()
    assert not stopper.stop_all()
    stopper.unwritable = "No space left on device"
    assert stopper.stop_all()
    with pytest.raises(ExternalFault, match="No space left on device"):
        stopper.check()


def test_trial_that_a_user_stops_ends_with_its_next_report() -> None:
    stopper = SearchStopper(None)
    report = {"outcome": Outcome.TRAINING, "config": {"number": 7}}
    assert not stopper("a", report)
    stopper.stop_trial(7)
    assert not stopper("b", {"outcome": Outcome.TRAINING, "config": {"number": 8}})
    assert not stopper("a", {"outcome": Outcome.FINISHED, "config": {"number": 7}})
    assert stopper("a", report)
    assert stopper.has_cut_off("a")


def test_only_what_settled_is_called_so() -> None:
    useless = SearchStopper(None, why_settled=lambda: "the rest is noise")
    useless.end_early("the first ten failed")
    assert useless.stop_all() and useless.ended_early == "the first ten failed"
    assert not useless.is_settled
    settled = SearchStopper(None, why_settled=lambda: "the rest is noise")
    assert settled.stop_all() and settled.is_settled
