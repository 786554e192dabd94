"""The history of a search: what is written is read again, after a kill too."""

import dataclasses
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from hand_made_trials import epoch_record
from model.config import TrialConfig
from model.errors import ConfigError
from tune.records.history import (
    EpochEnded,
    Event,
    History,
    TrialEnded,
    TrialStarted,
    line_of,
)
from tune.records.history_lock import check_no_driver
from tune.records.trial import Status, TrialRecord

PATH = Path("history.jsonl")


def started(number: int, seconds: float = 0.0) -> TrialStarted:
    config = TrialConfig(epochs=9, seed=number).to_dict()
    return TrialStarted(number=number, baseline="", config=config, search_seconds=seconds)


def epoch(number: int, epoch: int, bits: float) -> EpochEnded:
    record = epoch_record(
        number,
        epoch,
        bits=bits,
        elapsed_seconds=float(epoch),
        search_seconds=10.0 * number + epoch,
    )
    return EpochEnded(epoch=record, precision="float32", num_parameters=5, vocabulary_size=3)


def ended(number: int, status: Status, error: str = "") -> TrialEnded:
    return TrialEnded(number=number, status=status, error=error, search_seconds=90.0)


def write(*events: Event) -> dict[int, TrialRecord]:
    with History(PATH) as history:
        for event in events:
            history.add(event)
        return history.records


def read() -> dict[int, TrialRecord]:
    with History(PATH) as history:
        return history.records


@pytest.mark.parametrize("changed", [{"precision": "float17"}, {"kernel": "auto"}])
def test_arithmetic_that_there_is_not_is_refused(changed: dict[str, str]) -> None:
    """A network is built by it at the search's end, to time the text that it writes."""
    write(started(0))
    line = line_of(epoch(0, 1, 2.0)).decode()
    ((name, value),) = changed.items()
    known = {"precision": "float32", "kernel": "torch"}[name]
    with PATH.open("a", encoding="utf-8") as file:
        file.write(line.replace(f'"{name}": "{known}"', f'"{name}": "{value}"'))
        file.write(line)  # an incomplete last line would be cut off
    with pytest.raises(ConfigError, match=rf"history.jsonl, line 2: .*unknown {name} '{value}'"):
        read()


def test_what_is_read_is_what_was_written() -> None:
    live = write(
        started(0),
        started(1),
        epoch(0, 1, 3.0),
        epoch(1, 1, 2.5),
        epoch(0, 2, 2.8),
        ended(0, Status.FAILED, 'a [bracket], a "quote" and ümlaut'),
    )
    assert read() == live
    assert live[0].status == Status.FAILED and live[1].status == Status.RUNNING
    assert live[0].running_best() == {1: 3.0, 2: 2.8}
    assert live[1].num_parameters == 5


def test_resumed_trial_has_each_epoch_once() -> None:
    write(started(0), epoch(0, 1, 3.0), epoch(0, 2, 2.8), epoch(0, 3, 2.9))
    write(started(0, 95.0), epoch(0, 2, 2.7))  # its checkpoint was of epoch 1
    (record,) = read().values()
    assert [(known.epoch, known.val_bits_per_char) for known in record.epochs] == [
        (1, 3.0),
        (2, 2.7),
    ]


@pytest.mark.slow
def test_every_cut_of_the_file_can_be_read_and_gone_on_with() -> None:
    write(started(0), epoch(0, 1, 3.0), epoch(0, 2, 2.8), ended(0, Status.COMPLETE, "é"))
    whole = PATH.read_bytes()
    ends = [place for place, byte in enumerate(whole, start=1) if byte == ord("\n")]
    for length in range(len(whole)):
        PATH.write_bytes(whole[:length])
        if not any(end <= length for end in ends):
            assert read() == {}
            continue
        records = write(epoch(0, 3, 2.5))
        assert records[0].epochs[-1].epoch == 3
        assert read() == records


def test_damage_in_the_middle_is_one_line() -> None:
    write(started(0), epoch(0, 1, 3.0))
    PATH.write_text("{}\n" + PATH.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"damaged history: history.jsonl, line 1"):
        History(PATH)


def test_second_driver_is_refused_and_a_dead_one_holds_nothing() -> None:
    code = (
        "import sys; from pathlib import Path; from tune.records.history import History; "
        "history = History(Path('history.jsonl')); print('open', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None and other.stdout.readline() == "open\n"
    with pytest.raises(ConfigError, match="a run must have one driver"):
        History(PATH)
    with pytest.raises(ConfigError, match="a run must have one driver"):
        check_no_driver(PATH)  # before Ray starts
    other.kill()
    other.communicate()
    check_no_driver(PATH)
    assert read() == {}


def test_event_is_on_its_way_to_the_disk_at_once() -> None:
    with History(PATH) as history:
        history.add(started(0))
        assert PATH.stat().st_size > 0


def test_seconds_are_those_of_the_last_event() -> None:
    with History(PATH) as history:
        assert history.seconds() == 0.0
        history.add(started(0, 2.0))
        history.add(dataclasses.replace(started(1), search_seconds=7.0))
        assert history.seconds() == 7.0


def test_event_that_a_full_disk_refuses_leaves_no_trace() -> None:
    with History(PATH) as history:
        history.add(started(0))
        size = PATH.stat().st_size
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, limits[1]))
        try:
            with pytest.raises(OSError, match="File too large"):
                history.add(epoch(0, 1, 3.0))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert PATH.stat().st_size == size
        assert history.records[0].epochs == []
        history.add(epoch(0, 1, 3.0))
    assert len(read()[0].epochs) == 1
