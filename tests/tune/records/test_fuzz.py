"""Whatever a file of a run holds, its reader gives values of the right kinds or our errors."""

import copy
import dataclasses
import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import fs

from hand_made_run import (
    FINALISTS,
    PREDICTOR_ROWS,
    QUALITY,
    SAMPLES,
    SPACE,
    STUDY,
    hand_made,
    loaded_run,
)
from hand_made_trials import search_ended
from model.config import TrialConfig
from model.errors import CheckpointError, ConfigError
from model.generation.temperature import TEMPERATURE_FILE, default_temperature
from model.system.energy import Energy
from model.system.files import write_sums
from model.training.checkpoint import META_FILE, MODEL_FILE, load_checkpoint
from model.training.predictor import PREDICTOR_FILE, read_predictor_meta
from search_spaces.narrow import with_choices
from tune.monitoring.status import RunStatus
from tune.records.finalist_table import FINALIST_TABLE
from tune.records.history import (
    EpochEnded,
    History,
    TrialEnded,
    TrialStarted,
    line_of,
    read_search,
)
from tune.records.json_file import read_json, write_json
from tune.records.load import read_run
from tune.records.predictor_table import PREDICTOR_TABLE
from tune.records.quality_table import QUALITY_TABLE
from tune.records.run_folder import LEASE_FILE, RunFolder
from tune.records.samples_file import Samples
from tune.reporting.markdown_report import report_text
from tune.reporting.page import page_text
from tune.storage.checkpoints import StoredCheckpoint
from tune.storage.copies import RunExtent
from tune.storage.lease import Lease
from tune.trials.epoch_reports import EPOCHS_FILE, read_epochs

OURS = (ConfigError, CheckpointError)
ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([10**30, -(10**400), 2**63, 1e308, float("nan"), float("inf"), -0.0, 0.5]),
    st.sampled_from(["", "x", "../../x", "\x1b[2J", "\ud800", "RUNNING", "lower", "1", "a" * 300]),
)
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
NO_NUMBERS = ["Infinity", "-Infinity", "NaN", "null", "[]", '"x"', "-1", "-1e300", "9" * 400]
TOO_LARGE = ["1e300", "1e17", str(2**62), str(2**63), str(10**9)]
HALF_CHARACTER, DEEP = r'"\ud800"', "[" * 600 + "]" * 600
HOSTILE = [
    *(("epoch", value) for value in (*NO_NUMBERS, *TOO_LARGE, "0", "0.5")),
    *(("report", value) for value in (*NO_NUMBERS, *TOO_LARGE)),
    *(("kernel", value) for value in (HALF_CHARACTER, DEEP)),
    ("elapsed_seconds", "1e300"),  # two of 1e308 have no sum
]
"""Keys of a report to JSON of values that no training gives."""
fuzzed = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values inside a JSON value."""
    keys: list[Any] = []
    if isinstance(value, (dict, list)):
        keys = list(value if isinstance(value, dict) else range(len(value)))
    return [path, *(found for key in keys for found in places(value[key], (*path, key)))]


@st.composite
def changed(draw: st.DrawFn, document: Any) -> str:
    """Draw a JSON document with one to three of its values replaced or left out."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(document)))
        if not path:
            document = draw(VALUES)
            continue
        parent = functools.reduce(lambda inner, key: inner[key], path[:-1], document)
        if draw(st.booleans()):
            parent[path[-1]] = draw(VALUES)
        else:
            del parent[path[-1]]
    text = json.dumps(document)
    return draw(st.sampled_from([text, text, text, text[: len(text) // 2], "[" * 50_000, ""]))


def tolerate(read: Callable[[], Any]) -> Any:
    """Read; what is raised must be ours, and be one line."""
    try:
        return read()
    except OURS as error:
        assert "\n" not in str(error)
        return None


@fuzzed
@given(text=changed(STUDY.to_json()))
def test_study_file(text: str, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.study_file.write_text(text, encoding="utf-8")
    study = tolerate(folder.read_study)
    if study is not None:
        assert type(study.settings.seed) is int and type(study.ended) is str
        folder.write_study(study)
    extent = RunExtent.of(fs.LocalFileSystem(), str(tmp_path))
    assert extent.finished in (True, False)


def history_lines() -> list[str]:
    """Return the history of the run made by hand."""
    events: list[TrialStarted | EpochEnded | TrialEnded] = []
    for record in hand_made():
        name, config = record.baseline, record.config.to_dict()
        ended = {"status": record.status, "error": record.error, "search_seconds": 9.0}
        events += [
            TrialStarted(number=record.number, baseline=name, config=config, search_seconds=0.0),
            *(
                EpochEnded(epoch=epoch, precision="float32", num_parameters=9, vocabulary_size=3)
                for epoch in record.epochs
            ),
            TrialEnded(number=record.number, **ended),
        ]
    end = search_ended(timed_out=True)
    return [line_of(event).decode() for event in (*events, end)]


LINES = history_lines()


@pytest.mark.slow
@fuzzed
@given(data=st.data())
def test_history(data: st.DataObject, tmp_path: Path) -> None:
    at = data.draw(st.integers(0, len(LINES) - 1))
    lines = [*LINES]
    lines[at] = data.draw(changed(json.loads(LINES[at]))) + "\n"
    path = tmp_path / "history.jsonl"
    path.write_text("".join(lines), encoding="utf-8")
    records = read_search(path).records
    rows = [record.row() for record in records.values()]
    assert all(type(row["number"]) is int for row in rows)
    RunFolder(tmp_path).write_tables(list(records.values()))

    def whole() -> None:
        with History(path):
            pass

    tolerate(whole)


OF_CONFIG = [
    *(("epochs", value) for value in (*NO_NUMBERS, "1e300", str(2**63))),
    *(("reports_per_epoch", value) for value in (*NO_NUMBERS, "1e300", "1e17", str(2**62))),
]
"""The same of a configuration; a training of 1e17 epochs is only long."""


@pytest.mark.parametrize(("key", "value"), [*HOSTILE, ("epoch", "true"), *OF_CONFIG])
def test_report_that_no_training_gives_ends_as_a_line(
    key: str, value: str, tmp_path: Path
) -> None:
    first = next(at for at, line in enumerate(LINES) if '"EpochEnded"' in line)
    part, at = ("epoch", first) if key in REPORTED else ("config", first - 1)
    event = json.loads(LINES[at])
    event[part][key] = "its value"
    lines = [*LINES]
    lines[at] = json.dumps(event).replace('"its value"', value) + "\n"
    folder = RunFolder(tmp_path)
    folder.write_study(STUDY)
    folder.history_file.write_text("".join(lines), encoding="utf-8")
    with pytest.raises(ConfigError, match="damaged history") as refused:
        History(folder.history_file)
    assert "\n" not in str(refused.value)
    # Those who only read it have what stands before.
    records = read_search(folder.history_file).records
    assert all(not record.epochs for record in records.values())
    folder.write_tables(list(records.values()))
    assert "trials: " in RunStatus.of(folder).text()


@pytest.mark.parametrize(("key", "value"), HOSTILE)
def test_checkpoint_of_a_report_that_no_training_gives_is_passed_over(
    key: str, value: str, tmp_path: Path
) -> None:
    hostile = {**REPORTED, key: "its value"}
    document = {"config": TrialConfig().to_dict(), "epochs": [hostile]}
    text = json.dumps(document).replace('"its value"', value)
    (tmp_path / EPOCHS_FILE).write_text(text, encoding="utf-8")
    stored = StoredCheckpoint(fs.LocalFileSystem(), str(tmp_path / "checkpoint"))
    assert read_epochs(stored, TrialConfig()) == []


@fuzzed
@given(text=changed(json.loads(json.dumps(dataclasses.asdict(SAMPLES)))))
def test_samples(text: str, tmp_path: Path) -> None:
    path = tmp_path / "samples.json"
    path.write_text(text, encoding="utf-8")
    samples = tolerate(lambda: read_json(path, Samples, "a run's samples"))
    if samples is not None:
        write_json(samples, path)
        assert read_json(path, Samples, "a run's samples") == samples


@pytest.mark.slow
@fuzzed
@given(text=changed({"seconds": 9.0, "cpu_joules": 7.5, "gpu_joules": None}))
def test_energy(text: str, tmp_path: Path) -> None:
    path = tmp_path / "energy.json"
    path.write_text(text, encoding="utf-8")
    energy = tolerate(lambda: read_json(path, Energy, "a run's energy"))
    if energy is not None:
        write_json(energy, path)
        assert read_json(path, Energy, "a run's energy") == energy
        assert report_text(dataclasses.replace(loaded_run(hand_made()), energy=energy))


@fuzzed
@given(text=changed({"host": "a", "pid": 1, "started": "7", "token": "x", "boot_id": "b"}))
def test_lease(text: str, tmp_path: Path) -> None:
    (tmp_path / LEASE_FILE).write_text(text, encoding="utf-8")
    lease = Lease(str(tmp_path))
    assert lease.is_ours() is False
    found = lease._found()
    assert found is not None and found.holder.is_dead() in (True, False)


REPORTED = {
    "report": 1,
    "epoch": 1,
    "train_nats_per_char": 2.0,
    "val_nats_per_char": 2.0,
    "elapsed_seconds": 1.0,
    "val_own_bits_per_char": 2.0,
    "val_bits_per_char": 2.0,
    "precision": "float32",
    "kernel": "torch",
    "num_parameters": 5,
    "vocabulary_size": 3,
    "chars_trained": 9,
    "peak_memory_bytes": 9,
    "estimated_memory_bytes": None,
}


@fuzzed
@given(text=changed({"config": TrialConfig().to_dict(), "epochs": [REPORTED, REPORTED]}))
def test_epoch_reports(text: str, tmp_path: Path) -> None:
    (tmp_path / EPOCHS_FILE).write_text(text, encoding="utf-8")
    stored = StoredCheckpoint(fs.LocalFileSystem(), str(tmp_path / "checkpoint"))
    for result in read_epochs(stored, TrialConfig()):
        assert type(result["epoch"]) is int and type(result["val_bits_per_char"]) is float


@fuzzed
@given(text=changed({"temperature": 0.6}))
def test_temperature(text: str, tmp_path: Path) -> None:
    (tmp_path / TEMPERATURE_FILE).write_text(text, encoding="utf-8")
    temperature = tolerate(lambda: default_temperature(tmp_path, TrialConfig()))
    assert temperature is None or 0 <= temperature < float("inf")


@pytest.fixture(scope="module")
def copied(trained_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copied") / "checkpoint"
    return Path(shutil.copytree(trained_checkpoint, folder))


PREDICTOR = {
    "format_version": 1,
    "weights": [0.5, 0.5],
    "ngram_order": 4,
    "val_bits_per_char": 1.5,
}


@fuzzed
@given(text=changed(PREDICTOR))
def test_predictor(text: str, tmp_path: Path) -> None:
    (tmp_path / PREDICTOR_FILE).write_text(text, encoding="utf-8")
    meta = tolerate(lambda: read_predictor_meta(tmp_path))
    assert meta is None or meta.num_networks >= 1


@fuzzed
@given(data=st.data())
def test_checkpoint(data: st.DataObject, copied: Path, trained_checkpoint: Path) -> None:
    meta = json.loads((trained_checkpoint / META_FILE).read_text(encoding="utf-8"))
    (copied / META_FILE).write_text(data.draw(changed(meta)), encoding="utf-8")
    write_sums(copied, (MODEL_FILE, META_FILE))
    tolerate(lambda: load_checkpoint(copied))


def test_checkpoint_that_would_write_half_characters_is_damaged(
    copied: Path, trained_checkpoint: Path
) -> None:
    meta = json.loads((trained_checkpoint / META_FILE).read_text(encoding="utf-8"))
    vocabulary = meta["vocabulary"][:-1] + "\ud800"
    text = json.dumps({**meta, "format_version": 2, "vocabulary": vocabulary})
    (copied / META_FILE).write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError, match="must hold whole characters, got"):
        load_checkpoint(copied)


TABLES = ("trials.csv", "epochs.csv", "finalists.csv", "quality.csv", "predictor.csv")
CELLS = ["", "x", "nan", "inf", "-1", "1e400", "9" * 30, "2.5", "True", "\x1b[2J", '"', "<b>"]


@pytest.mark.slow
@fuzzed
@given(data=st.data())
def test_tables(data: st.DataObject, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_study(STUDY)
    folder.write_tables(hand_made())
    FINALIST_TABLE.write(FINALISTS, folder.finalists_file)
    QUALITY_TABLE.write([QUALITY.row()], folder.quality_file)
    PREDICTOR_TABLE.write(map(dataclasses.asdict, PREDICTOR_ROWS), folder.predictor_file)
    path = tmp_path / data.draw(st.sampled_from(TABLES))
    rows = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]
    for _ in range(data.draw(st.integers(1, 2))):
        row = data.draw(st.sampled_from(rows))
        if data.draw(st.booleans()):
            rows.append(list(row))
        else:
            row[data.draw(st.integers(0, len(row) - 1))] = data.draw(st.sampled_from(CELLS))
    path.write_text("\n".join(",".join(row) for row in rows) + "\n", encoding="utf-8")
    run = tolerate(lambda: read_run(folder))
    if run is not None:
        tolerate(lambda: (run.best, report_text(run)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("column", "value", "refused"),
    [
        *((name, None, f"must have a value of {name}") for name in ("epochs", "decay_fraction")),
        *((name, None, f"must have a value of {name}") for name in ("tie_weights", "epochs_run")),
        ("search_seconds", None, "must have a value of search_seconds"),
        ("epochs_run", 1e308, "must be finite"),
        ("elapsed_seconds", 1e308, "must be finite"),
        ("epochs_run", 0, "each trial with a score must have an epoch"),
        ("elapsed_seconds", 0, ""),
        ("gradient_clip_norm", 1e308, ""),
        ("learning_rate", 1e-300, ""),
        ("dropout", -5, ""),
        ("cleaning", "letters", "must have one of cased, lower, got 'letters'"),
    ],
)
def test_cells_that_no_search_writes_are_a_line_or_stand_in_the_reports(
    column: str, value: Any, refused: str, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path)
    space = with_choices(SPACE, "cleaning", ["cased", "lower"]) if column == "cleaning" else SPACE
    folder.write_study(dataclasses.replace(STUDY, space=space))
    folder.write_tables(hand_made())
    path = folder.epochs_file if column == "search_seconds" else folder.trials_file
    table = pd.read_csv(path)
    table[column] = [0.5 if column == "epochs_run" else value, *[value] * (len(table) - 1)]
    table.to_csv(path, index=False)

    def reports() -> None:
        run = read_run(folder)
        report_text(run)
        page_text(run)

    if not refused:
        reports()
        return
    with pytest.raises(ConfigError, match=refused) as caught:
        reports()
    assert "\n" not in str(caught.value)
