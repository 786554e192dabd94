"""Tells a command or a webhook how a search ended: `--notify`.

Any failure costs one line on stderr. That line never contains the target: a webhook's path is a
secret, and a command may contain one.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from model.errors import ConfigError, exit_code_of
from model.system.filesystem import within_seconds
from model.system.secrets import redacted
from model.system.terminal import complain
from tune.planning.study import StudyOptions
from tune.records.load import read_run
from tune.records.run_folder import RunFolder
from tune.records.tables import ranked

NOTIFY_SECONDS = 30.0
"""Longest wait for the command or the webhook."""
_WEB = ("http://", "https://")


def notified(options: StudyOptions, folder: RunFolder, run: Callable[[], int]) -> int:
    """Run a search and report its end, even an error; not if Ctrl-C ends it at once.

    Args:
        options: The command line; a plan alone is no search.
        folder: The run folder, which need not exist yet.
        run: Runs the search and returns the exit code.

    Returns:
        That code.
    """
    exit_code, error = 1, ""
    try:
        exit_code = run()
    except Exception as raised:
        exit_code = exit_code_of(raised)
        error = redacted(" ".join(str(raised).split())) or type(raised).__name__
        raise
    finally:
        ends_at_once = isinstance(sys.exception(), KeyboardInterrupt)
        if not ends_at_once:
            tell_end(options, folder, exit_code, error)
    return exit_code


def tell_end(options: StudyOptions, folder: RunFolder, exit_code: int, error: str) -> None:
    """Report how a search ended, if requested; for the arguments see `told`."""
    if options.notify is not None and not options.dry_run:
        _notify(options.notify, told(folder, exit_code, error))


def check_notify(target: str) -> None:
    """Refuse a target that is neither a command nor a webhook.

    Raises:
        ConfigError: It is empty, or a URL without a host or with blanks.
    """
    is_url = target.startswith(_WEB)
    if not target.strip() or (is_url and (not urlsplit(target).hostname or " " in target)):
        raise ConfigError("--notify needs a command, or a URL such as https://host/path")


def told(folder: RunFolder, exit_code: int, error: str) -> dict[str, Any]:
    """Return what is reported of a search, as JSON values.

    Args:
        folder: The run folder.
        exit_code: The command's.
        error: What ended the search; empty if it ran to its end.
    """
    known: dict[str, Any] = {
        "run": folder.path.name,
        "folder": str(folder.path.resolve()),
        "exit_code": exit_code,
        "ended": error,
    }
    with contextlib.suppress(ConfigError, OSError):  # it may not have started, or its disk is full
        run = read_run(folder)
        best = ranked(run.trials).head(1)
        known |= {
            "ended": error or run.study.ended,
            "command": run.study.command,
            "trials": len(run.trials),
            "search_seconds": round(run.search_seconds, 1),
            "best_trial": None if best.empty else int(best["number"].iloc[0]),
            "best_val_bits_per_char": (
                None if best.empty else float(best["val_bits_per_char"].iloc[0])
            ),
            "best": None if run.best is None else run.best.to_dict(),
        }
    return known


def _notify(target: str, values: dict[str, Any]) -> None:
    body = json.dumps(values).encode()
    try:
        if target.startswith(_WEB):
            late = TimeoutError(f"no answer within {NOTIFY_SECONDS:g} s")
            within_seconds(NOTIFY_SECONDS, lambda: _post(target, body), late=late)
        else:
            _run(target, body)
    except urllib.error.HTTPError as error:
        complain("--notify failed", f"the server answered {error.code}")
        error.close()
    except urllib.error.URLError as error:
        complain("--notify failed", error.reason)
    except TimeoutError as error:
        complain("--notify failed", error)
    except Exception as error:  # its text may contain the URL
        complain("--notify failed", type(error).__name__)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: a POST would arrive as a GET, without its body."""

    def redirect_request(self, *_: Any) -> None:
        """Return nothing, which makes a redirect an error."""


def _post(url: str, body: bytes) -> None:
    request = urllib.request.Request(
        url, data=body, headers={"Content-Type": "application/json"}, method="POST"
    )
    urllib.request.build_opener(_NoRedirect).open(request, timeout=NOTIFY_SECONDS).close()


def _run(command: str, body: bytes) -> None:
    """Run a command in the user's shell, in a process group that can be ended as a whole."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command,
            shell=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
        )
        try:
            process.communicate(body, timeout=NOTIFY_SECONDS)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"the command took longer than {NOTIFY_SECONDS:g} s") from None
        finally:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if process.returncode:
            said.seek(0)
            lines = said.read().decode(errors="replace").split("\n")
            last = next((line for line in reversed(lines) if line.strip()), "")
            reason = f": {last}" if last else ""
            complain("--notify failed", f"exit code {process.returncode}{reason}")
