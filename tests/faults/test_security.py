"""Malicious input from others: names, paths, checkpoints and texts."""

import ast
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from model.errors import CheckpointError, ConfigError
from model.system.files import write_sums
from model.system.filesystem import files_below
from model.system.terminal import printable
from model.training.checkpoint import load_checkpoint
from repository import ROOT
from tiny_search import command, kill_family, trial_worker, write_inputs
from tune import run
from tune.records.history import History
from tune.records.run_folder import check_name
from tune.reporting.section import escaped
from tune.storage.checkpoints import CheckpointStore, fetch

pytestmark = pytest.mark.usefixtures("measured_machine")

READERS_OF_PICKLES = {
    *("pickle", "cloudpickle", "ray.cloudpickle", "joblib", "shelve"),
    *("torch.load", "np.load", "numpy.load", "pd.read_pickle"),
}


@pytest.mark.parametrize(
    "name", ["../../x", "a/b", "..", ".hidden", "-rf", "a\nb", "a\x1b[2J", ""]
)
def test_name_of_a_run_stays_in_its_folder(
    name: str, tiny_text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = write_inputs(tiny_text)
    before = sorted(Path.cwd().rglob("*"))
    assert run.main([*flags, f"--name={name}"]) == 2
    error = capsys.readouterr().err
    assert "a run's name must be a folder's name" in error and error.count("\n") == 1
    assert "\x1b" not in error
    assert sorted(Path.cwd().rglob("*")) == before


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"number": "../../../x"}, "number must be int, got '../../../x'"),
        ({"number": -1}, "a trial's number must be 0, 1, 2, …, got -1"),
        ({"number": 1.5}, "number must be int, got 1.5"),
        ({"trial_id": "../../x"}, "trial 0 must be trial_00000, got '../../x'"),
        ({"val_bits_per_char": float("nan")}, "val_bits_per_char must be a finite number"),
        ({"number": 7, "trial_id": "trial_00007"}, "trial 7 must start before it goes on"),
    ],
)
def test_tampered_history_is_refused(change: dict[str, object], rule: str, tmp_path: Path) -> None:
    epoch = {
        "trial_id": "trial_00000",
        "number": 0,
        "epoch": 1,
        "train_nats_per_char": 1.0,
        "val_nats_per_char": 1.0,
        "val_own_bits_per_char": 1.0,
        "val_bits_per_char": 1.0,
        "elapsed_seconds": 1.0,
        "search_seconds": 1.0,
    }
    start = {"event": "TrialStarted", "number": 0, "baseline": "", "config": {}}
    ended = {"event": "EpochEnded", "precision": "float32", "num_parameters": 1}
    lines = [
        {**start, "search_seconds": 0.0},
        {**ended, "vocabulary_size": 2, "epoch": {**epoch, **change}},
    ]
    path = tmp_path / "history.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    with pytest.raises(ConfigError, match=f"damaged history: .*, line 2: {rule}"):
        History(path)


def test_names_in_a_storage_lead_out_of_no_folder(tmp_path: Path) -> None:
    class Tampered:
        """A file system with object names that we did not write."""

        def get_file_info(self, selector: object) -> list[object]:
            from pyarrow import fs

            names = ("ok.json", "../evil.json", "a/../../evil.json", "a\\..\\evil.json", "/evil")
            return [
                fs.FileInfo(path=f"bucket/run/{name}", type=fs.FileType.File) for name in names
            ]

    assert list(files_below(Tampered(), "bucket/run", recursive=True)) == ["ok.json"]  # type: ignore[arg-type]


@pytest.mark.slow
def test_checkpoint_in_a_storage_that_lacks_its_network_is_damaged(
    trained_checkpoint: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store" / "session-1" / "trial_00000" / "checkpoint_000000" / "checkpoint"
    shutil.copytree(trained_checkpoint, store)
    (locations,) = CheckpointStore(str(tmp_path / "store")).newest_first().values()
    load_checkpoint(fetch(locations[0], tmp_path / "whole"))
    (store / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"it lacks .*model\.safetensors"):
        load_checkpoint(fetch(locations[0], tmp_path / "fetched"))


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"config": {"cleaning": "../../x"}}, "unknown cleaning"),
        ({"config": {"regime": "__import__('os')"}}, "unknown regime"),
        ({"vocabulary": {"tokens": "x", "alphabet": "ab", "speller": "kneser-ney"}}, "tokens"),
        ({"format_version": "../x"}, "checkpoint format must be"),
    ],
)
def test_checkpoint_with_odd_values_is_damaged(
    values: dict[str, object], rule: str, trained_checkpoint: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(trained_checkpoint, copy)
    load_checkpoint(copy)
    meta = json.loads((copy / "meta.json").read_text(encoding="utf-8"))
    for key, value in values.items():
        meta[key] = (
            {**meta[key], **value} if isinstance(value, dict) and key == "config" else value
        )
    (copy / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
    write_sums(copy, ("meta.json", "model.safetensors"))
    with pytest.raises(CheckpointError, match=rule):
        load_checkpoint(copy)


def test_nothing_of_ours_reads_a_pickle() -> None:
    for package in ("model", "search_spaces", "tune"):
        for path in (ROOT / package).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if isinstance(node, ast.Import):
                    names = {alias.name for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    names = {node.module or ""}
                elif isinstance(node, ast.Attribute):
                    names = {ast.unparse(node)}
                else:
                    continue
                assert not names & READERS_OF_PICKLES, (path, names & READERS_OF_PICKLES)


def test_texts_of_others_are_shown_and_do_nothing() -> None:
    assert printable("a\x1b]0;title\x07b\u202ec\td\n") == "a\\x1b]0;title\\x07b\\u202ec\td\n"
    text = "x\n# not a title | <script> `code` [a](javascript:b) \x1b[2J"
    line = escaped(text)
    assert "\n" not in line and "<" not in line and "\x1b" not in line
    assert "\\|" in line and "\\`" in line and "\\[" in line
    assert check_name("Book_2.lower-case") == "Book_2.lower-case"


def ask_for_nodes(port: int, *, seconds: float | None = None, **environment: str) -> str:
    """Return what a process learns from Ray's head, within a time limit if one is given."""
    code = (
        f"import ray, logging; ray.init(address='127.0.0.1:{port}', "
        "logging_level=logging.CRITICAL); print(ray.nodes())"
    )
    local = {"RAY_AUTH_MODE": "token", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    try:
        asked = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=seconds,
            env={**os.environ, **local, **environment},
        )
    except subprocess.TimeoutExpired as late:
        return str(late.stdout or "")
    return asked.stdout


@pytest.mark.long
def test_local_ray_listens_on_the_loopback_address_alone_and_asks_for_a_token(
    tiny_text: str,
) -> None:
    flags = write_inputs(tiny_text, epochs=(100_000, 100_000))
    driver = subprocess.Popen(
        command([*flags, "--name", "local"]),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        worker = trial_worker(driver)
        assert worker.environ()["RAY_AUTH_MODE"] == "token"
        family = [psutil.Process(driver.pid), *psutil.Process(driver.pid).children(recursive=True)]
        listening = [
            (process.name(), connection.laddr)
            for process in family
            for connection in process.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        ]
        assert listening
        names = {address.ip.removeprefix("::ffff:") for _, address in listening}
        assert names == {"127.0.0.1"}, listening
        assert not [process for process in family if "dashboard/dashboard.py" in process.cmdline()]
        # With the right token, a process learns all; with another one, nothing in three times as
        # long. Ray tries for minutes.
        (port,) = {address.port for name, address in listening if name == "gcs_server"}
        start = time.monotonic()
        assert "NodeID" in ask_for_nodes(port)
        seconds = 3 * (time.monotonic() - start)
        assert "NodeID" not in ask_for_nodes(port, seconds=seconds, RAY_AUTH_TOKEN="0" * 64)
    finally:
        kill_family(driver)
