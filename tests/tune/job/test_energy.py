"""The energy of a search: a resumed one goes on with it, and what is damaged is told."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tiny_search import command, write_inputs

PYNVML = """
import time
nvmlInit = lambda: None
nvmlDeviceGetCount = lambda: 1
nvmlDeviceGetHandleByIndex = lambda index: index
nvmlDeviceGetTotalEnergyConsumption = lambda gpu: time.monotonic_ns() // 1_000  # 1 kW, as mJ
"""


def run(flags: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a search on a machine whose one GPU uses a kilowatt."""
    paths = os.pathsep.join([str(Path("stand_in").resolve()), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths}
    return subprocess.run(command(flags), env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_resumed_search_adds_to_the_energy_of_its_earlier_sessions(tiny_text: str) -> None:
    Path("stand_in").mkdir()
    Path("stand_in/pynvml.py").write_text(PYNVML, encoding="utf-8")
    file, report = Path("results/one/energy.json"), Path("results/one/report.md")
    flags = write_inputs(tiny_text, trials=2)
    done = run([*flags, "--name", "one", "--finalists", "0"])
    assert (done.returncode, done.stderr) == (0, "")
    first = json.loads(file.read_text())
    assert first["seconds"] > 0 and first["gpu_joules"] > 0
    used = re.compile(r"worker-hours.*, in .* machine used ([\d.]+) kWh \(.*GPUs ([\d.]+)\), inc")
    assert used.search(report.read_text(encoding="utf-8"))

    file.write_text(json.dumps({"seconds": 1e6, "gpu_joules": 3.6e9}))
    done = run(["--resume", "results/one", "--trials", "3"])
    assert (done.returncode, done.stderr) == (0, "")
    second = json.loads(file.read_text())
    assert second["seconds"] > 1e6 and second["gpu_joules"] > 3.6e9
    found = used.search(report.read_text(encoding="utf-8"))
    assert found is not None and 1_000 < float(found[2]) < 1_001

    file.write_text("[")
    done = run(["--resume", "results/one", "--trials", "4"])
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "a run's energy must be readable" in done.stderr
