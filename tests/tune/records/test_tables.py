import dataclasses
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hand_made_run import FINALISTS, QUALITY
from model.config import CHOICES, TrialConfig
from model.errors import ConfigError
from model.system.files import write_text
from repository import ROOT
from tune.records.finalist_table import FINALIST_TABLE
from tune.records.order_table import ORDER_TABLE
from tune.records.predictor_table import PREDICTOR_TABLE
from tune.records.quality_table import QUALITY_TABLE
from tune.records.run_folder import RunFolder
from tune.records.tables import (
    EPOCH_TABLE,
    TRIAL_TABLE,
    TableKind,
    config_of,
    counted_epochs,
    epochs_frame,
    ranked,
    trials_frame,
    write_table,
)
from tune.records.trial import EpochRecord, Status, TrialRecord


def epoch(number: int, epoch: int, bits: float) -> EpochRecord:
    return EpochRecord(
        trial_id=f"trial_{number:05d}",
        number=number,
        epoch=epoch,
        train_nats_per_char=bits * 0.7,
        val_nats_per_char=bits * 0.69,
        val_own_bits_per_char=bits,
        val_bits_per_char=bits,
        elapsed_seconds=1.5 * epoch,
        search_seconds=10.0 * number + epoch,
    )


def test_parts_of_epochs_stay_what_they_are(tmp_path: Path) -> None:
    config = TrialConfig(epochs=0.7, reports_per_epoch=10)
    halves = [
        dataclasses.replace(epoch(0, 1, bits), epoch=n / 10, report=n, chars_trained=n * 70)
        for n, bits in enumerate((3.0, 2.0), start=1)
    ]
    record = TrialRecord(number=0, config=config, status=Status.PRUNED, epochs=halves)
    write_table(trials_frame([record]), tmp_path / "trials.csv")
    write_table(epochs_frame([record]), tmp_path / "epochs.csv")
    trials = TRIAL_TABLE.read(tmp_path / "trials.csv")
    assert config_of(trials.iloc[0]) == dataclasses.replace(config, precision="auto")
    assert trials["epochs_run"].to_list() == trials["best_epoch"].to_list() == [0.2]
    epochs = EPOCH_TABLE.read(tmp_path / "epochs.csv")
    assert epochs[["report", "epoch", "chars_trained"]].to_numpy().tolist() == [
        [1, 0.1, 70],
        [2, 0.2, 140],
    ]
    assert counted_epochs(trials, epochs).equals(epochs)


def test_run_of_before_reports_had_numbers_is_read(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_tables(records())
    text = pd.read_csv(folder.epochs_file).drop(columns=["report", "chars_trained"])
    text.to_csv(folder.epochs_file, index=False)
    _, epochs = folder.read_tables()
    assert epochs["report"].equals(epochs["epoch"]) and epochs["chars_trained"].isna().all()


def records() -> list[TrialRecord]:
    complete = TrialRecord(
        number=1,
        config=TrialConfig(dropout=0.25, seed=2**62),
        baseline="experiment 1",
        status=Status.COMPLETE,
        precision="bfloat16",
        num_parameters=1_000,
        vocabulary_size=27,
        epochs=[epoch(1, 1, 3.0), epoch(1, 2, 2.0), epoch(1, 3, 2.5)],
    )
    failed = TrialRecord(
        number=0, config=TrialConfig(), status=Status.FAILED, error='OSError: "x", y\nz'
    )
    tied = TrialRecord(
        number=2, config=TrialConfig(), status=Status.PRUNED, epochs=[epoch(2, 1, 2.0)]
    )
    return [complete, failed, tied]


def test_rows_hold_the_best_epoch() -> None:
    frame = trials_frame(records())
    assert frame["number"].to_list() == [0, 1, 2]
    row = frame.iloc[1]
    assert (row["best_epoch"], row["epochs_run"], row["val_bits_per_char"]) == (2, 3, 2.0)
    assert row["precision"] == "bfloat16"
    assert frame["val_bits_per_char"].isna().to_list() == [True, False, False]
    assert ranked(frame)["number"].to_list() == [1, 2]


def test_best_epoch_is_known_while_epochs_come_and_are_trained_again() -> None:
    trial = TrialRecord(number=1, config=TrialConfig())
    assert trial.best is None and trial.objective == float("inf")
    for number, bits, best in ((1, 3.0, 1), (2, 2.0, 2), (3, 2.0, 2), (4, 1.0, 4), (2, 2.5, 2)):
        trial.add_epoch(epoch(1, number, bits))
        assert trial.best is not None and trial.best.epoch == best
    assert [known.epoch for known in trial.epochs] == [1, 2]  # its worker had died in epoch 5
    trial.add_epoch(epoch(1, 1, 4.0))
    assert dataclasses.replace(trial).best == trial.best == epoch(1, 1, 4.0)


def test_write_then_read_is_identity(tmp_path: Path) -> None:
    for frame, kind in (
        (trials_frame(records()), TRIAL_TABLE),
        (epochs_frame(records()), EPOCH_TABLE),
        (trials_frame([]), TRIAL_TABLE),
        (epochs_frame([]), EPOCH_TABLE),
    ):
        path = tmp_path / "table.csv"
        write_table(frame, path)
        pd.testing.assert_frame_equal(kind.read(path), frame)
        assert list(pd.read_csv(path).columns) == list(kind.dtypes)


def test_plain_read_csv_needs_no_fixing(tmp_path: Path) -> None:
    write_table(trials_frame(records()), tmp_path / "trials.csv")
    plain = pd.read_csv(tmp_path / "trials.csv")
    assert plain["seed"].to_list() == [0, 2**62, 0]
    assert plain["val_bits_per_char"].dtype == float
    assert plain.loc[0, "error"] == 'OSError: "x", y\nz'


def test_failed_write_leaves_the_old_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "trials.csv"
    write_table(trials_frame(records()), path)
    before = path.read_text(encoding="utf-8")

    def disk_full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", disk_full)
    with pytest.raises(OSError, match="no space"):
        write_table(trials_frame([]), path)
    assert path.read_text(encoding="utf-8") == before


def test_two_writers_of_a_file_leave_a_whole_one(tmp_path: Path) -> None:
    """Once `tune.report` on a run in progress took the driver's half-written file away."""
    path = tmp_path / "report.html"
    texts = ["a" * 100_000, "b" * 100_000]

    def write(text: str) -> None:
        for _ in range(30):
            write_text(path, text)
            assert path.read_text(encoding="utf-8") in texts

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, texts))
    assert [left.name for left in tmp_path.iterdir()] == ["report.html"]


def test_baseline_may_be_named_like_a_missing_value(tmp_path: Path) -> None:
    for name in ("NA", "None", "null"):
        record = dataclasses.replace(records()[0], baseline=name)
        write_table(trials_frame([record]), tmp_path / "trials.csv")
        table = TRIAL_TABLE.read(tmp_path / "trials.csv")
        assert table["baseline"].to_list() == [name]


def test_row_gives_its_config_back() -> None:
    frame = trials_frame(records())
    config = config_of(frame.iloc[1])
    assert config == dataclasses.replace(records()[0].config, precision="bfloat16")


def test_missing_or_foreign_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must be readable"):
        TRIAL_TABLE.read(tmp_path / "trials.csv")
    (tmp_path / "trials.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="must be readable"):
        TRIAL_TABLE.read(tmp_path / "trials.csv")


@pytest.mark.parametrize("column", ["status", "cell", *CHOICES])
def test_name_that_no_run_writes_is_refused(column: str, tmp_path: Path) -> None:
    path = tmp_path / "trials.csv"
    write_table(trials_frame(records()).assign(**{column: "quantum"}), path)
    with pytest.raises(ConfigError, match=rf"trials\.csv: {column} must be one of "):
        TRIAL_TABLE.read(path)


@pytest.mark.parametrize(
    ("kind", "rows", "column"),
    [(FINALIST_TABLE, FINALISTS, "seed"), (QUALITY_TABLE, [QUALITY.row()], "cleaning")],
)
def test_column_named_like_a_setting_that_a_table_lacks_is_not_made_up(
    kind: TableKind, rows: list[dict[str, Any]], column: str, tmp_path: Path
) -> None:
    path = tmp_path / "table.csv"
    kind.write(rows, path)
    pd.read_csv(path).drop(columns=[column]).to_csv(path, index=False)
    with pytest.raises(ConfigError, match=f"must be readable: .*'{column}'"):
        kind.read(path)


def test_every_column_is_documented() -> None:
    readme = ROOT / "results" / "README.md"
    rows = re.findall(r"^\| (`[\w`, ]+`) \|", readme.read_text(encoding="utf-8"), re.MULTILINE)
    documented = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    of_finalists = (FINALIST_TABLE, QUALITY_TABLE, PREDICTOR_TABLE)
    tables = (TRIAL_TABLE, EPOCH_TABLE, ORDER_TABLE, *of_finalists)
    assert documented == {column for kind in tables for column in kind.dtypes}
