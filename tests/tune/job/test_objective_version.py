"""A run is judged as it began: an earlier version's prices and spelling, not today's."""

import dataclasses
from pathlib import Path

import pytest
from rich.console import Console

from hand_made_run import STUDY
from model.config import TrialConfig
from model.errors import ConfigError
from model.scoring.objective import OBJECTIVE_VERSION, Floor, prepare_corpus
from model.text.corpus import resolve_corpus
from model.text.words import WordVocabulary
from tune.job.resume import prepared_study
from tune.job.study_json import study_file
from tune.planning.study import Study, StudyOptions
from tune.records.run_folder import RunFolder
from tune.records.study_file import CorpusOrigin, ObjectiveFacts, StudyFile

QUIET = Console(quiet=True)
EARLIER = ObjectiveFacts(
    version=1,
    floor_order=4,
    floors={
        name: Floor(validation_bits_per_char=bits, test_bits_per_char=bits + 0.1)
        for name, bits in (("cased", 2.5), ("lower", 2.25), ("letters", 1.75))
    },
    restoration_bits_per_char={"cased": 0.0, "lower": 0.25, "letters": 0.75},
)


@pytest.fixture
def resumed(tiny_text: str) -> Study:
    path = Path("text.txt")
    path.write_text(tiny_text, encoding="utf-8")
    corpus = resolve_corpus(str(path))
    origin = CorpusOrigin.of(corpus)
    folder = RunFolder.create(Path("run"))
    folder.write_study(dataclasses.replace(STUDY, objective=EARLIER, corpus=origin))
    return prepared_study(StudyOptions(resume=str(folder.path), trials=30), QUIET)


def test_resumed_run_has_the_prices_that_it_began_with(resumed: Study) -> None:
    prices = {
        name: corpus.validation.restoration_bits_per_char
        for name, corpus in resumed.prepared.encoded.items()
    }
    assert prices == {name: EARLIER.restoration_bits_per_char[name] for name in prices}
    assert study_file(resumed, None, None).objective.version == 1
    assert study_file(resumed, None, None).objective.floors == EARLIER.floors


def test_resumed_run_spells_as_it_began(resumed: Study, tiny_text: str) -> None:
    config = TrialConfig(unit="word", cleaning="lower", min_word_count=2)
    for prepared, expected in (
        (resumed.prepared, "witten-bell"),
        (prepare_corpus(tiny_text, ["lower"]), "kneser-ney"),
    ):
        vocabulary = prepared.streams(config).vocabulary
        assert isinstance(vocabulary, WordVocabulary)
        assert vocabulary.speller == expected


def test_new_run_says_its_version(tiny_text: str) -> None:
    assert prepare_corpus(tiny_text, ["lower"]).floors.version == OBJECTIVE_VERSION == 2


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"version": 3}, "an objective's version must be 1 to 2, got 3"),
        ({"floor_order": 0}, "a floor's order must be at least 1, got 0"),
        ({"floors": {}}, r"floors must have one of 'cased', got \[\]"),
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
    ).known()
    with pytest.raises(ConfigError, match="got none of 'letters'"):
        prepare_corpus(tiny_text, ["cased", "letters"], floors=only_raw)
