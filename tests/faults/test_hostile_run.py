"""A stranger's run with pickles in every possible place: none is executed."""

import dataclasses
import json
import pickle
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from hand_made_run import STUDY, curve
from model.text.corpus import resolve_corpus
from search_spaces import load_space
from search_spaces.narrow import with_choices
from search_spaces.random_configs import random_configs
from tiny_search import run_command, write_inputs
from tune import report, samples, status
from tune.job.resume import prepare_resumed
from tune.planning.study import StudyOptions
from tune.records.run_folder import RunFolder
from tune.records.study_file import CorpusOrigin
from tune.records.trial import Status, TrialRecord
from tune.sampling.optuna_study import open_study
from tune.sampling.searcher import StudySearcher


def payload(path: Path) -> bytes:
    """Return a pickle that creates a file when it is loaded."""
    return b"cbuiltins\nopen\n(V" + str(path).encode() + b"\nVw\ntR."


def plant(run: Path, bait: bytes) -> None:
    """Plant pickles in every possible place: Optuna's journal, Ray's files, our own."""
    # As in optuna 5.0's CMA-ES, which loads what it finds at the last trial.
    attributes = {f"{kind}:optimizer:0": bait.hex() for kind in ("cma", "sepcma", "cmawm")}
    journal, planted = run / "optuna.journal", []
    for line in journal.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        for key in {"system_attr", "system_attrs"} & entry.keys():
            entry[key] |= attributes
        planted.append(json.dumps(entry))
        if "trial_id" in entry:
            planted.append(json.dumps({**entry, "op_code": 9, "system_attr": attributes}))
    journal.write_text("\n".join(planted) + "\n", encoding="utf-8")
    names = ("trials.parquet", "checkpoints/01/data.pkl", "ray/x.pkl", "predictor.pkl")
    pickles = [*run.rglob("*.pkl"), *run.rglob(".tune_metadata"), *map(run.joinpath, names)]
    for path in pickles:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bait)


@pytest.mark.long
@pytest.mark.parametrize("kept_in", ["a folder", "a storage"])
def test_nothing_that_a_run_holds_is_unpickled(
    kept_in: str, tiny_text: str, tmp_path: Path
) -> None:
    marker = tmp_path / "executed"
    bait = payload(marker)
    pickle.loads(bait).close()
    assert marker.exists()
    marker.unlink()

    flags = write_inputs(tiny_text, trials=14)
    run, named = Path("results/theirs"), "results/theirs"
    stored = tmp_path / "storage" / "theirs"
    if kept_in == "a storage":
        flags += ["--storage", stored.parent.as_uri()]
        named = stored.as_uri()
    done = run_command([*flags, "--name", "theirs", "--sampler", "cmaes", "--finalists", "0"])
    assert done.returncode == 0, done.stderr
    if kept_in == "a storage":
        shutil.rmtree(run)
        plant(stored, bait)
        assert status.main([named]) == 0
    else:
        plant(run, bait)
        assert report.main([named]) == 0
        assert status.main([named]) == 0
        assert samples.main([named, "--chars", "20", "--corpus", "book.txt"]) == 0
    resumed = run_command(["--resume", named, "--trials", "17", "--finalists", "1"])
    assert resumed.returncode == 0, resumed.stderr
    begun = run_command([*flags, "--trials", "2", "--start-from", str(run), "--finalists", "0"])
    assert begun.returncode == 0, begun.stderr
    assert not marker.exists()
    assert "optimizer" not in run.joinpath("optuna.journal").read_text(encoding="utf-8")


def test_nothing_that_a_storage_holds_is_unpickled_where_it_is_fetched_and_proposes(
    tiny_text: str, tmp_path: Path
) -> None:
    marker = tmp_path / "executed"
    # The hand-made run's floors are for these.
    space = with_choices(load_space("quick"), "cleaning", ["cased", "lower", "letters"])
    Path("book.txt").write_text(tiny_text, encoding="utf-8")
    settings = dataclasses.replace(STUDY.settings, sampler="cmaes")
    corpus = CorpusOrigin.of(resolve_corpus("book.txt"))
    records = [
        TrialRecord(
            number=number,
            config=dataclasses.replace(config, seed=number),
            generation=0,
            status=Status.COMPLETE,
            epochs=curve(number, [3.0 - number / 50]),
        )
        for number, config in enumerate(random_configs(space, 20, seed=0))
    ]
    stored = RunFolder.create(tmp_path / "storage" / "theirs")
    study = dataclasses.replace(STUDY, space=space, settings=settings, corpus=corpus)
    stored.write_study(study)
    stored.write_tables(records)
    open_study(stored.optuna_file, space, records=records)
    stored.history_file.write_bytes(b"")
    plant(stored.path, payload(marker))
    options = StudyOptions(resume=stored.path.as_uri(), trials=30)
    resumed = prepare_resumed(options, Console(quiet=True))
    fetched = RunFolder(resumed.run_path)
    assert b"cma:optimizer" in fetched.optuna_file.read_bytes()
    again = open_study(fetched.optuna_file, space, records=records)
    searcher = StudySearcher(again, space, seed=0, sampler="cmaes", records=records)
    for number in range(12):  # baselines and starts come first
        searcher.suggest(str(number))
    assert not marker.exists()
