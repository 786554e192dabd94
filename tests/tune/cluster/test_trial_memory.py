"""What memory trials ask for, and what is refused."""

import dataclasses
import functools
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import IntDistribution

from model.config import FIELD_NAMES, TrialConfig
from model.errors import ConfigError
from model.scoring.objective import PreparedCorpus
from model.system.limits import CONTEXT_BYTES
from model.training.cost import TextSizes
from model.training.memory import MEMORY_FIELDS, training_bytes
from repository import ROOT, SUPPORT
from search_spaces import SearchSpace, load_space
from search_spaces.narrow import fixed
from search_spaces.random_configs import random_configs
from tune.cluster.resources import Node, TrialResources, num_concurrent, with_memory
from tune.cluster.trial_memory import GIBIBYTE, TrialMemory, check_gpu_memory, text_of

PROCESS_BYTES = 500_000_000
EXTENDED = load_space("extended")


@pytest.fixture(scope="module")
def memory(tiny_corpus: PreparedCorpus) -> TrialMemory:
    return TrialMemory.of(EXTENDED, tiny_corpus, process_bytes=PROCESS_BYTES)


def node(gibibytes: float, cpus: int = 2) -> Node:
    return Node(num_cpus=cpus, num_gpus=0, memory_bytes=gibibytes * GIBIBYTE)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["quick", "full", "extended", "documented", "research"])
def test_extremes_bound_the_space(name: str, tiny_corpus: PreparedCorpus) -> None:
    space = load_space(name)
    memory = TrialMemory.of(space, tiny_corpus, process_bytes=PROCESS_BYTES)
    inside = random_configs(space, 50, seed=0)
    inside += [space.config(baseline.params) for baseline in space.baselines]
    needs = [memory.needed_bytes(config) for config in inside]
    assert memory.needed_bytes(memory.smallest) <= min(needs)
    assert max(needs) <= memory.needed_bytes(memory.largest)


def test_a_process_needs_its_base_its_words_and_the_training(
    memory: TrialMemory, tiny_corpus: PreparedCorpus
) -> None:
    chars = sum(corpus.num_chars for corpus in tiny_corpus.encoded.values())  # a byte each
    assert memory.shared_bytes == chars
    words = sum(sizes.text_bytes for sizes in memory.sizes.values()) - chars
    assert words > 0
    for unit in ("char", "word"):
        config = TrialConfig(cleaning="letters", unit=unit)
        expected = PROCESS_BYTES + words + training_bytes(config, memory.sizes["letters", unit])
        assert memory.needed_bytes(config) == expected


def test_asked_for_are_few_sizes_that_hold_what_is_needed(memory: TrialMemory) -> None:
    own = dataclasses.replace(memory, one_size=False)
    configs = random_configs(EXTENDED, 100, seed=1)
    asked = {own.asked_bytes(config) for config in configs}
    assert 2 <= len(asked) <= 4
    assert asked <= {GIBIBYTE << power for power in range(5)}
    assert all(own.needed_bytes(config) <= own.asked_bytes(config) for config in configs)
    assert {memory.asked_bytes(config) for config in configs} == {own.asked_bytes(own.largest)}
    limited = dataclasses.replace(own, limit_bytes=6 * GIBIBYTE)
    assert limited.asked_bytes(limited.largest) == 6 * GIBIBYTE


def test_trials_ask_for_the_same_where_memory_allows(memory: TrialMemory) -> None:
    need = TrialResources(cpus=1)
    for nodes, one_size, at_once in (
        ([node(16)], True, 2),
        ([node(12)], False, 2),  # two of the largest do not fit
        ([node(16), node(8)], False, 4),
        ([node(math.inf)], True, 2),
        ([node(6.5, cpus=8)], False, 6),  # fewer at once than there are cores
    ):
        asked = with_memory(EXTENDED, need, memory, nodes)
        assert asked.memory is not None and asked.memory.one_size == one_size
        assert num_concurrent(nodes, asked, None) == at_once
    request = asked.request(TrialConfig(hidden_size=64))
    assert request == {"cpu": 1, "gpu": 0.0, "memory": GIBIBYTE}
    assert need.request(TrialConfig()) == {"cpu": 1, "gpu": 0.0}


def test_base_of_a_conditional_axis_is_an_extreme_too(tiny_corpus: PreparedCorpus) -> None:
    space = dataclasses.replace(
        EXTENDED,
        starts=(),
        base=dataclasses.replace(EXTENDED.base, hidden_size=4_096),
        distributions={
            "num_layers": IntDistribution(1, 2),
            "hidden_size": IntDistribution(64, 128),
        },
        conditions={"hidden_size": ("num_layers", 2)},
        baselines=(),
    )
    memory = TrialMemory.of(space, tiny_corpus, process_bytes=PROCESS_BYTES)
    assert memory.largest.hidden_size == 4_096 and memory.smallest.hidden_size == 64


def test_memory_of_a_node_that_runs_no_trial_does_not_count(memory: TrialMemory) -> None:
    head, worker = node(64, cpus=0), node(6.5)
    asked = with_memory(EXTENDED, TrialResources(), memory, [head, worker])
    assert asked.memory is not None and asked.memory.limit_bytes == worker.memory_bytes
    with pytest.raises(ConfigError, match="2 GiB are free"):
        with_memory(EXTENDED, TrialResources(), memory, [head, node(2)])
    with_gpu = Node(num_cpus=2, num_gpus=1, memory_bytes=8 * GIBIBYTE)
    asked = with_memory(EXTENDED, TrialResources(gpus=1), memory, [node(64), with_gpu])
    assert asked.memory is not None and asked.memory.limit_bytes == 8 * GIBIBYTE


def test_what_no_node_holds_is_refused_with_its_axes(memory: TrialMemory) -> None:
    with pytest.raises(ConfigError) as refused:
        with_memory(EXTENDED, TrialResources(), memory, [node(2), node(1.5)])
    text = str(refused.value)
    assert "the space 'extended' must fit into memory" in text
    for axis in ("hidden_size=1024", "num_layers=3", "batch_size=128", "sequence_length=200"):
        assert axis in text
    needed = memory.needed_bytes(memory.largest) / GIBIBYTE
    assert f"needs {needed:.1f} GiB, the largest node has 2 GiB" in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "rules", "gibibytes", "way_out"),
    [
        ("extended", [], 4.5, "batch_size=16"),
        ("research", [], 4.5, "batch_size=16"),
        ("extended", ["batch_size=128"], 4.5, "sequence_length=50"),
        ("extended", ["batch_size=128", "sequence_length=200"], 4.5, "hidden_size=512"),
        ("extended", [], 0.4, ""),  # less than a process takes before it trains
    ],
)
def test_what_a_laptop_does_not_hold_is_refused_with_a_way_out_that_fits(
    name: str, rules: list[str], gibibytes: float, way_out: str, tiny_corpus: PreparedCorpus
) -> None:
    def checked(rules: list[str]) -> None:
        space = functools.reduce(fixed, rules, load_space(name))
        memory = TrialMemory.of(space, tiny_corpus, process_bytes=PROCESS_BYTES)
        with_memory(space, TrialResources(), memory, [node(gibibytes)])

    with pytest.raises(ConfigError) as refused:
        checked(rules)
    text = f" GiB, {gibibytes} GiB are free"
    assert str(refused.value).endswith(
        f"{text}; a search with --fix {way_out} fits" if way_out else text
    )
    if way_out:
        checked([*rules, way_out])


def test_gpu_is_not_asked_for_what_the_process_holds(memory: TrialMemory) -> None:
    text = max(sizes.text_bytes for sizes in memory.sizes.values())
    needed = training_bytes(memory.largest, memory.sizes[text_of(memory.largest)]) + text
    check_gpu_memory(EXTENDED, memory, needed, 1.0)
    with pytest.raises(ConfigError, match=r"GiB of a GPU; a .* --fix batch_size=16 fits"):
        check_gpu_memory(EXTENDED, memory, needed - 1, 1.0)
    # Four share it, each with a context of CUDA of its own; one was there when it was measured.
    shared = 4 * needed + 3 * CONTEXT_BYTES
    check_gpu_memory(EXTENDED, memory, shared, 0.25)
    with pytest.raises(ConfigError):
        check_gpu_memory(EXTENDED, memory, shared - 4, 0.25)


def test_host_is_not_asked_for_what_lies_on_a_gpu(
    tiny_corpus: PreparedCorpus, memory: TrialMemory
) -> None:
    """A space that fits a GPU was refused for want of the host's memory."""
    on_gpu = TrialMemory.of(EXTENDED, tiny_corpus, process_bytes=PROCESS_BYTES, on_gpu=True)
    needed = on_gpu.needed_bytes(on_gpu.largest)
    assert PROCESS_BYTES < needed < memory.needed_bytes(memory.largest) / 2
    with_memory(EXTENDED, TrialResources(), on_gpu, [node(needed / GIBIBYTE)])


def test_space_without_axes_is_its_baselines(tiny_corpus: PreparedCorpus) -> None:
    documented: SearchSpace = load_space("documented")
    memory = TrialMemory.of(documented, tiny_corpus, process_bytes=0)
    values: list[dict[str, Any]] = [c.to_dict() for c in (memory.smallest, memory.largest)]
    assert {(v["num_layers"], v["batch_size"]) for v in values} <= {(1, 128), (2, 64)}


@pytest.mark.slow
def test_memory_that_a_trial_asks_for_is_what_ray_gives(tiny_text: str) -> None:
    Path("book.txt").write_text(tiny_text, encoding="utf-8")
    script = SUPPORT / "memory_short_search.py"
    done = subprocess.run(
        [sys.executable, str(script), "book.txt"],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{SUPPORT}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    seen, asked, ended, corrected, (peak, estimated) = json.loads(done.stdout.splitlines()[-1])
    small, large = GIBIBYTE, 2 * GIBIBYTE
    assert asked == [small, large, large, small, small, large]
    assert ended == ["COMPLETE"] * 6  # trials that wait for memory get it in the end
    assert len(seen) == 12
    for number, held in seen:
        assert asked[number] in held
        assert sum(held) <= 2 * GIBIBYTE
    assert corrected == [[0, [large]]] * 2  # its two epochs
    assert 0.9 * GIBIBYTE < estimated < GIBIBYTE  # made so by the script
    assert 0.1 * GIBIBYTE < peak < GIBIBYTE


@pytest.mark.parametrize("field", [name for name in FIELD_NAMES if name not in MEMORY_FIELDS])
def test_memory_depends_on_the_fields_that_it_names_alone(field: str) -> None:
    sizes = TextSizes(
        train_symbols=90_000,
        validation_symbols=10_000,
        vocabulary_size=40,
        text_bytes=200_000,
    )
    value = getattr(TrialConfig(), field)
    if isinstance(value, str):
        pytest.skip("names have no next value")
    changed = TrialConfig(**{field: value + 0.05 if isinstance(value, float) else value + 1})
    assert changed != TrialConfig()
    assert training_bytes(changed, sizes) == training_bytes(TrialConfig(), sizes)
