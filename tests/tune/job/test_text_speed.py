"""Which networks' text is timed at a search's end, and in which unit."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hand_made_run import curve
from model.config import TrialConfig
from model.network.base import Network
from model.scoring.objective import PreparedCorpus
from search_spaces import load_space
from tune.job import text_speed
from tune.job.text_speed import TIMED_TRIALS, keep_times, time_text
from tune.records.run_folder import RunFolder
from tune.records.study_file import StudySettings
from tune.records.tables import trials_frame
from tune.records.trial import Status, TrialRecord

CONFIG = TrialConfig(cleaning="lower", hidden_size=8)


def record(
    number: int, config: TrialConfig, bits: float, baseline: str = "", symbols: int | None = 30
) -> TrialRecord:
    return TrialRecord(
        number=number,
        config=config,
        baseline=baseline,
        status=Status.COMPLETE,
        vocabulary_size=symbols,
        kernel="fused",
        epochs=curve(number, [bits]),
    )


@pytest.fixture
def study(tiny_corpus: PreparedCorpus) -> Any:
    return SimpleNamespace(
        space=load_space("full"),
        prepared=tiny_corpus,
        settings=StudySettings(),
        corpus=SimpleNamespace(text="short"),
    )


def test_best_trials_and_baselines_are_timed_without_a_checkpoint(study: Any) -> None:
    records = [
        record(number, dataclasses.replace(CONFIG, hidden_size=4 + number), 1.0 + number / 100)
        for number in range(TIMED_TRIALS + 2)
    ]
    last = len(records)
    baseline = dataclasses.replace(CONFIG, dropout=0.1)
    records.append(record(last, baseline, 3.0, "experiment 1"))
    records.append(record(last + 1, dataclasses.replace(CONFIG, dropout=0.2), 0.5, symbols=None))
    cut_off = record(last + 2, dataclasses.replace(CONFIG, dropout=0.3), 3.1, "experiment 2")
    cut_off.status = Status.STOPPED  # it has had its time
    records.append(cut_off)
    time_text(study, records)
    timed = trials_frame(records).set_index("number")["milliseconds_per_char"]
    # One of the best twenty is from before the size of a vocabulary was kept.
    assert list(timed[timed.notna()].index) == [*range(TIMED_TRIALS - 1), last, last + 2]
    assert (timed.dropna() > 0).all()


def test_words_and_bytes_are_timed_by_the_character(
    study: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A symbol takes a millisecond each."""
    kernels: list[bool] = []

    def a_millisecond(network: Network) -> float:
        kernels.append(any(getattr(each, "fused_dtype", None) for each in network.modules()))
        return 1.0

    monkeypatch.setattr(text_speed, "milliseconds_per_symbol", a_millisecond)
    units = {
        "char": dataclasses.replace(CONFIG, cleaning="cased"),
        "byte": dataclasses.replace(CONFIG, unit="byte", cleaning="cased"),
        "word": dataclasses.replace(CONFIG, unit="word", cleaning="cased"),
    }
    records = [record(number, config, 2.0) for number, config in enumerate(units.values())]
    time_text(study, records)
    char, byte, word = (each.milliseconds_per_char for each in records)
    assert char == 1.0 and byte is not None and byte >= 1.0
    assert word is not None and 0 < word < 0.6
    assert kernels == [True] * 3  # of trials that trained with it

    study.corpus.text *= 1_000_000
    records = [record(number, config, 2.0) for number, config in enumerate(units.values())]
    time_text(study, records)
    assert [each.milliseconds_per_char is None for each in records] == [False, True, True]


def test_later_session_times_what_no_earlier_one_has(
    study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def untimed(num: int) -> list[TrialRecord]:
        configs = [dataclasses.replace(CONFIG, hidden_size=4 + number) for number in range(num)]
        return [record(number, config, 2.0) for number, config in enumerate(configs)]

    folder, earlier = RunFolder(tmp_path), untimed(3)
    earlier[0].milliseconds_per_char, earlier[2].milliseconds_per_char = 0.1 + 0.2, 0.7
    folder.write_tables(earlier)
    records = dict(enumerate(untimed(2)))  # trial 2 began after the history was copied
    monkeypatch.setattr(text_speed, "milliseconds_per_symbol", lambda network: 9.0)
    keep_times(folder, records)
    time_text(study, records.values())
    assert [each.milliseconds_per_char for each in records.values()] == [0.1 + 0.2, 9.0]


def test_damaged_or_missing_table_has_no_times(tmp_path: Path) -> None:
    folder, trial = RunFolder(tmp_path), record(0, CONFIG, 2.0)
    keep_times(folder, {0: trial})
    folder.trials_file.write_text("torn", encoding="utf-8")
    keep_times(folder, {0: trial})
    assert trial.milliseconds_per_char is None
