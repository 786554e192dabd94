"""A process ends although a thread that it has left still waits."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from repository import ROOT
from tiny_search import write_inputs
from tune.console import COMMANDS

pytestmark = pytest.mark.slow

_COMMAND = """
import runpy, sys
from concurrent.futures import ThreadPoolExecutor
from threading import Event

def wait_for_ever(*_):  # as pyarrow does in S3: Python joins such threads at its end
    return ThreadPoolExecutor().submit(Event().wait).result()

{before}
runpy.run_module("tune.run", run_name="__main__", alter_sys=True)
"""
_SILENT_STORAGE = """
from model.system import filesystem
filesystem.ANSWER_SECONDS, filesystem.open_location = 0.1, wait_for_ever
"""
_SLOW_RAY = """
from tune.cluster.cluster import Cluster

def close(cluster, close=Cluster.close):
    print("closing", flush=True)
    close(cluster)

def take_memory(cluster):
    print("beside it", flush=True)
    Event().wait()

Cluster.close, Cluster.take_memory, Cluster._start = close, take_memory, wait_for_ever
"""
_TRACKER = """
from rich.console import Console
from model.system.ending import end
from tune.monitoring import trackers

class Hanging:
    close = wait_for_ever

trackers.CLOSE_SECONDS, trackers._tensorboard_log = 0.1, lambda search: Hanging()
with trackers.Trackers(None, {}, Console()):
    pass
end(3)
"""


@contextmanager
def begun(before: str, *flags: str) -> Iterator[subprocess.Popen[str]]:
    """Start `tune.run` in a process that has done something before."""
    process = subprocess.Popen(
        [sys.executable, "-c", _COMMAND.format(before=before), *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_storage_that_does_not_answer_keeps_no_process(tiny_text: str) -> None:
    with begun(_SILENT_STORAGE, *write_inputs(tiny_text), "--storage", "s3://x/runs") as search:
        output, errors = search.communicate()
    assert (search.returncode, output) == (2, "")
    assert errors == "tune.run: a storage must answer within 0.1 s: s3://x/runs\n"


def test_second_ctrl_c_ends_at_once_while_ray_starts(tiny_text: str) -> None:
    with begun(_SLOW_RAY, *write_inputs(tiny_text)) as search:
        assert search.stdout is not None
        for line in ("beside it\n", "closing\n"):
            while (said := search.stdout.readline()) != line:
                assert said, search.communicate()
            search.send_signal(signal.SIGINT)
        _, errors = search.communicate()
    assert (search.returncode, errors) == (130, "")


def test_tracker_that_hangs_keeps_no_process() -> None:
    with begun(_TRACKER) as search:
        output, errors = search.communicate()
    assert (search.returncode, errors) == (3, "")
    assert output.startswith(
        "TensorBoard failed and is disabled for this search: it did not process"
    )


def test_each_command_ends_so() -> None:
    for module, _ in COMMANDS.values():
        text = (ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
        assert text.endswith('if __name__ == "__main__":\n    end(main())\n')
