"""The benchmark for GPUs, as far as it can be run without one."""

import os
import subprocess
import sys

import pytest
import torch

from benchmarks.gpu_steps import StackedLSTM, own_step, stacked_step
from model.config import TrialConfig
from model.network.lstm import CharLSTM
from repository import ROOT


def run(*words: str, name: str = "gpu") -> subprocess.CompletedProcess[str]:
    """Run a benchmark from the project's folder."""
    command = [sys.executable, "-m", f"benchmarks.{name}", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("name", ["gpu", "gpu_steps"])
def test_without_a_gpu_it_says_so(name: str) -> None:
    done = run(name=name)
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


def test_stacked_networks_are_trained_as_each_alone() -> None:
    torch.manual_seed(0)
    config = TrialConfig(
        num_layers=2, hidden_size=12, embedding_dim=5, dropout=0.0, input_dropout=0.0
    )
    networks = [CharLSTM(config, vocabulary_size=7) for _ in range(3)]
    stacked = StackedLSTM(networks)
    symbols_NTB = torch.randint(7, (3, 11, 4))
    step = stacked_step(stacked, symbols_NTB)
    own = [own_step(*each) for each in zip(networks, symbols_NTB, strict=True)]
    for _ in range(3):
        step()
        for each in own:
            each()
    logits_NTBV = stacked(symbols_NTB)
    for number, network in enumerate(networks):
        logits_TBV, _ = network(symbols_NTB[number])
        torch.testing.assert_close(logits_NTBV[number], logits_TBV, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
def test_steps_have_a_row_each() -> None:
    words = ("--device", "cpu", "--seconds", "0.1", "--networks", "2", "--shapes", "1x8x4")
    done = run(*words, name="gpu_steps")
    assert done.returncode == 0, done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| 1x8x4")]
    assert [row[1] for row in rows] == ["trained", "2 stacked", "written"]
    assert all(float(row[2].replace(",", "")) > 0 for row in rows)
