"""The networks of the best trials, copied into the run folder when a search ends."""

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from model.checkpoint import copy_model
from model.errors import CheckpointError
from tune.checkpoints import MODEL_FOLDER, CheckpointStore, fetch

KEPT_CHECKPOINTS = 5


def keep_checkpoints(kept: Path, numbers: Iterable[int], store: CheckpointStore) -> None:
    """Copy the networks of the best trials, and remove what the storage has of older ones.

    Args:
        kept: The folder that gets them, by rank; one of an earlier session is replaced.
        numbers: The trials, best first.
        store: Where their checkpoints are. A trial whose newest is missing or damaged is left
            out, and the next one takes its rank.
    """
    locations = store.newest_first()
    with _in_place_of(kept) as folder:
        rank = 1
        for number in numbers:
            if rank <= KEPT_CHECKPOINTS and _copy(locations.get(number), folder / f"{rank:02d}"):
                rank += 1
    store.drop_superseded(locations)


def _copy(locations: list[str] | None, target: Path) -> bool:
    if not locations:
        return False
    try:
        with tempfile.TemporaryDirectory() as temporary:
            copy_model(fetch(locations[0], Path(temporary) / MODEL_FOLDER), target)
    except CheckpointError:
        return False
    return True


@contextmanager
def _in_place_of(kept: Path) -> Iterator[Path]:
    """Yield an empty folder that takes another's place when it is full."""
    partial, replaced = (kept.with_name(f".{kept.name}.{n}") for n in ("partial", "replaced"))
    for left in (partial, replaced):  # by a driver that was killed
        shutil.rmtree(left, ignore_errors=True)
    partial.mkdir()
    yield partial
    if kept.exists():
        kept.rename(replaced)
    partial.rename(kept)
    shutil.rmtree(replaced, ignore_errors=True)
