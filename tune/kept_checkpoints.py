"""The networks of the best trials, copied into the run folder when a search ends."""

import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from model.errors import CheckpointError
from model.system.files import in_place_of
from model.training.checkpoint import copy_model, load_checkpoint, load_training_state
from tune.checkpoints import (
    MODEL_FOLDER,
    CheckpointStore,
    drop,
    fetch,
    place_of,
    unreadable,
)

KEPT_CHECKPOINTS = 5


def keep_checkpoints(
    kept: Path,
    numbers: Iterable[int],
    store: CheckpointStore,
    *,
    has_ended: Collection[int],
    may_delete: Callable[[], bool] = lambda: True,
) -> None:
    """Copy the networks of the best trials, and remove what the storage has of older ones.

    Args:
        kept: The folder that gets them, by rank; one of an earlier session is replaced.
        numbers: The trials, best first.
        store: Where their checkpoints are. A trial whose newest is missing or damaged is left
            out, and the next one takes its rank.
        has_ended: The trials that do not go on. Of others nothing is removed.
        may_delete: Says whether anything may be removed.

    Raises:
        CutOff: The storage does not answer.
    """
    locations = store.newest_first()
    with in_place_of(kept) as folder:
        rank = 1
        for number in numbers:
            if rank <= KEPT_CHECKPOINTS and _copy(locations.get(number), folder / f"{rank:02d}"):
                rank += 1
    drop_superseded({n: of for n, of in locations.items() if n in has_ended}, may_delete)


def drop_superseded(
    locations: Mapping[int, list[str]], may_delete: Callable[[], bool] = lambda: True
) -> None:
    """Remove all but the newest of each trial's checkpoints, where the newest is whole.

    Args:
        locations: Trial number to its checkpoints, the newest first.
        may_delete: Says whether anything may be removed.

    Raises:
        CutOff: The storage does not answer.
    """
    for newest, *older in locations.values():
        if older and _is_whole(newest) and may_delete():
            drop(place_of(location) for location in older)


def _copy(locations: list[str] | None, target: Path) -> bool:
    if not locations:
        return False
    try:
        with _fetched(locations[0]) as folder:
            copy_model(folder, target)
    except CheckpointError:
        return False
    return True


def _is_whole(location: str) -> bool:
    """Return whether a trial could go on from a checkpoint; its files' sums are compared."""
    try:
        with _fetched(location) as folder:
            load_checkpoint(folder)
            load_training_state(folder)
    except CheckpointError:
        return False
    return True


@contextmanager
def _fetched(location: str) -> Iterator[Path]:
    """Yield a local copy of a checkpoint.

    Raises:
        CheckpointError: It was removed meanwhile.
        CutOff: The storage does not answer.
    """
    with tempfile.TemporaryDirectory() as temporary:
        try:
            folder = fetch(location, Path(temporary) / MODEL_FOLDER)
        except FileNotFoundError as error:
            raise CheckpointError(f"damaged checkpoint {location}: {error}") from error
        except OSError as error:
            raise unreadable(error) from error
        yield folder
