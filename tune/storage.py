"""Checks that the place for checkpoints can be written before a search starts."""

import threading

from pyarrow import fs

from model.errors import ConfigError

ANSWER_SECONDS = 20.0


def check_storage(uri: str) -> None:
    """Write and delete a small file at a storage URI or an absolute local path.

    Raises:
        ConfigError: The storage cannot be reached or written, or is no URI.
    """
    failure: list[Exception] = []

    def probe() -> None:
        try:
            file_system, path = fs.FileSystem.from_uri(uri)
            file_system.create_dir(path, recursive=True)
            probe_path = f"{path.rstrip('/')}/.write-probe"
            with file_system.open_output_stream(probe_path) as stream:
                stream.write(b"probe")
            file_system.delete_file(probe_path)
        except (
            OSError,
            ValueError,
        ) as error:  # pyarrow's errors are of these two families
            failure.append(error)

    # pyarrow's own retries take minutes, so the wait is ours.
    thread = threading.Thread(target=probe, daemon=True)
    thread.start()
    thread.join(ANSWER_SECONDS)
    if thread.is_alive():
        raise ConfigError(f"a storage must answer within {ANSWER_SECONDS:g} s: {uri}")
    if failure:
        reason = str(failure[0]).splitlines()[0]
        raise ConfigError(
            f"a storage must be an absolute path or a URI that can be written: {uri}: {reason}"
        )
