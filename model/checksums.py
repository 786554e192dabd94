"""SHA-256 of the files of a folder, in a file as the command sha256sum writes and checks it.

Names are plain file names without line breaks: they are ours.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from model.errors import CheckpointError

SUMS_FILE = "SHA256SUMS"


def write_sums(folder: Path, names: Iterable[str]) -> None:
    """Write the checksums of some files of a folder into the folder.

    Raises:
        OSError: A file cannot be read, or the folder not written.
    """
    lines = [f"{_sha256(folder / name)}  {name}\n" for name in names]
    (folder / SUMS_FILE).write_text("".join(lines), encoding="utf-8")


def check_sum(folder: Path, name: str) -> None:
    """Compare a file of a folder with its checksum.

    Raises:
        CheckpointError: It differs, is missing, or has no checksum.
    """
    path = folder / SUMS_FILE
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        sums = {of: digest for digest, of in (line.split("  ", 1) for line in lines)}
        expected, found = sums[name], _sha256(folder / name)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"damaged checkpoint {path}: {error!r}") from error
    if found != expected:
        raise CheckpointError(f"damaged checkpoint {folder / name}: its SHA-256 differs")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
