"""Opens a place by its absolute path or URI, through pyarrow's file systems.

Credentials come from the standard places alone (environment, configuration files, the machine's
role). A URI that holds some is refused, for places are printed and written down.
"""

import re

from pyarrow import fs

from model.errors import ConfigError, first_line

STORE_ERRORS = (OSError, ValueError, NotImplementedError)
"""The families of pyarrow's errors; the last is of what this pyarrow was built without."""

_CREDENTIALS = re.compile(r"[\w+.-]+://[^/?#]*@")


def open_place(place: str) -> tuple[fs.FileSystem, str]:
    """Return the file system of an absolute path or a URI, and the path in it.

    Raises:
        ConfigError: It is neither, or it holds credentials.
    """
    if _CREDENTIALS.match(place):
        raise ConfigError(
            "a URI must hold no credentials; give them as AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, in ~/.aws or by the machine's role"
        )
    try:
        file_system, path = fs.FileSystem.from_uri(place)
    except STORE_ERRORS as error:
        raise ConfigError(broken_rule(place, error)) from error
    return file_system, path.rstrip("/")


def broken_rule(place: str, error: Exception) -> str:
    """Return the message for a place that cannot be used."""
    reason = first_line(error)
    return (
        f"a storage must be an absolute path or a URI that can be written and read: "
        f"{place}: {reason}"
    )
