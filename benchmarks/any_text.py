"""Searches on texts of any length, each within its budget: `python -m benchmarks.any_text`.

The texts are Python sources, the standard library's first, so that everyone has them, or named
files. Each row is one `python -m tune.run`, observed from outside: what it found, how long
the command took, and the peak memory of all its processes. The text's sha256 shows
whether two rows used the same text: no two installations have the same sources.
"""

import argparse
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from model.system.durations import counted, parse_duration
from tune.records.load import LoadedRun, load_run
from tune.reporting.confirmation import summary

POLL_SECONDS = 2.0
GIGABYTE = 1e9


def python_sources(num_chars: int) -> str:
    """Return the first characters of the Python sources installed here, sorted by path."""
    parts, found = [], 0
    for source in _sources():
        parts.append(source)
        found += len(source)
        if found >= num_chars:
            return "".join(parts)[:num_chars]
    raise SystemExit(f"the installed Python sources have only {found:,} characters")


def _sources() -> Iterator[str]:
    paths = sysconfig.get_paths()
    for root in (paths["stdlib"], paths["purelib"]):
        for path in sorted(Path(root).rglob("*.py")):
            try:
                yield path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                continue


def search(
    corpus: Path, budget: str, results: Path, *, space: str, seed: int
) -> tuple[LoadedRun, float, float]:
    """Run the command.

    Returns:
        The run, the command's duration in seconds, and the peak memory of its processes in bytes;
        shared memory counts once.
    """
    flags = ["--space", space, "--corpus", str(corpus), "--time-budget", budget]
    flags += ["--seed", str(seed), "--name", "timed", "--results", str(results)]
    start = time.monotonic()
    command = [sys.executable, "-m", "tune.run", *flags]
    running, peak = subprocess.Popen(command, stdout=sys.stderr), 0
    while running.poll() is None:
        peak = max(peak, family_bytes(running.pid))
        time.sleep(POLL_SECONDS)
    if running.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {running.returncode}")
    return load_run(results / "timed"), time.monotonic() - start, peak


def family_bytes(pid: int) -> int:
    """Return the memory of a process and its descendants: proportional set sizes."""
    found = 0
    try:
        head = psutil.Process(pid)
        family = [head, *head.children(recursive=True)]
    except psutil.Error:
        return 0
    for process in family:
        try:
            found += process.memory_full_info().pss
        except psutil.Error:  # it has ended
            continue
    return found


def row(name: str, budget: str, run: LoadedRun, seconds: float, peak_bytes: float) -> str:
    """Return a line of the table."""
    again = summary(run)
    confirmed = "no"
    if len(again):
        confirmed = f"{again.iloc[0]['mean']:.4f}, {counted(again.iloc[0]['seeds'], 'seed')}"
    own, study = run.trials["baseline"].isna(), run.study
    of = f"sha256 {study.corpus.sha256[:12]}, `{study.space.name}`, seed {study.settings.seed}"
    late = seconds - parse_duration(budget)
    return (
        f"| {name}, {of} | {budget} | {own.sum()} + {(~own).sum()} "
        f"| {run.trials['val_bits_per_char'].min():.4f} "
        f"| {confirmed} | {study.floor_bits_per_char:.4f} "
        f"| {late:+.0f} | {peak_bytes / GIGABYTE:.1f} |"
    )


def main() -> None:
    """Print one row per text."""
    parser = argparse.ArgumentParser(description="Searches of texts of any length.")
    parser.add_argument("texts", nargs="*", help="a file, or a number of characters of source")
    parser.add_argument("--budget", default="1h", help="time of each search")
    parser.add_argument("--space", default="full", help="search space: a name or a file")
    parser.add_argument("--seed", type=int, default=0, help="seed of each search")
    options = parser.parse_args()
    print("| text | budget | trials + baselines | best | again | n-gram | late, s | peak, GB |")
    print("|---|---|---|---|---|---|---|---|")
    for text in options.texts or ["12000000", "100000000"]:
        with tempfile.TemporaryDirectory() as folder:
            corpus = Path(text)
            if text.isdecimal():
                corpus = Path(folder) / "sources.txt"
                corpus.write_text(python_sources(int(text)), encoding="utf-8")
            searched = corpus.resolve(), options.budget, Path(folder)
            found = search(*searched, space=options.space, seed=options.seed)
            name = f"{int(text):,} characters" if text.isdecimal() else corpus.name
            print(row(name, options.budget, *found), flush=True)


if __name__ == "__main__":
    main()
