"""The compiled kernel: built once by the machine's C++ compiler and kept in the cache folder.

There is one for float32 and one for bfloat16, from the same source.

Loading a library executes it. So it is loaded only from a folder and a file that only this user
can write, and its name contains the hash of its source and build flags.
"""

import ctypes
import functools
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

import torch

from model.system.files import cache_folder

SOURCE = Path(__file__).with_name("lstm.cpp")
HEADER = Path(__file__).with_name("tiles.h")
FLAGS = (
    *("-std=c++17", "-O3", "-shared", "-fPIC", "-fno-exceptions", "-fno-rtti"),
    *("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl"),
)
FLAGS_OF_DTYPE = {torch.float32: (), torch.bfloat16: ("-mavx512bf16", "-DBFLOAT16")}
_CPUINFO = Path("/proc/cpuinfo")
_INSTRUCTIONS = {"avx512f", "avx512bw", "avx512dq", "avx512vl"}
_INSTRUCTIONS_OF_DTYPE = {torch.float32: set[str](), torch.bfloat16: {"avx512_bf16"}}
"""As Linux names them. On other processors and systems a compiler would be called in vain."""
_COMPILERS = ("c++", "g++", "clang++")
_BUILD_SECONDS = 300.0
"""The build takes 2 s on an idle core."""
_OTHERS_WRITE = 0o022
_POINTER, _SIZE = ctypes.c_void_p, ctypes.c_int64


@functools.cache
def load_kernel(dtype: torch.dtype) -> ctypes.CDLL | None:
    """Return the kernel for float32 or bfloat16; None where there is none.

    It needs a compiler, a suitable processor and a cache folder.
    """
    try:
        processor, _, _ = _CPUINFO.read_text(encoding="utf-8").partition("\n\n")
        if not _INSTRUCTIONS | _INSTRUCTIONS_OF_DTYPE[dtype] <= set(processor.split()):
            return None
        flags = (*FLAGS, *FLAGS_OF_DTYPE[dtype])
        path = _path(flags)
        if not path.exists():
            _build(path, flags)
        if any(_is_of_others(place) for place in (path.parent, path)):
            return None
        library = ctypes.CDLL(str(path))
    except (OSError, subprocess.SubprocessError):
        return None
    library.lstm_pack.argtypes = (_SIZE,) * 2 + (_POINTER,) * 3
    library.lstm_next.argtypes = (_POINTER, _SIZE) + (_POINTER,) * 5
    library.lstm_next.restype = ctypes.c_bool
    library.lstm_forward.argtypes = (_SIZE,) * 3 + (_POINTER,) * 5
    library.lstm_backward.argtypes = (_SIZE,) * 3 + (_POINTER,) * 6
    return library


def loaded_kernel(dtype: torch.dtype) -> ctypes.CDLL:
    """Return the kernel for float32 or bfloat16; there must be one here."""
    library = load_kernel(dtype)
    assert library is not None, "no kernel here"
    return library


def _path(flags: tuple[str, ...]) -> Path:
    key = hashlib.sha256(" ".join(flags).encode())
    for path in (HEADER, SOURCE):
        key.update(path.read_bytes())
    return cache_folder() / "kernels" / f"lstm-{key.hexdigest()[:16]}.so"


def _build(path: Path, flags: tuple[str, ...]) -> None:
    """Compile the source; several processes may do so at the same time.

    Raises:
        OSError: There is no compiler, or the file cannot be written.
        subprocess.SubprocessError: It cannot be compiled here.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        built = Path(folder) / path.name
        command = [*_compiler(), *flags, str(SOURCE), "-o", str(built)]
        subprocess.run(command, check=True, capture_output=True, timeout=_BUILD_SECONDS)
        built.chmod(0o700)  # with a umask of 002 its group could write it
        built.replace(path)


def _compiler() -> list[str]:
    """Return the command in CXX, or the first available compiler.

    Raises:
        FileNotFoundError: There is none.
    """
    if os.environ.get("CXX"):
        return shlex.split(os.environ["CXX"])
    for name in _COMPILERS:
        if found := shutil.which(name):
            return [found]
    raise FileNotFoundError("no C++ compiler")


def _is_of_others(path: Path) -> bool:
    """Return whether a user other than this process's may have written it."""
    status = path.stat()
    return status.st_uid != os.geteuid() or bool(status.st_mode & _OTHERS_WRITE)
