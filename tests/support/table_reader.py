"""Reads a run's files over and over: `python tests/support/table_reader.py RUN`; ends on SIGTERM.

A file that is half written or contradicts another is one line on stderr and exit code 1. At the
end it prints how often it has read.
"""

import csv
import json
import signal
import sys
import time
from collections import Counter
from pathlib import Path

from model.errors import CheckpointError
from model.system.files import check_sum


def rows_of(path: Path) -> list[dict[str, str]]:
    """Return a table's rows; each must have all columns, and the last line must end."""
    text = path.read_text(encoding="utf-8")
    assert text.endswith("\n"), f"{path} ends in the middle of a line"
    rows = list(csv.DictReader(text.splitlines()))
    for row in rows:
        assert None not in row and None not in row.values(), f"{path}: {row}"
    return rows


def read(run: Path) -> None:
    """Read each file once."""
    trials = rows_of(run / "trials.csv")  # first: epochs.csv then has what it counts
    epochs = Counter(row["number"] for row in rows_of(run / "epochs.csv"))
    for row in trials:
        assert epochs[row["number"]] >= int(row["epochs_run"]), f"{row} has {epochs}"
    for name in ("finalists.csv", "quality.csv"):
        if (run / name).exists():
            rows_of(run / name)
    for path in run.glob("*.parquet"):
        data = path.read_bytes()
        assert data.startswith(b"PAR1") and data.endswith(b"PAR1"), f"{path} is cut"
    if (run / "report.html").exists():
        page = (run / "report.html").read_text(encoding="utf-8")
        assert page.endswith(("</html>", "</html>\n")), "report.html is cut"
    for name in ("study.json", "best.json"):
        if (run / name).exists():
            json.loads((run / name).read_text(encoding="utf-8"))
    for name in ("report.md", "samples.md"):
        if (run / name).exists():
            assert (run / name).read_text(encoding="utf-8").endswith("\n"), name
    for folder in (run / "checkpoints").glob("[0-9][0-9]"):
        for name in ("model.safetensors", "meta.json"):
            try:
                check_sum(folder, name)
            except CheckpointError:
                assert not (folder / name).exists(), f"{folder / name} is damaged"  # replaced


def main() -> None:
    """Read until SIGTERM."""
    run, ended = Path(sys.argv[1]), []
    signal.signal(signal.SIGTERM, lambda number, frame: ended.append(number))
    times = 0
    while not ended:
        if (run / "trials.csv").exists():
            read(run)
            times += 1
        time.sleep(0.02)
    print(times)


if __name__ == "__main__":
    main()
