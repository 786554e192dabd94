"""Takes secrets out of what is written down: command lines, locations, errors of others."""

import re

_USER = re.compile(r"(?<=://)[^/?#\s'\"]*@")
_VALUE = re.compile(
    r"([?&;][^=&;\s]*(?:sig|token|credential|key|secret|passw|pwd|auth)[^=&;\s]*=)[^&;\s'\"]+",
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
