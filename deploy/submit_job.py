"""Submits a command to a Ray cluster, shows its output and ends with its exit code.

    python deploy/submit_job.py --address http://127.0.0.1:8265 -- python -m tune.run --space full

`ray job submit` of Ray 2.60 does the same, but ends with 1 whatever exit code but 0 the command
had, sends the cluster's token only where RAY_AUTH_MODE is token, and ends with its connection.
This ends with 75 if nobody tells of the job for five minutes. Ctrl-C stops the job, which writes
what it has where Ray gives it the time: that is RAY_JOB_STOP_WAIT_TIME_S in the cluster's
environment (120 in our image, 3 if it is not set).
"""

import argparse
import asyncio
import contextlib
import shlex
import sys
import time
from typing import Any

from model.errors import EXTERNAL_FAULT, ConfigError
from tune.cluster.ray_environment import prepare_ray_environment

FAILED, INTERRUPTED = 1, 130
POLL_SECONDS = 1.0
TAIL_SECONDS = 60.0
"""Longest silence of the output before the job's state is asked: the connection may be lost."""
SILENT_SECONDS = 300.0


def main(arguments: list[str] | None = None) -> int:
    """Submit, follow, return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--address", default="http://127.0.0.1:8265", help="the dashboard's")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    options = parser.parse_args(arguments)
    words = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not words:
        parser.error("a command must follow --")
    try:
        prepare_ray_environment(options.address)  # the token is sent only where Ray is told to
    except ConfigError as error:
        parser.error(str(error))
    from ray.job_submission import JobStatus, JobSubmissionClient

    client = JobSubmissionClient(options.address)
    job_id = client.submit_job(entrypoint=shlex.join(words))
    print(f"job {job_id}", file=sys.stderr)
    job = FollowedJob(client, job_id)
    try:
        info = job.until_end()
    except KeyboardInterrupt:
        print(f"stopping job {job_id}", file=sys.stderr)
        job.stop()
        info = job.until_end()
    if info is None:
        print(f"no answer about job {job_id}, which may still run", file=sys.stderr)
        return EXTERNAL_FAULT
    if info.status == JobStatus.STOPPED:  # Ray 2.60 does not tell its exit code then
        return INTERRUPTED
    return FAILED if info.driver_exit_code is None else int(info.driver_exit_code)


class FollowedJob:
    """A job whose output is shown once, over however many connections."""

    def __init__(self, client: Any, job_id: str) -> None:
        """Follow a job.

        Args:
            client: Ray's JobSubmissionClient.
            job_id: The job's.
        """
        self._client, self._job_id = client, job_id
        self._num_shown = 0
        self._answered = time.monotonic()

    def stop(self) -> None:
        """Ask for its end; where nobody answers, say so."""
        try:
            self._client.stop_job(self._job_id)
        except (OSError, RuntimeError) as error:
            print(f"job {self._job_id} could not be stopped: {error}", file=sys.stderr)

    def until_end(self) -> Any:
        """Show what the job writes until it has ended.

        Returns:
            What Ray tells of it; None if there was no answer for SILENT_SECONDS.
        """
        import aiohttp

        no_answer = contextlib.suppress(aiohttp.ClientError, OSError, RuntimeError)
        while time.monotonic() - self._answered < SILENT_SECONDS:
            with no_answer:
                asyncio.run(self._show_tail())
            info = None
            with no_answer:
                info = self._client.get_job_info(self._job_id)
                self._answered = time.monotonic()
            if info is not None and info.status.is_terminal():
                with no_answer:  # the tail may have ended before the output
                    self._show(self._client.get_job_logs(self._job_id), 0)
                return info
            time.sleep(POLL_SECONDS)
        return None

    async def _show_tail(self) -> None:
        """Show the output until it ends, or the connection, or there is none for TAIL_SECONDS."""
        start = 0  # each tail begins with the first character
        async with asyncio.timeout(TAIL_SECONDS) as limit:
            async for text in self._client.tail_job_logs(self._job_id):
                self._answered = time.monotonic()
                limit.reschedule(asyncio.get_running_loop().time() + TAIL_SECONDS)
                self._show(text, start)
                start += len(text)

    def _show(self, text: str, start: int) -> None:
        """Print what was not shown yet of a part of the output that starts at a character."""
        print(text[max(0, self._num_shown - start) :], end="", flush=True)
        self._num_shown = max(self._num_shown, start + len(text))


if __name__ == "__main__":
    sys.exit(main())
