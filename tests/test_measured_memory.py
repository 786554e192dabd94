"""What trials take of memory, by what was estimated, and what the next ask for then."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ray.tune.search import Searcher

from model.config import TrialConfig
from model.memory import peak_bytes, reset_peak
from model.objective import PreparedCorpus
from search_spaces import load_space
from tune import measured_memory
from tune.concurrency import FollowingLimiter
from tune.history import History
from tune.history_events import EpochEnded, TrialStarted
from tune.measured_memory import MeasuredMemory, memory_excess
from tune.outcome import MEMORY_BY_ESTIMATE, MEMORY_EXCESS
from tune.records import EpochRecord, TrialRecord, trial_id
from tune.resources import TrialResources
from tune.stopping import SearchStopper
from tune.trial_memory import GIBIBYTE, TrialMemory

MEBIBYTE = 1 << 20
SMALL, LARGE = TrialConfig(hidden_size=64), TrialConfig(hidden_size=256)


@pytest.fixture
def memory(tiny_corpus: PreparedCorpus) -> TrialMemory:
    return TrialMemory.of(load_space("quick"), tiny_corpus, process_bytes=0)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux alone tells it")
def test_peak_is_that_since_it_was_reset() -> None:
    assert reset_peak()
    before = peak_bytes()
    held = np.ones(200 * MEBIBYTE, np.uint8)
    del held
    assert peak_bytes() > before + 190 * MEBIBYTE
    assert reset_peak()
    assert peak_bytes() < before + 100 * MEBIBYTE


def test_a_smaller_trial_after_a_larger_one_tells_nothing(
    memory: TrialMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measured_memory, "peak_bytes", lambda: 3 * memory.needed_bytes(LARGE))
    measured = MeasuredMemory(memory)
    measured.begin(SMALL)
    before = measured.by_estimate()
    assert before is not None and before > 3
    measured.begin(LARGE)
    assert measured.by_estimate() == pytest.approx(3.0)
    measured.begin(SMALL)
    assert measured.by_estimate() is None
    measured.begin(LARGE)
    assert measured.by_estimate() == pytest.approx(3.0)
    monkeypatch.setattr(measured_memory, "reset_peak", lambda: False)
    measured.begin(LARGE)
    assert measured.by_estimate() is None


def test_nothing_is_told_without_an_estimate() -> None:
    measured = MeasuredMemory(None)
    measured.begin(SMALL)
    assert measured.by_estimate() is None


def test_trials_ask_for_as_many_times_more(memory: TrialMemory) -> None:
    gibibyte = dataclasses.replace(memory, process_bytes=GIBIBYTE * 3 // 4)
    need = TrialResources(memory=gibibyte)
    assert need.request(SMALL)["memory"] == GIBIBYTE
    assert need.request(SMALL, memory_excess=1.6)["memory"] == 2 * GIBIBYTE
    limited = TrialResources(memory=dataclasses.replace(gibibyte, limit_bytes=GIBIBYTE))
    assert limited.request(SMALL, memory_excess=1.6)["memory"] == GIBIBYTE


class _Proposing(Searcher):
    """Proposes the same without end."""

    def suggest(self, trial_id: str) -> dict[str, Any]:
        return {"number": 0}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        pass

    def on_trial_complete(self, trial_id: str, *words: Any, **more: Any) -> None:
        pass


@pytest.fixture
def limiter() -> Iterator[FollowingLimiter]:
    yield FollowingLimiter(_Proposing(), lambda: 8, SearchStopper(None), memory_excess=1.1)


def test_each_proposal_says_how_far_trials_went_beyond(limiter: FollowingLimiter) -> None:
    def proposed(trial: str) -> float:
        proposal = limiter.suggest(trial)
        assert isinstance(proposal, dict)
        return float(proposal[MEMORY_EXCESS])

    assert proposed("a") == 1.1
    limiter.on_trial_result("a", {MEMORY_BY_ESTIMATE: 1.3})
    assert proposed("b") == 1.3
    limiter.on_trial_result("b", {MEMORY_BY_ESTIMATE: None})
    limiter.on_trial_result("b", {MEMORY_BY_ESTIMATE: 0.4})  # never lowered
    assert proposed("c") == 1.3
    limiter.on_trial_complete("c", {MEMORY_BY_ESTIMATE: 1.5})  # a trial's last epoch
    limiter.on_trial_complete("a")
    assert proposed("d") == 1.5


def test_history_knows_it_when_the_search_is_resumed(tmp_path: Path) -> None:
    def ended(number: int, epoch: int, by_estimate: float | None) -> EpochEnded:
        record = EpochRecord(
            trial_id=trial_id(number),
            number=number,
            epoch=epoch,
            train_nats_per_char=1.0,
            val_nats_per_char=1.0,
            val_own_bits_per_char=1.0,
            val_bits_per_char=1.0,
            elapsed_seconds=1.0,
            search_seconds=1.0,
        )
        return EpochEnded(
            epoch=record,
            precision="float32",
            num_parameters=1,
            vocabulary_size=1,
            memory_by_estimate=by_estimate,
        )

    path = tmp_path / "history.jsonl"
    with History(path) as history:
        for number in range(2):
            config = SMALL.to_dict()
            history.add(
                TrialStarted(number=number, baseline="", config=config, search_seconds=0.0)
            )
        history.add(ended(0, 1, 0.9))
        history.add(ended(0, 2, 1.2))
        history.add(ended(0, 3, None))  # it went on in another process, which cannot tell
        history.add(ended(1, 1, None))
    old = path.read_text(encoding="utf-8").replace(', "memory_by_estimate": 0.9', "")
    path.write_text(old, encoding="utf-8")  # as before there was such a thing
    with History(path) as history:
        records: list[TrialRecord] = [history.records[number] for number in range(2)]
    assert [record.memory_by_estimate for record in records] == [1.2, None]
    assert memory_excess(records) == 1.2
    assert memory_excess(records[1:]) == memory_excess([]) == 1.0
