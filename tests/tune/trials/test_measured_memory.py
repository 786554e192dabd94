"""What trials take of memory, by what was estimated, and what the next ask for then."""

import dataclasses
import gc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ray.tune.search import Searcher

from hand_made_trials import epoch_record
from held_here import held_here
from model.config import TrialConfig
from model.scoring.objective import PreparedCorpus
from model.system.limits import peak_bytes, reset_peak
from search_spaces import load_space
from tune.cluster.resources import TrialResources
from tune.cluster.trial_memory import GIBIBYTE, TrialMemory
from tune.records.history import EpochEnded, History, TrialStarted
from tune.records.trial import (
    ESTIMATED_MEMORY,
    MEMORY_EXCESS,
    PEAK_MEMORY,
    TrialRecord,
)
from tune.trials import trainable as trainable_module
from tune.trials.limiter import FollowingLimiter, memory_excess_bytes
from tune.trials.stopper import SearchStopper
from tune.trials.trainable import CharLSTMTrainable, MeasuredMemory

MEBIBYTE = 1 << 20
SMALL, LARGE = TrialConfig(hidden_size=64), TrialConfig(hidden_size=256)


@pytest.fixture
def memory(tiny_corpus: PreparedCorpus) -> TrialMemory:
    return TrialMemory.of(load_space("quick"), tiny_corpus, process_bytes=0)


needs_linux = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="Linux alone tells a process's peak"
)


def peak() -> int:
    found = peak_bytes()
    assert found is not None
    return found


@needs_linux
def test_peak_is_that_since_it_was_reset() -> None:
    assert reset_peak()
    before = peak()
    held = np.ones(200 * MEBIBYTE, np.uint8)
    del held
    assert peak() > before + 190 * MEBIBYTE
    assert reset_peak()
    assert peak() < before + 100 * MEBIBYTE


def test_a_smaller_trial_after_a_larger_one_tells_nothing(
    memory: TrialMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainable_module, "reset_peak", lambda: True)
    monkeypatch.setattr(trainable_module, "peak_bytes", lambda: 7)
    measured = MeasuredMemory(memory)
    nothing = {PEAK_MEMORY: None, ESTIMATED_MEMORY: None}
    for config, tells in ((SMALL, True), (LARGE, True), (SMALL, False), (LARGE, True)):
        measured.begin(config)
        estimated = memory.needed_bytes(config) + memory.shared_bytes
        told = {PEAK_MEMORY: 7, ESTIMATED_MEMORY: estimated}
        assert measured.values() == (told if tells else nothing)
    monkeypatch.setattr(trainable_module, "reset_peak", lambda: False)
    measured.begin(LARGE)
    assert measured.values() == nothing
    without = MeasuredMemory(None)
    without.begin(LARGE)
    assert without.values() == nothing


@pytest.mark.slow
@needs_linux
def test_trial_tells_what_it_took_and_keeps_nothing_of_the_last(
    memory: TrialMemory,
    tiny_corpus: PreparedCorpus,
    tiny_config: TrialConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits: list[int] = []
    monkeypatch.setattr(trainable_module, "limit_growth", limits.append)
    smaller = dataclasses.replace(tiny_config, hidden_size=tiny_config.hidden_size // 2)

    def proposal(config: TrialConfig) -> dict[str, Any]:
        values = {"number": 0, "baseline": "", "config": config.to_dict(), "checkpoints": []}
        return {**values, MEMORY_EXCESS: 3 * GIBIBYTE}

    trainable = CharLSTMTrainable.__new__(CharLSTMTrainable)
    corpus = held_here(tiny_corpus)
    trainable.setup(
        proposal(tiny_config), corpus=corpus, need=TrialResources(gpus=0.0, memory=memory)
    )
    assert limits == [2 * 4 * GIBIBYTE]
    result = trainable.step()
    assert result[ESTIMATED_MEMORY] == memory.needed_bytes(tiny_config) + memory.shared_bytes
    assert result[PEAK_MEMORY] > 50 * MEBIBYTE
    trainer = weakref.ref(trainable._trainer)
    trainable.reset_config(proposal(smaller))
    gc.collect()
    assert trainer() is None  # two networks at once are in no estimate
    assert trainable.step()[PEAK_MEMORY] is None
    # Ray gives it a GPU that torch does not see: it trains on the CPU, within its memory.
    trainable.setup(
        proposal(tiny_config), corpus=corpus, need=TrialResources(gpus=0.5, memory=memory)
    )
    assert trainable.step()[PEAK_MEMORY] is not None
    limits.clear()
    parts: list[float] = []
    monkeypatch.setattr(trainable_module, "limit_gpu_memory", parts.append)
    monkeypatch.setattr(trainable_module, "pick_device", lambda *, use_gpu: torch.device("cuda"))
    for gpus in (0.5, 1.0):
        trainable.setup(
            proposal(tiny_config), corpus=corpus, need=TrialResources(gpus=gpus, memory=memory)
        )
    assert parts == [0.5] and not limits


def test_later_trials_ask_for_as_much_more(memory: TrialMemory) -> None:
    gibibyte = dataclasses.replace(memory, process_bytes=GIBIBYTE * 3 // 4)
    need = TrialResources(memory=gibibyte)
    assert need.request(SMALL)["memory"] == GIBIBYTE
    assert need.request(SMALL, memory_excess_bytes=GIBIBYTE // 2)["memory"] == 2 * GIBIBYTE
    limited = TrialResources(memory=dataclasses.replace(gibibyte, limit_bytes=GIBIBYTE))
    assert limited.request(SMALL, memory_excess_bytes=GIBIBYTE // 2)["memory"] == GIBIBYTE


class _Proposing(Searcher):
    """Proposes the same without end."""

    def suggest(self, trial_id: str) -> dict[str, Any]:
        return {"number": 0}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        pass

    def on_trial_complete(self, trial_id: str, *words: Any, **more: Any) -> None:
        pass


def test_each_proposal_says_how_far_trials_went_beyond() -> None:
    limiter = FollowingLimiter(
        _Proposing(), lambda: 8, SearchStopper(None), memory_excess_bytes=10
    )

    def proposed(trial: str) -> int:
        proposal = limiter.suggest(trial)
        assert isinstance(proposal, dict)
        return int(proposal[MEMORY_EXCESS])

    assert proposed("a") == 10
    limiter.on_trial_result("a", {PEAK_MEMORY: 130, ESTIMATED_MEMORY: 100})
    assert proposed("b") == 30
    limiter.on_trial_result("b", {PEAK_MEMORY: None, ESTIMATED_MEMORY: None})
    limiter.on_trial_result("b", {PEAK_MEMORY: 40, ESTIMATED_MEMORY: 100})  # never lowered
    assert proposed("c") == 30
    # A trial's last epoch.
    limiter.on_trial_complete("c", {PEAK_MEMORY: 150, ESTIMATED_MEMORY: 100})
    limiter.on_trial_complete("a")
    assert proposed("d") == 50


def test_history_knows_it_when_the_search_is_resumed(tmp_path: Path) -> None:
    def ended(number: int, epoch: int, peak: int | None) -> EpochEnded:
        record = epoch_record(number, epoch)
        return EpochEnded(
            epoch=record,
            precision="float32",
            num_parameters=1,
            vocabulary_size=1,
            peak_memory_bytes=peak,
            estimated_memory_bytes=None if peak is None else 100,
        )

    path = tmp_path / "history.jsonl"
    with History(path) as history:
        for number in range(2):
            config = SMALL.to_dict()
            history.add(
                TrialStarted(number=number, baseline="", config=config, search_seconds=0.0)
            )
        history.add(ended(0, 1, 90))
        history.add(ended(0, 2, 120))
        # It went on in processes that took less, or could not tell.
        history.add(ended(0, 3, 80))
        history.add(ended(0, 4, None))
        history.add(ended(1, 1, None))
    lines = path.read_text(encoding="utf-8")
    new = ', "peak_memory_bytes": null, "estimated_memory_bytes": null'
    assert new in lines
    path.write_text(lines.replace(new, ""), encoding="utf-8")  # as of an earlier version
    with History(path) as history:
        records: list[TrialRecord] = [history.records[number] for number in range(2)]
    assert [record.peak_memory_bytes for record in records] == [120, None]
    assert memory_excess_bytes(records) == 20
    assert memory_excess_bytes(records[1:]) == memory_excess_bytes([]) == 0
