"""What is written down has no secrets: command lines, corpora, errors of other programs."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from model.system.secrets import redacted
from search_spaces import load_space
from tune.job.options import parse_options
from tune.monitoring.tracker import TrackedSearch, Tracker
from tune.monitoring.trackers import Trackers
from tune.records.trial import TrialRecord


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:hush@db/runs", "postgresql://…@db/runs"),
        (
            "see https://hush@host/x and mysql+pymysql://a:hush@h:3/x",
            "see https://…@host/x and mysql+pymysql://…@h:3/x",
        ),
        (
            "https://h/k?a=1&X-Amz-Credential=hush&X-Amz-Signature=hush",
            "https://h/k?a=1&X-Amz-Credential=…&X-Amz-Signature=…",
        ),
        ("https://h/k?sv=2&sig=hush'", "https://h/k?sv=2&sig=…'"),
        ("https://h/k?access_token=hush#x", "https://h/k?access_token=…"),
        (
            "s3://bucket/runs?region=eu&endpoint_override=a:9",
            "s3://bucket/runs?region=eu&endpoint_override=a:9",
        ),
        ("https://h/k?a=1?sig=hush&b?key=hush", "https://h/k?a=1?sig=…&b?key=…"),
        ("a@b.c mail, book.txt", "a@b.c mail, book.txt"),
    ],
)
def test_secrets_are_hidden(text: str, shown: str) -> None:
    assert redacted(text) == shown and "hush" not in shown


@pytest.mark.parametrize("part", ["?sig", "?", "sig", "://", "@", "?sig=", "&key&"])
def test_text_of_another_program_takes_time_as_it_is_long(part: str) -> None:
    text = f"see ?{part * 30_000}"  # a minute, if only the square of it
    assert redacted(text).startswith("see ?")


def test_command_line_is_kept_without_its_secrets() -> None:
    options = parse_options(
        [
            *("--space", "quick", "--mlflow", "postgresql://me:hush@db/runs"),
            *("--corpus", "https://host/book.txt?X-Amz-Signature=hush"),
        ]
    )
    assert "hush" not in options.command and "--space quick" in options.command
    assert options.mlflow == "postgresql://me:hush@db/runs"  # it is still used


@pytest.mark.parametrize(
    "words",
    [
        ["--notify", "https://hooks.host/services/T0/B0/hush"],
        ["--notify=https://hooks.host/services/hush"],
        ["--notify", "curl -H 'Authorization: Bearer hush' https://host"],
    ],
)
def test_nothing_of_a_notification_is_kept(words: list[str]) -> None:
    options = parse_options(["--space", "quick", *words, "--seed", "1"])
    assert "hush" not in options.command and "host" not in options.command
    assert "--notify" in options.command and options.command.endswith("--seed 1")
    assert options.notify is not None and "hush" in options.notify


def test_error_of_a_tracker_is_told_without_its_secrets(tmp_path: Path) -> None:
    output = io.StringIO()
    console, space = Console(file=output), load_space("quick")

    class Broken(Tracker):
        def __init__(self, search: TrackedSearch) -> None:
            raise OSError("cannot reach postgresql://me:hush@db/runs")

    search = TrackedSearch(name="ten", folder=tmp_path, space=space, search_id="0" * 12)
    with Trackers(search, {"MLflow": Broken}, console) as trackers:
        trackers.trial_started(TrialRecord(number=0, config=space.base))
    assert "MLflow failed" in output.getvalue() and "hush" not in output.getvalue()
