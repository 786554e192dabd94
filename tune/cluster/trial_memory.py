"""What memory a trial requests from Ray, and which spaces no node can hold."""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from model.config import TrialConfig
from model.errors import ConfigError
from model.scoring.objective import PreparedCorpus
from model.system.limits import CONTEXT_BYTES
from model.training.cost import TextSizes
from model.training.memory import MEMORY_FIELDS, checkpoint_bytes, training_bytes
from search_spaces import SearchSpace
from search_spaces.narrow import fixed

GIBIBYTE = 1 << 30
_SIZES = ("batch_size", "sequence_length", "embedding_dim", "hidden_size")
"""Axes that make a space smaller; those that cost a network least come first."""
SizesByText = Mapping[tuple[str, str], TextSizes]
"""Cleaning and unit to sizes."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TrialMemory:
    """What the trials of a study need.

    Attributes:
        sizes: The sizes of the space's texts.
        process_bytes: What a trial's process takes before it trains.
        smallest: The configuration of the space that needs least.
        largest: The configuration that needs most.
        one_size: Whether each trial requests what the largest needs. An actor is reused only
            for an equal request, and starting one takes seconds; so trials request their own
            needs only if memory is short.
        limit_bytes: What the largest node has; no trial requests more.
        on_gpu: Whether trials train on a GPU; then only checkpoints pass through the host.
    """

    sizes: SizesByText
    process_bytes: int
    smallest: TrialConfig
    largest: TrialConfig
    one_size: bool = True
    limit_bytes: float = math.inf
    on_gpu: bool = False

    @classmethod
    def of(
        cls,
        space: SearchSpace,
        prepared: PreparedCorpus,
        *,
        process_bytes: int,
        on_gpu: bool = False,
    ) -> "TrialMemory":
        """Find what a space's smallest and largest configurations need."""
        sizes = text_sizes(space, prepared)

        def needed(config: TrialConfig) -> int:
            return training_bytes(config, sizes[text_of(config)])

        candidates = list(space.corners(MEMORY_FIELDS))
        return cls(
            sizes=sizes,
            process_bytes=process_bytes,
            smallest=min(candidates, key=needed),
            largest=max(candidates, key=needed),
            on_gpu=on_gpu,
        )

    @property
    def shared_bytes(self) -> int:
        """The character-level texts: once per node, in Ray's object store, for all trials."""
        return sum(each.text_bytes for (_, unit), each in self.sizes.items() if unit == "char")

    def needed_bytes(self, config: TrialConfig) -> int:
        """Return a trial process's own peak use of host memory."""
        words = sum(each.text_bytes for (_, unit), each in self.sizes.items() if unit != "char")
        sizes = self.sizes[text_of(config)]
        of_training = checkpoint_bytes if self.on_gpu else training_bytes
        return self.process_bytes + words + of_training(config, sizes)

    def asked_bytes(self, config: TrialConfig, excess_bytes: int = 0) -> int:
        """Return a trial's request: GiB in powers of two, so that there are few sizes.

        Args:
            config: The trial's configuration.
            excess_bytes: The most by which a trial has exceeded its estimate.
        """
        needed = self.needed_bytes(self.largest if self.one_size else config) + excess_bytes
        rounded = GIBIBYTE << max(0, -(-needed // GIBIBYTE) - 1).bit_length()
        return int(min(rounded, self.limit_bytes))


def check_gpu_memory(
    space: SearchSpace, memory: TrialMemory, free_bytes: int, part: float
) -> None:
    """Refuse a space whose largest configuration does not fit a trial's share of a GPU.

    Never run on a GPU.

    Args:
        space: The search space.
        memory: What it needs.
        free_bytes: Free on an idle GPU, after a CUDA context.
        part: A trial's share of the GPU, --gpus-per-trial.

    Raises:
        ConfigError: It does not fit.
    """
    text_bytes = max(sizes.text_bytes for sizes in memory.sizes.values())  # each trial's own copy

    def needed(config: TrialConfig) -> int:
        # On a GPU, the LSTM runs in float32 whatever the precision (base.py).
        config = dataclasses.replace(config, precision="float32")
        return training_bytes(config, memory.sizes[text_of(config)]) + text_bytes

    most = max(0, int((free_bytes + CONTEXT_BYTES) * part) - CONTEXT_BYTES)
    check_fits(space, memory, needed, most, f"a trial has {format_bytes(most)} of a GPU")


def check_fits(
    space: SearchSpace,
    memory: TrialMemory,
    needed: Callable[[TrialConfig], int],
    most: float,
    there: str,
) -> None:
    """Refuse a space whose largest configuration needs more than is available.

    Args:
        space: The search space.
        memory: What it needs.
        needed: Returns the bytes that a configuration takes.
        most: Bytes available to it.
        there: Where they are available, in words.

    Raises:
        ConfigError: It does not fit.
    """
    if needed(memory.largest) <= most:
        return
    values: dict[str, Any] = memory.largest.to_dict()
    smaller: dict[str, Any] = memory.smallest.to_dict()
    differing = [axis for axis in MEMORY_FIELDS if values[axis] != smaller[axis]]
    axes = [f"{axis}={values[axis]}" for axis in differing or MEMORY_FIELDS]
    raise ConfigError(
        f"the largest configuration of the space {space.name!r} must fit into memory: "
        f"{' '.join(axes)} needs {format_bytes(needed(memory.largest))}, {there}"
        f"{_way_out(space, lambda config: needed(config) <= most)}"
    )


def _way_out(space: SearchSpace, fits: Callable[[TrialConfig], bool]) -> str:
    """Return which axis, fixed at the base's value, leaves a space that fits; else nothing."""
    for axis in _SIZES:
        rule = f"{axis}={getattr(space.base, axis)}"
        with contextlib.suppress(ConfigError):  # it is no axis, or the only one
            if all(map(fits, fixed(space, rule).corners(MEMORY_FIELDS))):
                return f"; a search with --fix {rule} fits"
    return ""


def format_bytes(num_bytes: float) -> str:
    """Return bytes in words.

    >>> format_bytes(1.5 * 2**30)
    '1.5 GiB'
    """
    return f"{num_bytes / GIBIBYTE:,.1f}".removesuffix(".0") + " GiB"


def text_sizes(space: SearchSpace, prepared: PreparedCorpus) -> SizesByText:
    """Measure the encoded texts of a space.

    Words are measured at the space's smallest min_word_count, which has the most symbols. Others
    may take a third more, where the evaluation of a long passage outweighs training.
    """
    # The last entry of a text wins: the smallest min_word_count.
    configs = sorted(
        space.corners(("cleaning", "unit", "min_word_count")),
        key=lambda config: -config.min_word_count,
    )
    of_text = {text_of(config): config for config in configs}
    return {text: TextSizes.of(prepared.streams(config)) for text, config in of_text.items()}


def text_of(config: TrialConfig) -> tuple[str, str]:
    """Return which of a space's texts a configuration reads."""
    return config.cleaning, config.unit
