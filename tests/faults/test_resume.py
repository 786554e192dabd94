"""Searches that are interrupted or killed, and resume."""

import dataclasses
import io
import json
import re
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import ray
from optuna.distributions import IntDistribution
from rich.console import Console

from hand_made_trials import search_ended
from model.errors import ConfigError
from tiny_search import (
    FinishedSearch,
    assert_interrupted,
    command,
    kill_family,
    run_command,
    run_timed,
    trials_of,
    wait_until,
    write_inputs,
)
from tune import report, run
from tune.cluster.cluster import Cluster
from tune.cluster.resources import Node
from tune.job.prepare import prepare
from tune.job.resume import prepare_resumed
from tune.job.study_json import study_file
from tune.planning.study import StudyOptions
from tune.records.history import History, OrderGiven, TrialEnded, TrialStarted
from tune.records.load import read_run
from tune.records.orders import Action, Order
from tune.records.run_folder import RunFolder
from tune.records.study_file import PlannedTime
from tune.records.trial import Status
from tune.reporting.markdown_report import report_text

pytestmark = pytest.mark.usefixtures("measured_machine")


def epochs_of(name: str) -> pd.DataFrame:
    return pd.read_csv(Path("results") / name / "epochs.csv")


def events_of(name: str, file: str = "history.jsonl") -> list[dict[str, Any]]:
    path = Path("results") / name / file
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith(b"\n")]


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(1_500)
def test_interrupted_search_goes_on_with_its_running_trials(
    running: subprocess.Popen[str],
) -> None:
    second = run_command(["--resume", "results/long"])
    assert second.returncode == 2
    assert "a run must have one driver" in second.stderr
    running.send_signal(signal.SIGINT)
    output = assert_interrupted(running)
    before = trials_of("long")
    (line,) = [line for line in output.splitlines() if line.startswith("to continue: ")]
    assert line.endswith("-m tune.run --resume results/long")
    # By the clock of timed_search.py.
    budget_seconds = int(before["search_seconds"].max()) + 15
    done = run_timed(["--resume", "long", "--time-budget", f"{budget_seconds}s"])
    assert done.returncode == 0, done.stderr
    after, epochs = trials_of("long"), epochs_of("long")
    assert set(after["number"]) >= set(before["number"])
    more = after.set_index("number")["epochs_run"] - before.set_index("number")["epochs_run"]
    # The baseline may have used up the baselines' share of this budget.
    is_own = before.set_index("number")["baseline"].isna()
    assert (more.dropna()[is_own] > 0).all() and len(more.dropna()) == len(before)
    for _, rows in epochs.groupby("number"):  # each epoch once
        assert rows["epoch"].to_list() == list(range(1, len(rows) + 1))
        assert rows["elapsed_seconds"].is_monotonic_increasing
    assert after["search_seconds"].max() >= budget_seconds
    # Nothing is left, so nothing is done.
    stamp = Path("results/long/study.json").stat().st_mtime_ns
    again = run_command(["--resume", "long"])
    assert again.returncode == 0
    assert "already finished, nothing to do" in again.stdout
    assert Path("results/long/study.json").stat().st_mtime_ns == stamp


@pytest.mark.slow
def test_interrupted_finalists_go_on_and_their_search_does_not(tiny_text: str) -> None:
    flags = write_inputs(tiny_text, epochs=(100, 3_000), trials=1_000)
    budget = ["--time-budget", "30s", "--finalists", "1", "--max-concurrent", "1"]
    driver = subprocess.Popen(command([*flags, *budget, "--name", "timed"]))
    try:
        wait_until(lambda: len(events_of("timed", "finalists.jsonl")) > 2, driver)
        driver.send_signal(signal.SIGINT)
        assert driver.wait() == 130
    finally:
        kill_family(driver)
    before, trials = events_of("timed"), trials_of("timed")
    assert before[-1]["event"] == "SearchEnded" and before[-1]["timed_out"]
    done = run_command(["--resume", "timed", "--max-concurrent", "1"])
    assert done.returncode == 0, done.stderr
    assert events_of("timed") == before
    pd.testing.assert_frame_equal(trials_of("timed"), trials)
    study = RunFolder(Path("results/timed")).read_study()
    assert study.ended == "ended by its time budget"


@pytest.mark.slow
def test_finished_search_can_be_extended(finished: FinishedSearch, tiny_text: str) -> None:
    flags = [*finished.flags, "--finalists", "0"]
    first = trials_of("one")
    done = run_command([*flags, "--resume", "one", "--trials", "14"])
    assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(trials_of("one")[:12], first)
    assert len(trials_of("one")) == 14
    ends = [event for event in events_of("one") if event["event"] == "SearchEnded"]
    assert [(end["trials"], end["timed_out"]) for end in ends] == [(12, False), (14, False)]
    mistakes = {
        "--seed 5": "seed must be that of the resumed run, 3, got 5",
        "--sampler random": "sampler must be that of the resumed run, 'tpe', got 'random'",
        "--name other": "name must be that of the resumed run, 'one', got 'other'",
        "--space quick": "a resumed run's space must be the one in",
        "--corpus other.txt": "a resumed run's corpus must be its original text",
    }
    Path("other.txt").write_text(tiny_text + "More.", encoding="utf-8")
    for words, rule in mistakes.items():
        refused = run_command(["--resume", "one", *words.split()])
        assert refused.returncode == 2
        assert rule in refused.stderr and refused.stderr.count("\n") == 1
    study = Path("results/one/study.json")
    study.write_text(study.read_text().replace('"format_version": 1', '"format_version": 9'))
    refused = run_command(["--resume", "one"])
    assert refused.returncode == 2 and "format must be at most 1, got 9" in refused.stderr


def test_what_is_no_run_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--resume", "nowhere"]) == 2
    assert "a run must be a folder with study.json" in capsys.readouterr().err
    damaged = Path("results/damaged")
    damaged.mkdir(parents=True)
    for version in ('"x"', "null", "Infinity"):
        (damaged / "study.json").write_text(f'{{"format_version": {version}}}', encoding="utf-8")
        assert run.main(["--resume", "damaged"]) == 2
        assert "study.json must be readable" in capsys.readouterr().err


@pytest.mark.slow
def test_only_a_larger_budget_or_other_finalists_extend_a_search(tiny_text: str) -> None:
    write_inputs(tiny_text)
    console = Console(file=io.StringIO())
    named = StudyOptions(space="tiny.py", corpus="book.txt", name="done", time_budget="60s")
    study = prepare(named, console)
    RunFolder.create(study.run_path).write_study(study_file(study, None, None))

    def extends(**words: Any) -> bool:
        return prepare_resumed(StudyOptions(resume="done", **words), console).extended

    assert not extends()
    assert not extends(sampler="auto")  # the sampler that it began with
    assert not extends(time_budget="60s")
    assert not extends(time_budget="30s")
    assert extends(time_budget="61s")
    assert extends(trials=10)  # a number of trials has no time limit
    assert extends(finalists=1)
    assert extends(finalist_seeds=2)


@pytest.mark.slow
def test_settled_search_is_extended_where_it_is_not_to_end_so(tiny_text: str) -> None:
    write_inputs(tiny_text)
    console = Console(file=io.StringIO())
    named = StudyOptions(space="tiny.py", corpus="book.txt", name="done", stop_when_settled=True)
    study = prepare(named, console)
    folder = RunFolder.create(study.run_path, study_file(study, None, None))

    def extends(**words: Any) -> bool:
        return prepare_resumed(StudyOptions(resume="done", **words), console).extended

    why = "after 4 trials the rest would gain about 0.0010 bits"
    end = search_ended(ended_early=why, is_settled=True)
    for event, is_extended in (
        (None, False),
        (end, True),
        (dataclasses.replace(end, is_settled=False), False),  # all had failed
    ):
        with History(folder.history_file) as history:
            if event is not None:
                history.add(event)
        assert extends(stop_when_settled=False) == is_extended
        assert not extends() and not extends(stop_when_settled=True)


def test_session_that_begins_keeps_the_time_of_those_before(tiny_text: str) -> None:
    write_inputs(tiny_text)
    console = Console(file=io.StringIO())
    study = prepare(StudyOptions(space="tiny.py", corpus="book.txt", name="done"), console)
    facts = study_file(study, None, None)
    assert facts.search_seconds == 0.0
    folder = RunFolder.create(study.run_path, dataclasses.replace(facts, search_seconds=700.0))
    for path in folder.history_files:
        with History(path) as history:
            config = study.space.base.to_dict()
            started = TrialStarted(number=0, baseline="", config=config, search_seconds=550.0)
            history.add(started)
    for _ in range(3):  # sessions killed right after they began
        again = prepare_resumed(StudyOptions(resume="done"), console)
        assert again.earlier is not None and again.earlier.seconds == 700.0
        folder.write_study(study_file(again, None, None))
        assert folder.read_study().search_seconds == 700.0


@pytest.mark.slow
def test_resumed_plan_says_what_text_and_flags_changed_in_the_space(
    tiny_text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_inputs(tiny_text)
    flags = ["--space", "full", "--corpus", "book.txt", "--fix", "dropout=0.3", "--dry-run"]
    assert run.main([*flags, "--name", "noted"]) == 0
    notes = [line for line in capsys.readouterr().out.splitlines() if "left out" in line]
    assert notes
    options = StudyOptions(space="full", corpus="book.txt", fix=["dropout=0.3"], name="noted")
    study = prepare(options, Console(file=io.StringIO()))
    folder = RunFolder.create(study.run_path, study_file(study, None, None))
    for _ in range(2):  # a session keeps them for the next
        assert run.main(["--resume", "noted", "--dry-run"]) == 0
        shown = capsys.readouterr().out.splitlines()
        assert [line for line in shown if "left out" in line] == notes
        again = prepare_resumed(StudyOptions(resume="noted"), Console(file=io.StringIO()))
        folder.write_study(study_file(again, None, None))


def test_resumed_run_keeps_its_narrower_axes_and_says_how_to_have_others(tiny_text: str) -> None:
    write_inputs(tiny_text)
    console = Console(quiet=True)
    rules = ["hidden_size=320..512", "cleaning=lower,cased"]
    named = StudyOptions(space="full", corpus="book.txt", fix=rules, name="narrow")
    study = prepare(named, console)
    folder = RunFolder.create(study.run_path, study_file(study, None, None))
    again = StudyOptions(space="full", resume="narrow", fix=rules)
    for options in (StudyOptions(resume="narrow"), again):
        kept = prepare_resumed(options, console).space
        assert kept == study.space == folder.read_study().space
        assert kept.distributions["hidden_size"] == IntDistribution(320, 512, log=True)
        assert kept.values("cleaning") == ["lower", "cased"]
    way = "; start a new search with --start-from narrow$"
    for changed in (
        dataclasses.replace(again, fix=["hidden_size=320..400"]),
        dataclasses.replace(again, fix=()),
        dataclasses.replace(again, space="quick", fix=()),
        dataclasses.replace(again, space=None),
        dataclasses.replace(again, cell=("gru",)),
    ):
        with pytest.raises(ConfigError, match=way):
            prepare_resumed(changed, console)


@pytest.mark.slow
def test_local_ray_of_an_extended_run_is_as_large_as_its_trials_ask_for(
    tiny_text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finished run skips the checks before its text; Ray once had a CPU for each GiB then."""
    _, space, _, corpus = write_inputs(tiny_text)
    study = prepare(
        StudyOptions(space=space, corpus=corpus, name="done"), Console(file=io.StringIO())
    )
    done = dataclasses.replace(study_file(study, None, None), finished=True)
    RunFolder.create(study.run_path, done)
    here = [Node(num_cpus=16, num_gpus=0, memory_bytes=6 * 2**30)]
    monkeypatch.setattr("tune.cluster.cluster.local_nodes", lambda: here)
    monkeypatch.setattr(Cluster, "take_memory", lambda _: None)
    asked = []

    def init(**options: Any) -> None:
        asked.append(options["num_cpus"])
        raise RuntimeError("far enough")

    monkeypatch.setattr(ray, "init", init)
    assert run.main(["--resume", "done", "--trials", "40", "--cpus-per-trial", "8"]) == 2
    assert asked == [16]


@pytest.mark.slow
def test_ordered_number_of_workers_is_that_of_the_resumed_plan(
    tiny_text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, space, _, corpus = write_inputs(tiny_text)
    options = StudyOptions(space=space, corpus=corpus, name="steered")
    study = prepare(options, Console(file=io.StringIO()))
    folder = RunFolder.create(study.run_path, study_file(study, None, None))
    here = [Node(num_cpus=3, num_gpus=0, memory_bytes=2**33)]
    monkeypatch.setattr("tune.cluster.cluster.local_nodes", lambda: here)

    def planned(*flags: str) -> str:
        assert run.main(["--resume", "steered", "--dry-run", *flags]) == 0
        (at_once,) = re.findall(r"(\d) at once", capsys.readouterr().out)[:1]
        return at_once

    assert planned() == "3"
    with History(folder.history_file) as history:
        order = Order(action=Action.WORKERS, workers=1)
        history.add(OrderGiven(order=order, search_seconds=1.0))
    assert planned() == "1"
    assert planned("--max-concurrent", "2") == "2"


def test_fewer_trials_than_have_ended_are_refused(tiny_text: str) -> None:
    write_inputs(tiny_text)
    console = Console(file=io.StringIO())
    study = prepare(StudyOptions(space="tiny.py", corpus="book.txt", name="done"), console)
    folder = RunFolder.create(study.run_path)
    folder.write_study(study_file(study, None, None))
    with History(folder.history_file) as history:
        for number in range(3):
            start = TrialStarted(
                number=number,
                baseline="",
                config=study.space.base.to_dict(),
                search_seconds=0.0,
                order_id="" if number < 2 else "0123456789abcdef",  # it has not ended
            )
            history.add(start)
            status = Status.COMPLETE if number < 2 else Status.STOPPED
            history.add(TrialEnded(number=number, status=status, error="", search_seconds=1.0))

    def resumed(trials: int) -> int:
        return prepare_resumed(StudyOptions(resume="done", trials=trials), console).num_trials

    assert resumed(2) == 2
    with pytest.raises(ConfigError, match="at least 2, the number that have ended, got 1"):
        resumed(1)


def estimate(seconds: float, measured: float | None) -> Any:
    planned = PlannedTime(planned_seconds=(seconds, 2 * seconds), planned_trials=(10, 10))
    if measured is not None:
        half = measured / 2
        planned = dataclasses.replace(
            planned,
            measured_trials=3,
            measured_by_predicted=(measured, measured, measured),
            memory_trials=2,
            memory_by_predicted=(half, half, half),
        )
    return SimpleNamespace(compared_with=lambda records: planned)


@pytest.mark.slow
def test_plan_is_the_first_sessions_until_one_asks_for_something_else(tiny_text: str) -> None:
    write_inputs(tiny_text)
    console = Console(file=io.StringIO())
    study = prepare(StudyOptions(space="tiny.py", corpus="book.txt", name="done"), console)
    folder = RunFolder.create(study.run_path, study_file(study, None, estimate(60.0, None)))
    folder.write_tables([])

    def session(of_session: Any, **words: Any) -> tuple[Any, str]:
        """Return a session's plan in study.json, and the report's sentence about it."""
        study = prepare_resumed(StudyOptions(resume="done", **words), console)
        for _ in ("as it begins", "as it ends"):
            folder.write_study(study_file(study, None, of_session))
        ended = dataclasses.replace(folder.read_study(), ended="all trials done")
        folder.write_study(ended)
        (line,) = [
            line for line in report_text(read_run(folder)).splitlines() if "Planned time" in line
        ] or [""]
        return folder.read_study().estimate, line

    first = folder.read_study().estimate
    assert first is not None and not first.planned_on_resuming
    assert session(estimate(30.0, 1.1)) == (
        estimate(60.0, 1.1).compared_with([]),
        "Planned time: 1m to 2m; actual time: 0s. Epochs took 1.10 times the predicted time "
        "(median of 3 trials; middle 80 %: 1.10 to 1.10). Trials used 0.55 times the predicted "
        "memory (median of 2 trials; middle 80 %: 0.55 to 0.55).",
    )
    assert session(None)[0] == first  # this time, nothing could be measured
    more, line = session(estimate(90.0, None), trials=15)
    assert more.planned_seconds == (90.0, 180.0)
    said = "Planned time: 1m30s to 3m in total, replanned when it was resumed; actual time: 0s."
    assert line == said
    assert session(estimate(45.0, None)) == (more, line)
    assert session(estimate(45.0, None), finalists=0)[0].planned_seconds == (45.0, 90.0)
    assert session(None, trials=20) == (None, "")
    assert "when it was resumed" in session(estimate(45.0, None))[1]  # the first had none


def test_run_from_before_there_were_estimates_goes_on_and_is_reported(
    tiny_text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, space, _, corpus = write_inputs(tiny_text)
    options = StudyOptions(space=space, corpus=corpus, name="old")
    study = prepare(options, Console(file=io.StringIO()))
    values = study_file(study, None, None).to_json()
    assert values.pop("estimate") is None
    folder = RunFolder.create(study.run_path)
    folder.study_file.write_text(json.dumps(values), encoding="utf-8")
    folder.write_tables([])
    assert run.main(["--resume", "old", "--dry-run"]) == 0
    assert "time: about " in capsys.readouterr().out
    assert report.main(["results/old"]) == 0
