import dataclasses
import io
import json
import re
from typing import Any

import pytest
from rich.console import Console

from hand_made_trials import RECORDS, SPACE, epoch_record, record
from repository import ROOT
from search_spaces import SPACE_NAMES, load_space
from search_spaces.random_configs import random_configs
from tune.monitoring.json_events import JsonConsole, warn
from tune.monitoring.progress import Progress
from tune.monitoring.search_state import SearchState, axis_values
from tune.planning.estimate import Remaining
from tune.records.orders import Action, Order, OrderRecord
from tune.records.trial import Status, TrialRecord


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def show(*, terminal: bool, records: list[TrialRecord], seconds_left: float | None = None) -> str:
    stream = Terminal() if terminal else io.StringIO()
    console = Console(file=stream, width=140, _environ={})
    begin = iter([0.0])
    progress = Progress(
        console,
        SPACE,
        num_trials=16,
        clock=lambda: next(begin, 30.0),
        seconds_left=lambda: seconds_left,
    )
    with progress:
        for entry in records:
            progress.trial_started(entry)
            if entry.epochs:
                progress.epoch_ended(entry)
            if entry.status != Status.RUNNING:
                progress.trial_ended(entry)
    return stream.getvalue()


def plain(stream: io.StringIO, seconds: list[float], **changes: Any) -> Progress:
    """Progress without a terminal, on a clock that the test sets."""
    values = {"num_trials": 16, "seconds_left": lambda: None, **changes}
    console = Console(file=stream, width=140, _environ={})
    return Progress(console, SPACE, clock=lambda: seconds[0], **values)


def test_one_line_a_finished_trial_where_there_is_no_terminal() -> None:
    lines = show(terminal=False, records=RECORDS).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("[ 1/16] COMPLETE trial 0: 2.5000 bits, epoch 2 of 5, hidden_size=")
    assert "best 2.5000 (trial 0) | 1 pruned | about 3m30s left" in lines[1]
    assert "training diverged in epoch 1" in lines[2]


def test_brackets_in_an_error_are_text() -> None:
    failed = record(0, [], Status.FAILED, error="OSError: '[/book]' is not there")
    assert "'[/book]' is not there" in show(terminal=False, records=[failed])


def test_trials_that_were_added_leave_no_time_below_zero() -> None:
    stream, seconds = io.StringIO(), [0.0]
    progress = plain(stream, seconds, num_trials=1)
    seconds[0] = 30.0
    for number in (0, 1):
        progress.trial_started(record(number, [2.5], Status.RUNNING))
        progress.trial_ended(record(number, [2.5], Status.COMPLETE))
    assert "about 0s left" in progress.summary()


def test_time_budget_bounds_the_time_left() -> None:
    assert "about 5s left" in show(terminal=False, records=RECORDS, seconds_left=5.0)


def test_time_left_is_what_an_estimate_says_of_all_trials() -> None:
    console = Console(file=io.StringIO(), width=140)
    told: list[int] = []

    class Told(Remaining):
        def __init__(self) -> None:
            pass

        def see(self, record: TrialRecord) -> None:
            told.append(record.number)

        def seconds(self) -> float:
            return 75.0

    progress = Progress(
        console,
        SPACE,
        num_trials=16,
        clock=lambda: 30.0,
        seconds_left=lambda: None,
        earlier=RECORDS[:1],
        remaining=Told(),
    )
    progress.trial_started(RECORDS[3])
    assert "about 1m15s left" in progress.summary()
    assert told == [0, 3]


def test_what_stands_is_counted_as_trials_change_and_no_trial_is_looked_at_twice() -> None:
    grown = record(0, [3.0, 2.5], Status.RUNNING)
    lost = record(1, [2.0, 1.5, 1.4], Status.RUNNING)
    records = [grown, lost, record(2, [2.2], Status.STOPPED)]
    search_state = SearchState(SPACE, records)
    lost.add_epoch(lost.epochs[0])  # its worker died
    lost.status = Status.FAILED
    grown.add_epoch(dataclasses.replace(grown.epochs[0], epoch=3, val_bits_per_char=1.9))
    for changed in (lost, grown):
        search_state.see(changed)
    records[2].status = Status.RUNNING
    search_state.see(records[2])
    at_once = SearchState(SPACE, records)
    for name in ("best", "running", "statuses", "rungs", "num_ended"):
        assert getattr(search_state, name) == getattr(at_once, name)
    assert search_state.running == [grown, records[2]]
    assert search_state.statuses_text() == "2 RUNNING, 1 FAILED"
    assert search_state.rungs_text().startswith("epoch 1: 3, ")
    for number in range(3, 1_000):  # nothing of these is looked at when what stands is asked for
        ended = record(number, [2.1], Status.PRUNED)
        search_state.see(ended)
        ended.epochs = None  # type: ignore[assignment]
    assert search_state.statuses[Status.PRUNED] == 997


def test_line_comes_at_least_each_minute() -> None:
    stream, seconds = io.StringIO(), [0.0]
    progress = plain(stream, seconds)
    progress.trial_started(RECORDS[3])
    for after in (30.0, 61.0, 90.0, 122.0):
        seconds[0] = after
        progress.epoch_ended(RECORDS[3])
    lines = stream.getvalue().splitlines()
    assert lines == ["[ 0/16] 1 running | best 2.2500 (trial 3) | 0 pruned | starting"] * 2


def test_finalists_time_left_is_not_of_the_search_before_them() -> None:
    """Once 46 minutes were said where 10 had trained half of them: the search took the rest."""
    stream, seconds = io.StringIO(), [2_400.0]
    progress = plain(stream, seconds, num_trials=4, expected_seconds=600.0)
    assert progress.summary().endswith("| about 10m0s left")
    seconds[0] += 100.0
    assert progress.summary().endswith("| about 8m20s left")
    progress.trial_ended(record(0, [2.5], Status.COMPLETE))
    assert progress.summary().endswith("| about 5m0s left")


def documented_fields(event: str) -> set[str]:
    """Return what results/README.md says that an event tells."""
    page = (ROOT / "results" / "README.md").read_text(encoding="utf-8")
    (row,) = re.findall(rf"^\| {event} \| ([^|:]*)", page, flags=re.MULTILINE)
    (trial,) = re.findall(r'^"The trial" is ([^.]*)\.', page, flags=re.MULTILINE)
    return set(" ".join(row.replace("the trial", trial).split()).split(", "))


def test_json_has_one_object_for_each_event_and_no_words() -> None:
    stream = io.StringIO()
    console = JsonConsole(stream)
    console.print("words")
    progress = Progress(
        console, SPACE, num_trials=16, clock=lambda: 30.0, seconds_left=lambda: None
    )
    with progress:
        for entry in RECORDS:
            progress.trial_started(entry)
            if entry.epochs:
                progress.epoch_ended(entry)
            if entry.status != Status.RUNNING:
                progress.trial_ended(entry)
        order = Order(action=Action.WORKERS, workers=1)
        progress.ordered(OrderRecord(order=order, ordered_seconds=3.0))
        progress.trial_recovered(RECORDS[0], "its node is gone")
    warn(console, "\nno room")
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    names = [event["event"] for event in events]
    counts = [names.count(name) for name in ("trial_started", "epoch_ended", "trial_ended")]
    assert counts == [4, 3, 3] and len(events) == 13
    warning = events.pop()
    assert set(warning) == {"event", "time", *documented_fields("warning")}
    assert (warning["event"], warning["text"]) == ("warning", "no room")
    started, epoch, ended = events[:3]
    assert started["config"]["hidden_size"] == SPACE.base.hidden_size
    assert (epoch["trial"], epoch["epoch"], epoch["val_bits_per_char"]) == (0, 2, 2.5)
    assert (ended["status"], ended["best_trial"], ended["num_ended"]) == ("COMPLETE", 0, 1)
    assert "diverged" in next(event for event in events if event.get("error"))["error"]
    assert events[-1]["event"] == "trial_recovered"
    assert events[-1]["reason"] == "its node is gone"
    assert (events[-2]["order"], events[-2]["workers"]) == ("workers", 1)
    assert events[-2]["text"] == "by hand: workers 1: ordered"
    for event in (started, ended, *events[-2:]):
        assert set(event) == {"event", "time", *documented_fields(event["event"])}


def test_no_color_is_honoured_and_quiet_is_silent() -> None:
    for environ, has_colour in (({}, True), ({"NO_COLOR": "1"}, False)):
        stream = io.StringIO()
        console = Console(
            file=stream, force_terminal=True, color_system="standard", _environ=environ
        )
        console.print("[red]x[/red]")
        assert ("\x1b[31m" in stream.getvalue()) is has_colour
    stream = Terminal()
    console = Console(file=stream, quiet=True, _environ={})
    progress = Progress(
        console, SPACE, num_trials=16, clock=lambda: 99.0, seconds_left=lambda: None
    )
    with progress:
        progress.trial_ended(RECORDS[0])
        progress.epoch_ended(RECORDS[3])
    assert stream.getvalue() == ""


def test_what_a_user_should_know_goes_to_stderr_where_all_else_is_quiet(
    capsys: pytest.CaptureFixture[str],
) -> None:
    warn(Console(quiet=True), "\nno predictor: two\nlines [x]\x1b[2J")
    assert capsys.readouterr() == ("", "tune.run: no predictor: two lines [x]\\x1b[2J\n")
    warn(Console(), "no predictor")
    assert capsys.readouterr() == ("no predictor\n", "")


def test_live_table_on_a_terminal() -> None:
    shown = show(terminal=True, records=RECORDS)
    assert "1 running | trials trained to the epoch of each rung: epoch 1: 3" in shown
    assert "3 of 16 trials | best 2.2500 (trial 3) | 1 pruned" in shown
    for expected in ("RUNNING", "COMPLETE", "DIVERGED", "cleaning", "2/5", "* baseline"):
        assert expected in shown


@pytest.mark.parametrize("name", SPACE_NAMES)
@pytest.mark.parametrize("width", [40, 80, 140])
def test_live_table_has_whole_columns_as_many_as_fit(name: str, width: int) -> None:
    """At 80 columns it had headings such as `hidd…`, and trials were `RUNN…`."""
    space, stream = load_space(name), Terminal()
    console = Console(file=stream, width=width, _environ={})
    progress = Progress(
        console, space, num_trials=200, clock=lambda: 30.0, seconds_left=lambda: None
    )
    configs = random_configs(space, len(Status), seed=0) or [space.base] * len(Status)
    with progress:
        for number, (config, status) in enumerate(zip(configs, Status, strict=True)):
            epochs = [epoch_record(number, 1, bits=2.5 - number / 100)]
            entry = TrialRecord(number=number, config=config, status=status, epochs=epochs)
            progress.trial_started(entry)
            if status != Status.RUNNING:
                progress.trial_ended(entry)
        stream.seek(0)
        stream.truncate()
    shown = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", stream.getvalue())
    lines = shown.splitlines()
    assert "…" not in shown and max(map(len, lines)) <= width
    assert all(f" {status.value} " in shown for status in Status)
    (headings,) = (line.strip(" ┃").split("┃") for line in lines if " status " in line)
    titles = [heading.strip() for heading in headings]
    assert [title.split()[-1] for title in titles[:4]] == ["trial", "status", "char", "epoch"]
    # "epoch" tells how many each trial trains.
    axes = [axis for axis in space.axes if axis != "epochs"]
    shown_axes, others = titles[4:], axes[len(titles) - 4 :]
    assert [*shown_axes, *others] == axes and len(axes) >= len(shown_axes) >= width // 50
    best = " ".join(shown.split())  # the last trial, whose other values stand below the table
    assert axis_values(entry, others) in best
    assert ("best trial:" in best) == bool(others)


@pytest.mark.parametrize(
    ("stream", "environ"),
    [
        (Terminal(), {"TERM": "dumb"}),  # rich shows nothing there before the end
        (Terminal(), {"JPY_PARENT_PID": "1"}),  # `!python -m tune.run`: each refresh stays
        (io.StringIO(), {"FORCE_COLOR": "1"}),  # `> log`
        (io.StringIO(), {"TTY_COMPATIBLE": "1"}),
    ],
    ids=lambda value: "".join(value) if isinstance(value, dict) else "",
)
def test_where_nothing_can_be_drawn_over_there_are_lines(
    stream: io.StringIO, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    console, seconds = Console(file=stream, width=140), [30.0]
    with Progress(
        console,
        SPACE,
        num_trials=16,
        clock=lambda: seconds[0],
        seconds_left=lambda: None,
    ) as progress:
        progress.trial_started(RECORDS[0])
        progress.trial_ended(RECORDS[0])
        assert stream.getvalue().startswith("[ 1/16] COMPLETE trial 0: 2.5000 bits")
        progress.trial_started(RECORDS[3])
        seconds[0] += 61.0
        progress.epoch_ended(RECORDS[3])
    assert stream.getvalue().count("\n") == 2 and "trials |" not in stream.getvalue()


def test_stopped_trials_have_not_ended() -> None:
    stream, seconds = io.StringIO(), [0.0]
    progress = plain(stream, seconds)
    seconds[0] = 60.0
    progress.trial_ended(record(0, [2.5], Status.COMPLETE))
    progress.trial_ended(record(1, [2.4], Status.STOPPED))
    ended, stopped = stream.getvalue().splitlines()
    assert ended.startswith("[ 1/16] COMPLETE trial 0") and ended.endswith("| about 15m0s left")
    assert stopped.startswith("[ 1/16] STOPPED  trial 1: 2.4000 bits") and "left" not in stopped


def test_baseline_that_has_had_its_time_has_ended() -> None:
    stream, seconds = io.StringIO(), [60.0]
    progress = plain(stream, seconds)
    cut = record(0, [2.5, 2.4], Status.STOPPED)
    cut.baseline, cut.has_had_its_time = "experiment 1", True
    progress.trial_ended(cut)
    (line,) = stream.getvalue().splitlines()
    assert line.startswith("[ 1/16] STOPPED  trial 0 (experiment 1): 2.4000 bits, epoch 2 of ")
    earlier = plain(io.StringIO(), seconds, earlier=[cut])
    seconds[0] = 120.0
    earlier.trial_ended(record(1, [2.6], Status.COMPLETE))
    assert "about 14m0s left" in earlier.summary()  # of 16, one in this minute
    search_state = SearchState(SPACE, [cut])
    assert search_state.num_ended == 1
    goes_on = dataclasses.replace(cut, status=Status.RUNNING, has_had_its_time=False)
    search_state.see(goes_on)  # a resumed search has more time
    assert search_state.num_ended == 0
