"""What ends a search from outside, as one line."""

import errno
import os

import pytest

from model.errors import ConfigError, ExternalFault
from model.system.files import unwritable
from tune.job.job import naming_how_to_resume


def test_full_disk_is_known_in_whatever_it_is_wrapped() -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    wrapped = RuntimeError("the run failed")
    wrapped.__cause__ = full
    for error in (full, wrapped, RuntimeError(f"a traceback\n{full}"), f"OSError: {full}"):
        assert unwritable(error) == "No space left on device"
    assert unwritable(FileNotFoundError(errno.ENOENT, "no such file")) is None
    assert unwritable("ValueError: batch_size") is None


def test_line_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    def telling(error: BaseException) -> None:
        with naming_how_to_resume("results/x", lambda: "resume x", other_place=lambda: None):
            raise error

    with pytest.raises(
        ExternalFault, match=r"results/x: Read-only file system; to continue: resume x$"
    ):
        telling(OSError(errno.EROFS, "read-only"))
    with pytest.raises(ExternalFault, match=r"^the storage; to continue: resume x$"):
        telling(ExternalFault("the storage"))
    assert capsys.readouterr().err == ""
    for error in (KeyboardInterrupt(), RuntimeError("ours")):
        with pytest.raises(type(error)):
            telling(error)
        assert capsys.readouterr().err == "to continue: resume x\n"
    with pytest.raises(ConfigError):
        telling(ConfigError("one driver"))
    assert capsys.readouterr().err == ""
