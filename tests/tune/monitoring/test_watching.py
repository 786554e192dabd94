"""A real search, watched: events as JSON, MLflow and TensorBoard."""

import json
import subprocess
from pathlib import Path

import pytest

from tiny_search import command, run_command, write_inputs


@pytest.mark.long
# Of mlflow-skinny 3.17 with SQLAlchemy 2.1, where this test reads what was told.
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")
def test_search_tells_whoever_asks(tiny_text: str) -> None:
    mlflow = pytest.importorskip("mlflow", reason="pip install mlflow-skinny")
    uri = f"sqlite:///{Path.cwd()}/mlflow.db"
    flags = [*write_inputs(tiny_text, trials=6), "--finalists", "0", "--log-format", "json"]
    done = run_command([*flags, "--name", "told", "--mlflow", uri])
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    events = [json.loads(line) for line in done.stdout.splitlines()]
    names = [event["event"] for event in events]
    assert names[0] == "plan" and names[-1] == "search_ended"
    for name in ("trial_started", "trial_ended"):  # one that ASHA promotes starts again
        assert {event["trial"] for event in events if event["event"] == name} == {*range(6)}
    epochs = [event for event in events if event["event"] == "epoch_ended"]
    assert min(event["val_bits_per_char"] for event in epochs) == pytest.approx(
        events[-2]["best_val_bits_per_char"]
    )
    assert events[-1]["exit_code"] == 0 and Path(events[-1]["report"]).is_file()
    assert Path(events[-1]["predictor"]).is_dir()
    client = mlflow.MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("told")
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.data.tags["trial_number"] for run in runs) == [str(n) for n in range(6)]
    folders = {path.parent for path in Path("results/told/tensorboard").glob("trial_*/events.*")}
    assert len(folders) == 6


@pytest.mark.parametrize("flags", ["--quiet --log-format json", "--log-format yaml"])
def test_contradiction_is_one_line(flags: str) -> None:
    done = subprocess.run(
        command(["--space", "quick", *flags.split()]), capture_output=True, text=True
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1
