"""Takes secrets out of what is written down: command lines, locations, errors of others."""

import re
import shlex
from collections.abc import Sequence

_USER = re.compile(r"(?<=://)[^/?#\s'\"]*@")
_VALUE = re.compile(
    # Looked ahead: a name is tried once for the word, once for its end, however long it is.
    r"([?&;](?=[^?=&;\s]*(?:sig|token|credential|key|secret|passw|pwd|auth))[^?=&;\s]*=)"
    r"[^&;\s'\"]+",
    re.IGNORECASE,
)
HIDDEN = "…"


def redacted(text: str) -> str:
    """Return a text whose URIs have neither a user's name and password nor a signature.

    >>> redacted("--mlflow postgresql://me:hush@db/runs")
    '--mlflow postgresql://…@db/runs'
    >>> redacted("https://b.s3.amazonaws.com/k?X-Amz-Expires=60&X-Amz-Signature=0a1b")
    'https://b.s3.amazonaws.com/k?X-Amz-Expires=60&X-Amz-Signature=…'
    """
    return _VALUE.sub(rf"\1{HIDDEN}", _USER.sub(f"{HIDDEN}@", text))


def redacted_command(program: str, words: Sequence[str]) -> str:
    """Return a command line without secrets, and nothing of `--notify`: a webhook's path is one.

    >>> redacted_command("python -m tune.run", ["--notify", "https://hook/T0/hush", "--seed", "1"])
    "python -m tune.run --notify '…' --seed 1"
    """
    kept = list(words)
    for at, word in enumerate(words):
        if word == "--notify" and at + 1 < len(words):
            kept[at + 1] = HIDDEN
        elif word.startswith("--notify="):
            kept[at] = f"--notify={HIDDEN}"
    return redacted(f"{program} {shlex.join(kept)}")
