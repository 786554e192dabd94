"""A run as a notebook reads it: from a folder, from a URI, in progress."""

import dataclasses
import shutil
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pyarrow as pa
import pytest

import tune
from hand_made_run import FINALISTS, STUDY, hand_made, loaded_run
from model.errors import ConfigError, CorpusError
from model.system.filesystem import check_storage, open_location, write
from model.text.download import download_object
from s3_server import s3_server
from tune.records.finalist_table import FINALIST_TABLE
from tune.records.load import load_run
from tune.records.order_table import ORDER_TABLE
from tune.records.run_folder import RunFolder
from tune.records.study_file import STILL_RUNNING
from tune.records.tables import EPOCH_TABLE, TRIAL_TABLE


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder.create(tmp_path / "ten")
    folder.write_study(STUDY)
    folder.write_tables(hand_made())
    FINALIST_TABLE.write(FINALISTS, folder.finalists_file)
    return folder


def test_a_run_is_typed_tables_a_winner_and_a_study(folder: RunFolder) -> None:
    run = load_run("ten")
    for frame, kind in (
        (run.trials, TRIAL_TABLE),
        (run.epochs, EPOCH_TABLE),
        (run.finalists, FINALIST_TABLE),
    ):
        epochs = {"epochs", "epochs_run", "best_epoch", "epoch"}
        whole = dict.fromkeys(epochs & {*kind.dtypes}, "Int64")  # here they are
        assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == kind.dtypes | whole
        assert len(frame) > 0
    assert run.quality.empty and str(run.quality["nearest"].dtype) == "boolean"
    assert run.best == hand_made()[3].config
    assert run.study.settings.seed == 0 and run.space.name == "full"
    assert repr(run) == (
        "<run ten: full on book.txt, 7 trials, best 1.9600 bits per character, "
        "ended by its time budget>"
    )


def test_parquet_beside_the_csv_holds_the_same_typed_table(folder: RunFolder) -> None:
    run = load_run(folder.path)
    for name, frame in (
        ("trials", run.trials),
        ("epochs", run.epochs),
        ("finalists", run.finalists),
    ):
        pd.testing.assert_frame_equal(pd.read_parquet(f"ten/{name}.parquet"), frame)


def test_a_run_in_progress_is_read_from_its_first_moment_on(folder: RunFolder) -> None:
    folder.write_study(dataclasses.replace(STUDY, ended=STILL_RUNNING))
    assert load_run("ten").is_running and load_run("ten").has_result
    for path in (folder.trials_file, folder.epochs_file, folder.finalists_file):
        path.unlink()
    run = load_run("ten")
    assert run.trials.empty and run.best is None and not run.has_result
    assert list(run.epochs.columns) == list(EPOCH_TABLE.dtypes)
    assert "0 trials, still running" in repr(run)


def test_a_uri_is_read_as_the_folder_is(folder: RunFolder) -> None:
    by_uri, by_path = load_run(f"file://{folder.path}/"), load_run(folder.path)
    assert by_uri.name == "ten" and by_uri.study == by_path.study
    pd.testing.assert_frame_equal(by_uri.trials, by_path.trials)
    pd.testing.assert_frame_equal(by_uri.finalists, by_path.finalists)


@pytest.mark.slow
def test_a_run_is_read_from_s3(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_server() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        address = environment["AWS_ENDPOINT_URL"].removeprefix("http://")
        place = f"s3://bucket/results/ten?endpoint_override={address}&scheme=http"
        file_system, root = open_location(place)
        for path in folder.record_files:
            if path.exists():
                write(file_system, f"{root}/{path.name}", path.read_bytes())
        run = load_run(place)
        assert run.name == "ten" and run.best == load_run("ten").best
        pd.testing.assert_frame_equal(run.epochs, load_run("ten").epochs)
        with pytest.raises(ConfigError, match="must be a folder with"):
            load_run(place.replace("/ten", "/eleven"))


def test_a_uri_with_credentials_is_refused() -> None:
    with pytest.raises(ConfigError, match="must hold no credentials"):
        load_run("s3://key:secret@bucket/results/ten")


@pytest.mark.parametrize("run", ["nowhere", "file:///nowhere/at/all", "nosuch://bucket/run"])
def test_what_is_no_run_is_refused_in_one_line(run: str) -> None:
    with pytest.raises(ConfigError, match="must be") as refused:
        load_run(run)
    assert "\n" not in str(refused.value)


def test_a_scheme_that_pyarrow_was_built_without_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def not_built_in(place: str) -> None:
        raise pa.ArrowNotImplementedError("Got GCS URI but Arrow compiled without GCS support")

    file_system = SimpleNamespace(from_uri=not_built_in)
    monkeypatch.setattr("model.system.filesystem.fs", SimpleNamespace(FileSystem=file_system))
    for opens in (load_run, check_storage):
        with pytest.raises(
            ConfigError, match="that can be written and read: gs://b/x: Got GCS URI"
        ):
            opens("gs://b/x")
    with pytest.raises(CorpusError, match="compiled without GCS"):
        download_object("gs://b/x", seconds=5)


def test_an_ended_run_without_its_tables_is_refused(folder: RunFolder) -> None:
    folder.trials_file.unlink()
    with pytest.raises(ConfigError, match="table must be readable"):
        load_run("ten")
    shutil.rmtree(folder.path)


@pytest.mark.parametrize("name", ["trials", "epochs"])
def test_row_that_is_there_twice_is_refused(name: str, folder: RunFolder) -> None:
    path = folder.path / f"{name}.csv"
    path.with_suffix(".parquet").unlink()
    header, first, *others = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([header, first, first, *others, ""]), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"each row must have a .*number.* of its own"):
        load_run("ten")


def test_a_misspelt_name_of_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'load_runs'"):
        _ = tune.load_runs


def test_configuration_that_a_user_has_added_is_no_start() -> None:
    run = loaded_run(hand_made())
    (start,) = run.starts["number"]
    orders = ORDER_TABLE.of([{"order": "add", "trial": start}])
    assert start not in set(dataclasses.replace(run, orders=orders).starts["number"])
