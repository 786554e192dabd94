"""The whole command line on real Ray clusters, and what it refuses before it starts one."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from long_text_search import HELD_OUT_CHARS
from model import train
from model.config import TrialConfig
from model.scoring.objective import prepare_corpus
from model.training import speed
from model.training.checkpoint import MODEL_FILE
from model.training.cost import WORK_KINDS
from ray_nodes import ray_nodes
from repository import SUPPORT
from tiny_search import (
    FinishedSearch,
    assert_interrupted,
    best_of_cleanings,
    run_command,
    run_timed,
    trials_of,
    wait_until,
    write_inputs,
)
from tune import report, run, samples, status
from tune.cluster.cluster import Cluster
from tune.cluster.resources import Node

pytestmark = pytest.mark.usefixtures("measured_machine")

RUN_FILES = {
    *("study.json", "trials.csv", "epochs.csv", "best.json", "report.md", "samples.md"),
    "samples.json",
    *("quality.csv", "quality.parquet", "tensorboard"),
    *("checkpoints", "history.jsonl", "optuna.journal", "ray"),
    *("finalists.csv", "finalists.jsonl", "report.html"),
    *("trials.parquet", "epochs.parquet", "finalists.parquet"),
    *("predictor", "predictor.csv", "predictor.parquet"),
}


@pytest.mark.slow
def test_search_from_corpus_to_text(
    finished: FinishedSearch, capsys: pytest.CaptureFixture[str]
) -> None:
    done = finished.done
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0].startswith("corpus: file book.txt")
    assert "has no locks" not in done.stdout
    assert not [line for line in lines if "ray" in line.lower() and "results" not in line]
    # Twelve trials, each time that one stops or ends, then three finalists with two seeds each.
    history = Path("results/one/history.jsonl").read_text(encoding="utf-8")
    num_ends = history.count('"event": "TrialEnded"')
    assert num_ends >= 12
    # Where none ends for a minute, on a busy machine, a line says what runs.
    ends = [line for line in lines if line.startswith("[") and " running | " not in line]
    assert len(ends) == num_ends + 3 * 2
    assert [line.split(":")[0] for line in lines if line.startswith(("noise", "floor"))] == [
        "noise",
        "floor",
    ]
    folder = Path("results/one")
    made = {path.name for path in folder.iterdir()}
    assert made - {"energy.json"} == RUN_FILES  # which is where the machine tells
    trials = trials_of("one")
    counts = trials["status"].value_counts()
    assert counts["PRUNED"] + counts["COMPLETE"] == 12
    assert counts["PRUNED"] >= 1
    assert trials.loc[0, "baseline"] == "experiment 0"
    assert trials.loc[0, "status"] == "COMPLETE"
    # Of two trials of one configuration the better one is timed.
    assert trials["milliseconds_per_char"].notna().sum() >= 10
    best = trials.sort_values("val_bits_per_char").iloc[0]
    assert json.loads((folder / "best.json").read_text())["seed"] == best["seed"]
    meta = json.loads((folder / "checkpoints/01/meta.json").read_text())
    assert meta["metrics"]["val_bits_per_char"] == pytest.approx(best["val_bits_per_char"])
    assert meta["corpus"] == str(finished.folder.resolve() / "book.txt")  # for model.train --init
    one_alone = f"--corpus book.txt --config {folder}/best.json --threads 1 --checkpoint again"
    assert train.main(one_alone.split()) == 0
    theirs, ours = folder / "checkpoints/01" / MODEL_FILE, Path("again", MODEL_FILE)
    assert theirs.read_bytes() == ours.read_bytes()
    epochs = pd.read_csv(folder / "epochs.csv")
    assert len(epochs) == trials["epochs_run"].sum()
    study = json.loads((folder / "study.json").read_text())
    assert study["space"]["name"] == "tiny" and study["ended"] == "all trials done"
    assert study["sampler"] == "tpe"  # one trial at a time
    # What is written can be written again from the folder alone.
    for main, name in (
        (report.main, "report.md"),
        (report.main, "report.html"),
        (samples.main, "samples.md"),
    ):
        before = (folder / name).read_text(encoding="utf-8")
        (folder / name).unlink()
        assert main([str(folder)]) == 0
        assert (folder / name).read_text(encoding="utf-8") == before
    # What it printed at the end works as printed.
    printed = [line for line in lines[lines.index("next steps:") + 1 :] if line[:2] == "  "]
    assert len(printed) == 4
    for line in printed:
        further = subprocess.run(
            shlex.split(line), capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        assert (further.returncode, further.stderr) == (0, ""), line
    # One trial leaves one checkpoint.
    # One of each trial, also of those that went on in a folder of their own.
    kept = [path.parent.name for path in folder.glob("ray/*/trial_*/checkpoint_*")]
    assert sorted(name.partition("-")[0] for name in kept) == list(trials["trial_id"])
    assert run_command([*finished.flags, "--name", "one"]).returncode == 2


@pytest.mark.slow
def test_same_seed_gives_the_same_tables_and_quiet_prints_nothing(
    finished: FinishedSearch,
) -> None:
    again = run_command([*finished.flags, "--name", "two", "--finalists", "0", "--quiet"])
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    times = ["elapsed_seconds", "search_seconds", "milliseconds_per_char"]
    first, second = (trials_of(name).drop(columns=times) for name in ("one", "two"))
    pd.testing.assert_frame_equal(first, second)
    best = [(Path("results") / name / "best.json").read_text() for name in ("one", "two")]
    assert best[0] == best[1]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_writes_what_there_is(
    number: signal.Signals, running: subprocess.Popen[str]
) -> None:
    # A terminal's Ctrl-C, or `timeout`: the whole group gets it. What sends SIGINT or SIGTERM to
    # the driver alone: test_interrupted_search_goes_on…, test_killed_workers_trial_goes_on….
    os.killpg(running.pid, number)
    assert_interrupted(running, number)


@pytest.mark.slow
def test_killed_driver_leaves_tables_and_a_report(
    running: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    # The records are saved between the trials' ends too.
    wait_until(lambda: not trials_of("long").empty, running)
    assert status.main(["long"]) == 0
    text = capsys.readouterr().out
    assert "running" in text and text.count("  running: trial") == 2
    running.kill()
    running.communicate()
    trials = trials_of("long")
    assert (trials["status"] == "RUNNING").all()
    assert len(pd.read_csv("results/long/epochs.csv")) == trials["epochs_run"].sum()
    assert status.main(["long"]) == 0
    assert (
        "not running any more; to continue: python -m tune.run --resume" in capsys.readouterr().out
    )
    assert report.main(["results/long"]) == 0
    assert "still running" in Path("results/long/report.md").read_text(encoding="utf-8")
    assert samples.main(["results/long"]) == 2  # nothing was kept yet, in one line


@pytest.mark.slow
def test_all_diverged_ends_with_one_and_readable_tables(tiny_text: str) -> None:
    base = "learning_rate=1e38, gradient_clip_norm=1e38"
    flags = write_inputs(tiny_text, trials=3, base=base)
    done = run_command([*flags, "--name", "hot"])
    assert done.returncode == 1, done.stdout
    trials = trials_of("hot")
    assert (trials["status"] == "DIVERGED").all()
    assert trials["error"].str.contains("diverged in epoch").all()
    assert "No trial trained an epoch" in Path("results/hot/report.md").read_text()
    assert pd.read_csv("results/hot/epochs.csv").empty


@pytest.mark.slow
def test_time_budget_ends_the_search_with_zero(tiny_text: str) -> None:
    flags = write_inputs(tiny_text, epochs=(100_000, 100_000))
    done = run_timed([*flags, "--name", "timed", "--time-budget", "12s"])
    assert done.returncode == 0, done.stderr
    trials = trials_of("timed")
    assert (trials["status"] == "STOPPED").all()
    assert sorted(trials["epochs_run"])[-2] >= 12
    # Each ended with an epoch, and its checkpoint is of that.
    for trial_id, epochs_run in zip(trials["trial_id"], trials["epochs_run"], strict=True):
        kept = Path("results/timed/ray/session-1").glob(f"{trial_id}*/checkpoint_*/epochs.json")
        assert max(len(json.loads(path.read_text())["epochs"]) for path in kept) == epochs_run
    assert "ended by its time budget" in Path("results/timed/report.md").read_text()
    last = Path("results/timed/history.jsonl").read_text(encoding="utf-8").splitlines()[-1]
    assert json.loads(last)["event"] == "SearchEnded" and json.loads(last)["timed_out"]


@pytest.mark.slow
def test_long_text_is_reported_on_within_its_epochs_and_goes_on_there(tiny_text: str) -> None:
    rare = "".join(chr(ord("α") + place) for place in range(20))
    text = tiny_text.replace("\n", rare, 1) + rare
    flags, none = write_inputs(text, trials=4), ["--finalists", "0"]
    one = ["--finalists", "1", "--finalist-seeds", "1"]
    space = Path("tiny.py").read_text(encoding="utf-8")
    Path("tiny.py").write_text(space.replace("budget=", "most_chars=2_000, budget="))
    script = [sys.executable, str(SUPPORT / "long_text_search.py")]
    for begin in ([*none, "--name", "long"], [*one, "--resume", "long", "--trials", "6"]):
        done = subprocess.run([*script, *flags, *begin], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert "reports: 5 per epoch, one about every " in done.stdout
    assert "symbols (one for " in done.stdout
    num_train_chars = len(text) - 2 * HELD_OUT_CHARS
    trials, epochs = trials_of("long"), pd.read_csv("results/long/epochs.csv")
    assert (trials["min_char_count"] == 10).all()
    assert (trials["vocabulary_size"] <= len(set(tiny_text)) + 1).all()
    finalists = pd.read_csv("results/long/finalists.csv")
    scored = finalists[finalists["test_bits_per_letter"] > 0]
    assert set(scored["number"]) == best_of_cleanings(trials, finalists)
    for _, rows in epochs.groupby("number"):
        assert rows["report"].to_list() == list(range(1, len(rows) + 1))
        assert rows["elapsed_seconds"].is_monotonic_increasing
    assert np.allclose(epochs["epoch"], epochs["report"] / 5)
    assert np.allclose(epochs["chars_trained"], epochs["epoch"] * num_train_chars, atol=1)
    assert len(trials) == 6 and trials["status"].isin(["COMPLETE", "PRUNED"]).all()
    assert trials["epochs"].max() < 6  # the text is longer than they are meant for
    assert (trials["epochs"] % 1 > 0).any()
    rungs = trials.loc[trials["status"] == "PRUNED", "epochs_run"] * 5
    assert set(rungs) <= {1, 2, 4, 8, 16}


@pytest.mark.slow
def test_baseline_that_does_not_fit_runs_beside_the_search_as_far_as_it_comes(
    tiny_text: str,
) -> None:
    flags = write_inputs(tiny_text, epochs=(1, 100_000), first=100_000, trials=4)
    name = ["--name", "beside", "--time-budget", "30s", "--finalists", "0"]
    done = run_command([*flags, *name, "--max-concurrent", "2"])
    assert done.returncode == 0, done.stderr
    trials = trials_of("beside").set_index("number")
    assert pd.isna(trials.at[0, "baseline"])
    cut = trials[trials["baseline"] == "experiment 0"].iloc[0]
    assert cut["status"] == "STOPPED" and cut["epochs"] == 100_000
    epochs = pd.read_csv("results/beside/epochs.csv")
    seconds = epochs.loc[epochs["trial_id"] == cut["trial_id"], "elapsed_seconds"]
    # A quarter of what two workers have, and the epoch in which it ended, however slow.
    assert sorted(seconds)[-2] < 15
    assert (trials.loc[trials["baseline"].isna(), "epochs"] < 100_000).all()
    written = Path("results/beside/report.md").read_text()
    assert f"{cut['epochs_run']} of 100,000 epochs" in written
    # Nothing is left to do in that time: what a baseline lacks is no trial that is missing.
    again = run_command(["--resume", "beside"])
    assert again.returncode == 0, again.stderr


@pytest.mark.long
@pytest.mark.timeout(1_500)
def test_joins_a_cluster_and_shares_its_logical_gpu(tiny_text: str, tmp_path: Path) -> None:
    (tmp_path / "nodes").mkdir()
    with ray_nodes(tmp_path / "nodes") as nodes:
        nodes.add("head", "--num-cpus=4", "--num-gpus=1")
        flags = write_inputs(tiny_text, trials=4)
        cluster = [*flags, "--address", nodes.address, "--gpus-per-trial", "0.5"]
        plan = run_command([*cluster, "--dry-run"])
        assert plan.returncode == 0, plan.stderr
        assert "1 node: 4 CPU, 1 GPU, " in plan.stdout
        assert "; 1 CPU and 0.5 GPU per trial, 1 GiB of memory, 2 at once" in plan.stdout
        assert "time: about " in plan.stdout
        # Ray counts a GPU that is none to torch: a CPU build, or an old driver.
        assert "; torch sees no GPU on the worker, so trials train on the CPU" in plan.stdout
        assert "sampler: tpe-univariate, seed 0" in plan.stdout  # two at once
        kept = tmp_path / "kept"
        few = ["--finalists", "1", "--finalist-seeds", "1"]
        done = run_command([*cluster, *few, "--name", "joined", "--storage", f"file://{kept}"])
        assert done.returncode == 0, done.stderr
        assert len(trials_of("joined")) == 4
        assert list((kept / "joined").glob("session-1/trial_*/checkpoint_*"))
        assert done.stderr == ""
        never = run_command([*flags, "--address", nodes.address, "--cpus-per-trial", "64"])
        assert never.returncode == 2
        assert "one node must have what a trial needs" in never.stderr


@pytest.mark.slow
def test_cluster_that_does_not_answer_is_one_line(tiny_text: str) -> None:
    flags = write_inputs(tiny_text)
    done = run_command([*flags, "--address", "127.0.0.1:9"])
    assert done.returncode == 2
    assert "a Ray cluster must answer at '127.0.0.1:9'" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not Path("results").exists()


def test_brackets_in_a_file_name_are_text(
    tiny_text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = write_inputs(tiny_text)
    Path("[").mkdir()
    Path("[/book].txt").write_text(tiny_text, encoding="utf-8")
    assert run.main([*flags[:2], "--corpus", "[/book].txt", "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith("corpus: file [/book].txt")


@pytest.fixture
def few_timings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times the machine with a few small shapes: the plan is what is looked at."""
    monkeypatch.setattr(speed, "_PROBES", speed._PROBES[: len(WORK_KINDS)])


@pytest.mark.slow
@pytest.mark.usefixtures("few_timings")
def test_dry_run_prints_the_plan_and_writes_nothing(
    wonderland_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main(["--space", "full", "--corpus", str(wonderland_path), "--dry-run"]) == 0
    plan = capsys.readouterr().out
    for expected in (
        "144,342 characters, 43 symbols",
        "136,024 characters, 27 symbols",
        "14,434 held-out raw characters",
        "hidden_size        64 to 512, log scale",
        "experiment 3: epochs=40 hidden_size=256",
        "ASHA keeps about 1 in 3 at epochs 1, 3, 9, 27",
        "finalists: the 3 best and the 3 baselines, retrained with 3 seeds each",
        # A process of torch's CUDA build takes more, as it has more libraries.
        "2 GiB of memory, " if torch.version.cuda is None else " GiB of memory, ",
        "at once",
        "time: about ",
        " for 200 trials, ",
    ):
        assert expected in plan
    assert [path.name for path in Path.cwd().iterdir()] == ["cache"]  # the measurement


def test_plan_counts_words_where_a_space_has_them(
    tiny_text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = write_inputs(tiny_text, base='unit="word"')
    assert run.main([*flags, "--dry-run"]) == 0
    prepared = prepare_corpus(tiny_text, ["lower"])
    words = prepared.streams(TrialConfig(unit="word"))
    tokens, symbols = len(words.train.symbols), len(words.vocabulary)
    expected = f"lower, words       {tokens:,} training tokens, {symbols} symbols that occur"
    assert expected in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "rule"),
    [
        ("--space ful", "unknown search space 'ful'; did you mean full?"),
        ("--space nowhere.py", "a space file must exist"),
        ("--space tiny.py --corpus nowhere.txt", "unknown corpus 'nowhere.txt'"),
        ("--space tiny.py --corpus empty.txt", "must have more than blanks"),
        ("--space tiny.py --corpus short.txt", "at least 1,000 characters"),
        ("--space wide.py", "a symbol to predict for each column of batch_size 4096"),
        ("--space tiny.py --sampler cmae", "unknown sampler 'cmae'; did you mean cmaes?"),
        ("--space tiny.py --trials 0", "trials must be at least 1"),
        ("--space documented --trials 4", "trials must be at most 3"),
        ("--space tiny.py --name a/b", "must be a folder's name"),
        ("--space tiny.py --name taken", "must not exist yet"),
        ("--space tiny.py --results book.txt", "must be a folder, got the file"),
        (f"--space tiny.py --results {'x' * 300}", "File name too long"),
        (f"--resume {'x' * 300}", "File name too long"),
        ("--space tiny.py --storage nowhere://x", "a storage must be"),
        ("--space tiny.py --cpus-per-trial 4096", "one node must have"),
        ("--space tiny.py --gpus-per-trial 1.5", "gpus_per_trial must be in 0 to 1"),
        ("--space tiny.py --gpus-per-trial 1", "1 CPU and 1 GPU; there is 1 node: 2 CPU, 0 GPU"),
        ("--space tiny.py --gpus-per-trial 0.5 --dry-run", "1 CPU and 0.5 GPU; there is 1 node"),
    ],
)
def test_mistake_is_one_line_and_exit_code_2(
    flags: str,
    rule: str,
    tiny_text: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_inputs(tiny_text)
    Path("empty.txt").write_text("", encoding="utf-8")
    Path("short.txt").write_text("too short", encoding="utf-8")
    wide = Path("tiny.py").read_text(encoding="utf-8").replace("batch_size=4", "batch_size=4096")
    Path("wide.py").write_text(wide, encoding="utf-8")
    Path("results/taken").mkdir(parents=True)
    before = sorted(Path.cwd().rglob("*"))
    words = flags.split()
    if "--corpus" not in words:
        words += ["--corpus", "book.txt"]
    started: list[str] = []
    told: list[str] = []
    here = [Node(num_cpus=2, num_gpus=0, memory_bytes=2**33)]
    monkeypatch.setattr("tune.cluster.cluster.local_nodes", lambda: here)
    monkeypatch.setattr(Cluster, "start_local_soon", lambda _: started.append(flags))
    monkeypatch.setattr(Cluster, "__exit__", lambda *_: told.append(capsys.readouterr().err))
    assert run.main(words) == 2
    (error,) = told  # before Ray is ended
    # Only what is looked for in the text is looked for beside Ray's start.
    is_late = any(part in flags for part in ("--corpus", "wide.py"))
    assert started == [flags] * is_late
    assert rule in error
    assert error.count("\n") == 1
    assert sorted(Path.cwd().rglob("*")) == before


@pytest.mark.slow
@pytest.mark.usefixtures("few_timings")
def test_space_that_no_memory_holds_is_refused_in_the_plan(
    tiny_text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = write_inputs(tiny_text, axes='"embedding_dim": IntDistribution(8, 10**11),')
    assert run.main([*flags, "--dry-run"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "the largest configuration of the space 'tiny' must fit into memory" in error
    assert "hidden_size=32 embedding_dim=100000000000 " in error
    assert re.search(
        r" needs [\d,.]+ GiB, [\d,.]+ GiB are free; a search with --fix embedding_dim=\d+ fits$",
        error,
    )
    assert not Path("results").exists()


@pytest.mark.parametrize(
    ("flags", "rule"),
    [
        ("", "one of the arguments --space, --configs and --resume is required"),
        ("--space", "argument --space: expected one argument"),
        ("--space full --trails 3", "unknown option '--trails'; did you mean --trials?"),
        ("--space nowhere.py --time-budget soon", "must look like 90s, 10m or 2h30m"),
        ("--space nowhere.py --trial-timeout never", "must look like 90s, 10m or 2h30m"),
        ("--space nowhere.py --seed -1", "seed must be at least 0"),
        ("--space nowhere.py --finalists -1", "finalists must be at least 0"),
        ("--space nowhere.py --finalist-seeds 0", "finalist_seeds must be in 1 to 100"),
        ("--space nowhere.py --max-concurrent 0", "max_concurrent must be at least 1"),
        ("--space full --trials many", "argument --trials: invalid int value: 'many'"),
    ],
)
def test_unknown_option_is_one_line_and_exit_code_2(
    flags: str, rule: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run.main(flags.split())
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert rule in error
    assert error.count("\n") == 1
