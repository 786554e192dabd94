"""A run that a stranger wrote, pickles in every place that it has: nothing of it is executed."""

import json
import pickle
from pathlib import Path

import pytest

from tiny_search import run_command, write_inputs
from tune import report, samples, status


def payload(path: Path) -> bytes:
    """Return a pickle that makes a file when it is loaded."""
    return b"cbuiltins\nopen\n(V" + str(path).encode() + b"\nVw\ntR."


@pytest.mark.long
def test_nothing_that_a_run_holds_is_unpickled(tiny_text: str, tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    bait = payload(marker)
    pickle.loads(bait).close()
    assert marker.exists()
    marker.unlink()

    flags = write_inputs(tiny_text, trials=14)
    done = run_command([*flags, "--name", "theirs", "--sampler", "cmaes", "--finalists", "0"])
    assert done.returncode == 0, done.stderr
    run = Path("results/theirs")
    lines = run.joinpath("optuna.journal").read_text(encoding="utf-8").splitlines()
    attributes = {
        f"{kind}:{name}": bait.hex()
        for kind in ("cma", "sepcma", "cmawm")
        for name in ("optimizer:0", "optimizer")
    }
    planted = []
    for line in lines:
        entry = json.loads(line)
        if "system_attr" in entry:
            entry["system_attr"] |= attributes
        planted.append(json.dumps(entry))
        if "trial_id" in entry:
            planted.append(json.dumps({**entry, "op_code": 9, "system_attr": attributes}))
    run.joinpath("optuna.journal").write_text("\n".join(planted) + "\n", encoding="utf-8")
    names = ("trials.parquet", "checkpoints/01/data.pkl", "ray/x.pkl", "predictor.pkl")
    pickles = [*run.rglob("*.pkl"), *run.rglob(".tune_metadata"), *map(run.joinpath, names)]
    for path in pickles:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bait)

    assert report.main([str(run)]) == 0
    assert status.main([str(run)]) == 0
    assert samples.main([str(run), "--chars", "20", "--corpus", "book.txt"]) == 0
    resumed = run_command(["--resume", str(run), "--trials", "17", "--finalists", "1"])
    assert resumed.returncode == 0, resumed.stderr
    begun = run_command([*flags, "--trials", "2", "--start-from", str(run), "--finalists", "0"])
    assert begun.returncode == 0, begun.stderr
    assert not marker.exists()
    assert "optimizer" not in run.joinpath("optuna.journal").read_text(encoding="utf-8")
