"""Submits a command to a Ray cluster, shows its output and ends with its exit code.

    python deploy/submit_job.py --address http://127.0.0.1:8265 -- python -m tune.run --space full

`ray job submit` of Ray 2.60 does the same, but ends with 1 whatever exit code but 0 the command
had. Ctrl-C stops the job, which writes what it has where Ray gives it the time: that is
RAY_JOB_STOP_WAIT_TIME_S in the cluster's environment (120 in our image, 3 if it is not set).
"""

import argparse
import asyncio
import shlex
import sys
import time

from ray.job_submission import JobStatus, JobSubmissionClient

FAILED, INTERRUPTED = 1, 130
POLL_SECONDS = 1.0


def main() -> int:
    """Submit, follow, return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--address", default="http://127.0.0.1:8265", help="the dashboard's")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    options = parser.parse_args()
    words = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not words:
        parser.error("a command must follow --")
    client = JobSubmissionClient(options.address)
    job_id = client.submit_job(entrypoint=shlex.join(words))
    print(f"job {job_id}", file=sys.stderr)
    try:
        asyncio.run(_show_output(client, job_id))
    except KeyboardInterrupt:
        client.stop_job(job_id)
        print(f"stopping job {job_id}", file=sys.stderr)
        while not client.get_job_status(job_id).is_terminal():
            time.sleep(POLL_SECONDS)
    info = client.get_job_info(job_id)
    if info.status == JobStatus.STOPPED:  # Ray 2.60 does not tell its exit code then
        return INTERRUPTED
    return FAILED if info.driver_exit_code is None else info.driver_exit_code


async def _show_output(client: JobSubmissionClient, job_id: str) -> None:
    async for text in client.tail_job_logs(job_id):
        print(text, end="", flush=True)


if __name__ == "__main__":
    sys.exit(main())
