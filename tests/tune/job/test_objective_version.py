"""A resumed run has the floors and settings that it began with; an earlier version is refused."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from hand_made_run import STUDY
from model.errors import ConfigError
from model.scoring.objective import OBJECTIVE_VERSION, Floor, prepare_corpus
from model.text.corpus import resolve_corpus
from tune.job.resume import prepared_study
from tune.job.study_json import study_file
from tune.planning.study import Study, StudyOptions
from tune.records.run_folder import RunFolder
from tune.records.study_file import (
    CHANGEABLE_SETTINGS,
    CorpusOrigin,
    ObjectiveFacts,
    StudyFile,
    StudySettings,
)

pytestmark = pytest.mark.usefixtures("measured_machine")

QUIET = Console(quiet=True)
EARLIER = ObjectiveFacts(
    version=OBJECTIVE_VERSION,
    floor_order=4,
    floors={
        name: Floor(validation_bits_per_char=bits, test_bits_per_char=bits + 0.1)
        for name, bits in (("cased", 2.5), ("lower", 2.25), ("letters", 1.75))
    },
    restoration_bits_per_char={"cased": 0.0, "lower": 0.25, "letters": 0.75},
)


def resumed(text: str, objective: ObjectiveFacts, **options: Any) -> Study:
    """Go on with a run that began with these figures, with more options if any are given."""
    path = Path("text.txt")
    path.write_text(text, encoding="utf-8")
    origin = CorpusOrigin.of(resolve_corpus(str(path)))
    folder = RunFolder.create(Path("run"))
    folder.write_study(dataclasses.replace(STUDY, objective=objective, corpus=origin))
    options = {"resume": str(folder.path), "trials": 30, **options}
    return prepared_study(StudyOptions(**options), QUIET)


def test_resumed_run_has_the_prices_that_it_began_with(tiny_text: str) -> None:
    study = resumed(tiny_text, EARLIER)
    prices = {
        name: corpus.validation.restoration_bits_per_char
        for name, corpus in study.prepared.encoded.items()
    }
    assert prices == {name: EARLIER.restoration_bits_per_char[name] for name in prices}
    assert study_file(study, None, None).objective == dataclasses.replace(
        EARLIER, restoration_bits_per_char=prices
    )


def test_run_of_an_earlier_version_is_not_resumed(tiny_text: str) -> None:
    rule = "a resumed run's objective must be version 2, got 1; start a new search"
    with pytest.raises(ConfigError, match=rule):
        resumed(tiny_text, dataclasses.replace(EARLIER, version=1))


OTHER_SETTINGS: dict[str, Any] = {
    "seed": 5,
    "sampler": "random",
    "storage": "/elsewhere",
    "trial_timeout_seconds": "9m",
    "finalists": 1,
    "finalist_seeds": 1,
    "keep_front_matter": True,
    "encoding": "latin-1",
    "stop_when_settled": True,
}


@pytest.mark.parametrize("field", dataclasses.fields(StudySettings), ids=lambda field: field.name)
def test_setting_is_the_one_that_the_run_began_with_or_may_change(
    field: "dataclasses.Field[Any]", tiny_text: str
) -> None:
    """One that nobody thought of would be changed without a word."""
    name, option = field.name, field.name.removesuffix("_seconds")
    asked = {option: OTHER_SETTINGS[name]}
    if name in CHANGEABLE_SETTINGS:
        settings = resumed(tiny_text, EARLIER, **asked).settings
        assert getattr(settings, name) != getattr(STUDY.settings, name)
    else:
        with pytest.raises(ConfigError, match=f"{name} must be that of the resumed run"):
            resumed(tiny_text, EARLIER, **asked)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"version": 3}, "an objective's version must be 1 to 2, got 3"),
        ({"version": 0}, "an objective's version must be 1 to 2, got 0"),
        ({"floor_order": 0}, "a floor's order must be at least 1, got 0"),
        ({"floors": {}}, r"floors must cover 'cased', got \[\]"),
    ],
)
def test_study_json_of_a_stranger_is_checked(changes: dict[str, object], rule: str) -> None:
    values = STUDY.to_json()
    values["objective"] = {**values["objective"], **changes}
    with pytest.raises(ConfigError, match=rule):
        StudyFile.from_dict(values)


def test_floors_that_lack_a_cleaning_are_refused(tiny_text: str) -> None:
    only_raw = dataclasses.replace(
        EARLIER,
        floors={"cased": EARLIER.floors["cased"]},
        restoration_bits_per_char={"cased": 0.0},
    ).as_floors()
    with pytest.raises(ConfigError, match="got none of 'letters'"):
        prepare_corpus(tiny_text, ["cased", "letters"], floors=only_raw)
