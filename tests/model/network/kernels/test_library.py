"""How the kernel is built, kept and refused."""

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from model.config import TrialConfig
from model.errors import ConfigError
from model.network import precision
from model.network.kernels import library
from model.network.precision import BFLOAT16, resolve_arithmetic
from model.system.devices import pick_device
from model.system.files import cache_folder
from repository import ROOT

build = functools.partial(library.load_kernel.__wrapped__, torch.float32)
"""Does what a new process does."""


@pytest.fixture
def measured_machine() -> None:
    """Nothing: these tests begin with an empty cache."""


@pytest.fixture(scope="module", autouse=True)
def _quickly_compiled() -> Iterator[None]:
    """Compile in a sixth of the time: none of these tests computes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library, "FLAGS", tuple(f.replace("-O3", "-O0") for f in library.FLAGS))
        yield


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a kernel that was built in a cache folder of this module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        if build() is None:
            pytest.skip("no AVX512 or no C++ compiler here")
        (path,) = (cache_folder() / "kernels").iterdir()
        return path


@pytest.fixture
def built(compiled: Path) -> Path:
    """Return the same in this test's cache folder."""
    folder = shutil.copytree(compiled.parent, cache_folder() / "kernels")
    return folder / compiled.name


@pytest.mark.slow
def test_it_is_built_once_and_for_its_user_alone(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert built.parent.stat().st_mode & 0o777 == 0o700
    monkeypatch.setenv("CXX", "/no/compiler")
    assert build() is not None


@pytest.mark.slow
def test_it_is_kept_where_new_files_are_their_groups_to_write(
    compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.umask(0o002)
    try:
        assert build() is not None
    finally:
        os.umask(before)
    (path,) = (cache_folder() / "kernels").iterdir()
    assert path.name == compiled.name and path.stat().st_mode & 0o777 == 0o700


@pytest.mark.slow
def test_another_source_is_another_file(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (0, 1):
        folder = tmp_path / str(number)
        shutil.copytree(library.HEADER.parent, folder)
        changed = folder / (library.HEADER.name, library.SOURCE.name)[number]
        changed.write_bytes(changed.read_bytes() + b"\n// changed\n")
        monkeypatch.setattr(library, "HEADER", folder / library.HEADER.name)
        monkeypatch.setattr(library, "SOURCE", folder / library.SOURCE.name)
        assert build() is not None
        assert len(list(built.parent.iterdir())) == 2 + number


@pytest.mark.parametrize("is_folder", [False, True])
def test_what_others_could_have_written_is_not_loaded(
    is_folder: bool, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (built.parent if is_folder else built).chmod(0o777)
    monkeypatch.setattr(library.ctypes, "CDLL", lambda path: pytest.fail(path))
    assert build() is None


@pytest.mark.parametrize("compiler", ["/no/compiler", "false", "true", f"{sys.executable} -V"])
def test_without_a_compiler_that_works_there_is_none(
    compiler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", compiler)
    assert build() is None
    assert list(cache_folder().rglob("*.so*")) == []


@pytest.mark.parametrize("cpuinfo", ["Features\t: fp asimd\n", "flags\t: fpu sse avx2\n", None])
def test_no_compiler_is_called_for_another_processor(
    cpuinfo: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot know the flags; on a Mac without one its name opens a window, in each process."""
    if cpuinfo:
        (tmp_path / "cpuinfo").write_text(cpuinfo, "utf-8")
    monkeypatch.setattr(library, "_CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("it compiles"))
    assert build() is None
    assert not cache_folder().exists()


def test_cache_that_cannot_be_written_is_no_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert build() is None


def test_library_that_is_none_is_no_kernel() -> None:
    path = library._path(library.FLAGS)
    path.parent.mkdir(mode=0o700, parents=True)
    path.write_bytes(b"\x7fELF and nothing else")
    assert build() is None


@pytest.mark.slow
def test_each_precision_has_its_own_file(built: Path) -> None:
    if library.load_kernel.__wrapped__(torch.bfloat16) is None:
        pytest.skip("no AVX512-BF16 here")
    assert len(list(built.parent.iterdir())) == 2


def test_without_it_auto_is_torch_and_fused_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "load_kernel", lambda dtype: None)
    monkeypatch.setattr(precision, "has_bfloat16", lambda: True)
    cpu = pick_device(use_gpu=False)
    assert resolve_arithmetic(TrialConfig(precision="bfloat16"), cpu) == BFLOAT16
    with pytest.raises(ConfigError, match="kernel must be auto or torch here"):
        resolve_arithmetic(TrialConfig(kernel="fused"), cpu)


@pytest.mark.slow
def test_training_goes_on_without_a_compiler(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("the quick brown fox jumps over the lazy dog\n" * 200, "utf-8")
    command = [sys.executable, "-m", "model.train", "--corpus", str(text), "--epochs", "1"]
    sizes = ["--hidden-size", "16", "--precision", "auto"]
    environment = {**os.environ, "CXX": "/no/compiler", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, *sizes], env=environment, capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert "fused" not in done.stdout
