"""The benchmark for GPUs, as far as it can be run without one."""

import os
import subprocess
import sys

import pytest
import torch

from repository import ROOT


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the benchmark from the project's folder."""
    command = [sys.executable, "-m", "benchmarks.gpu", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so() -> None:
    done = run()
    assert (done.returncode, done.stdout.strip(), done.stderr) == (
        2,
        "no GPU is visible to torch here: nothing was measured",
        "",
    )


@pytest.mark.slow
def test_its_table_has_a_row_for_each_number_of_processes() -> None:
    done = run("--device", "cpu", "--seconds", "0.1", "--processes", "1", "2", "--shapes", "1x8x4")
    assert done.returncode == 0, done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| 1x8x4")]
    assert [row[1] for row in rows] == ["1", "2"]
    assert float(rows[0][3]) == 1
