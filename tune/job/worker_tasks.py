"""Tasks on Ray's workers that evaluate networks, each with a trial's CPUs and GPUs."""

import dataclasses
import itertools
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import ray
from rich.console import Console

from model.errors import CheckpointError
from model.network.base import Network
from model.network.own_cells import OwnCell, execute_and_register, known_cells
from model.system.devices import pick_device, use_threads
from model.training.checkpoint import CheckpointMeta, load_checkpoint
from tune.cluster.resources import TrialResources
from tune.cluster.shared_corpus import SharedCorpus
from tune.planning.study import Study
from tune.records.run_folder import RunFolder
from tune.storage.checkpoints import MODEL_FOLDER, fetch
from tune.trials.stopper import SearchStopper

POLL_SECONDS = 1.0
"""Poll interval for Ctrl-C, seconds."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class AfterSearch:
    """What finalists and predictor are made with.

    Attributes:
        study: The search.
        folder: Its run folder.
        corpus: Its corpus.
        need: The resources of a trial or a task.
        concurrent: Returns the maximum number that run at once.
        console: Where lines are printed.
    """

    study: Study
    folder: RunFolder
    corpus: SharedCorpus
    need: TrialResources
    concurrent: Callable[[], int]
    console: Console


def run_tasks(
    tasks: Mapping[int, Callable[[], Any]], after: AfterSearch, stopper: SearchStopper
) -> Iterator[tuple[int, Any]]:
    """Yield each task's key and result as tasks end, until the user interrupts.

    No more are submitted than run at once: for those that wait, Ray 2.60 starts workers beside the
    busy ones, each 3 s of a core. No memory is requested. The result is a text, the reason, if a
    task failed or its process or node died: a bug of ours does not cost the report.

    Args:
        tasks: Key to what a task does; its CheckpointError and OSError become reasons too.
        after: A task's resources, and how many run at once.
        stopper: Knows of signals.
    """
    need = after.need
    remote_task = ray.remote(num_cpus=need.cpus, num_gpus=need.gpus)(_reason_or_result)
    cells = known_cells()
    waiting = iter(tasks.items())
    running: dict[Any, int] = {}
    try:
        with stopper.catching_signals():
            while not stopper.interrupted:
                free = max(0, after.concurrent() - len(running))
                for key, task in itertools.islice(waiting, free):
                    running[remote_task.remote(cells, task)] = key
                if not running:
                    return
                ended, _ = ray.wait(list(running), timeout=POLL_SECONDS)
                for reference in ended:
                    yield running.pop(reference), _result(reference)
    finally:
        for reference in running:
            ray.cancel(reference, force=True)


def network_at(location: str, need: TrialResources) -> tuple[Network, CheckpointMeta]:
    """Load a trial's network, on a worker.

    Raises:
        CheckpointError: The checkpoint is damaged.
        OSError: The storage cannot be read.
    """
    use_threads(need.cpus)
    device = pick_device(use_gpu=need.gpus > 0)
    with tempfile.TemporaryDirectory() as temporary:
        return load_checkpoint(fetch(location, Path(temporary) / MODEL_FOLDER), device)


def _reason_or_result(cells: tuple[OwnCell, ...], task: Callable[[], Any]) -> Any:
    execute_and_register(cells)
    try:
        return task()
    except (CheckpointError, OSError) as error:
        return str(error)


def _result(reference: Any) -> Any:
    try:
        result = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        result = f"{type(error.cause).__name__}: {error.cause}"
    except ray.exceptions.RayError as error:
        result = str(error)
    return " ".join(result.split("\n", 1)[0].split()) if isinstance(result, str) else result
