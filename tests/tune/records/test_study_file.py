"""study.json: what StudyFile writes it reads; what others write is told in one line."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from hand_made_run import STUDY
from model.errors import ConfigError
from repository import ROOT
from tune.records.run_folder import RunFolder
from tune.records.study_file import PlannedTime, StudyFile, StudySettings

FULL = dataclasses.replace(
    STUDY,
    settings=StudySettings(seed=3, sampler="gp", storage="s3://bucket", trial_timeout_seconds=9.5),
    estimate=PlannedTime(
        planned_seconds=(1.0, 2.0),
        planned_trials=(3, 4),
        measured_by_predicted=(0.9, 1.0, 1.1),
    ),
    versions={"python": "3.11"},
    git_commit="abc",
    finished=False,
    name="ten",
)


def test_run_without_axes_from_before_such_had_finalists_gets_none() -> None:
    values = STUDY.to_json() | {"finalists": 3}
    assert StudyFile.from_dict(values).settings.finalists == 3
    values["unconfirmed"] = "a space without axes has no finalists"
    assert StudyFile.from_dict(values).settings.finalists == 0


OBJECTIVE = STUDY.to_json()["objective"]


def with_steps(step: float) -> dict[str, Any]:
    """Return a space whose dropout has steps, as JSON."""
    attributes = {"low": 0.0, "high": 0.5, "step": step, "log": False}
    dropout = {"name": "FloatDistribution", "attributes": attributes}
    space = STUDY.space.to_json()
    return {**space, "distributions": {**space["distributions"], "dropout": dropout}}


@pytest.mark.parametrize("study", [STUDY, FULL])
def test_what_is_written_is_read(study: StudyFile) -> None:
    assert StudyFile.from_dict(json.loads(json.dumps(study.to_json()))) == study


def test_published_runs_are_read_and_lose_no_key() -> None:
    paths = sorted((ROOT / "results" / "reference").glob("*/study.json"))
    assert len(paths) == 3
    for path in paths:
        values = json.loads(path.read_text(encoding="utf-8"))
        written = StudyFile.from_dict(values).to_json()
        values["objective"].setdefault("version", 1)  # earlier runs did not say it
        for key, value in values.items():
            if key == "corpus":  # a text has had parts of its own since
                assert written[key].items() >= value.items()
            elif key not in ("space", "estimate"):
                assert json.loads(json.dumps(written[key])) == value, (path, key)
        assert values["estimate"].items() <= json.loads(json.dumps(written["estimate"])).items()


def test_runs_from_before_a_key_was_written_have_its_default() -> None:
    values = FULL.to_json()
    for key in ("sampler", "trial_timeout_seconds", "unconfirmed", "versions"):
        del values[key]
    del values["estimate"]
    old = StudyFile.from_dict(json.loads(json.dumps(values)))
    assert (old.settings.sampler, old.settings.trial_timeout_seconds) == ("tpe", None)
    assert old.versions == {} and old.estimate is None


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("seed", "3", "seed must be int, got '3'"),
        ("seed", True, "seed must be int, got True"),
        ("seed", -1, "seed must be at least 0, got -1"),
        ("finalist_seeds", 101, "finalist_seeds must be in 1 to 100, got 101"),
        ("corpus", None, "corpus must be an object, got NoneType"),
        ("corpus", {"name": "x"}, "corpus lacks .* and .*"),
        ("objective", [], "objective must be an object, got list"),
        ("search_seconds", "long", "search_seconds must be float, got 'long'"),
        ("name", "../other", "name must be a folder's name, got '../other'"),
        ("ended", None, "ended must be str, got None"),
        (
            "estimate",
            {"planned_seconds": [1], "planned_trials": [1, 2]},
            "planned_seconds must be",
        ),
        ("space", {"name": "full"}, "space lacks 'description'"),
        ("format_version", 2, "format must be at most 1, got 2"),
        ("format_version", "1", "format_version must be int, got '1'"),
        ("command", "\ud800", r"study.json must hold whole characters, got '\\ud800'"),
        ("versions", {"\udfff": "1"}, r"must hold whole characters, got '\\udfff'"),
        ("resume", json.loads("[" * 150 + "]" * 150), "study.json is nested too deeply"),
        ("search_seconds", 1e308, r"must be a finite number below 1e\+100, got 1e\+308"),
        (
            "objective",
            {**OBJECTIVE, "restoration_bits_per_char": {"upper": 0.1}},
            "must be of cleanings with a floor, cased, lower, letters, got 'upper'",
        ),
        ("space", with_steps(1e-30), "space has a value of another kind: .*InvalidOperation"),
    ],
)
def test_a_wrong_value_is_one_line(key: str, value: Any, message: str, tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    folder.study_file.write_text(json.dumps({**STUDY.to_json(), key: value}), encoding="utf-8")
    with pytest.raises(ConfigError, match=f"study.json must be readable: .*{message}"):
        folder.read_study()


@pytest.mark.parametrize("text", ["", "[]", "3", "{}", "[" * 100_000, '{"format_version": 1}'])
def test_what_is_no_study_is_one_line(text: str, tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    folder.study_file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"study\.json must be readable") as caught:
        folder.read_study()
    assert "\n" not in str(caught.value)
