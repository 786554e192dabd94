"""torch's optimisers without the compiler, which they import and which is not used here.

torch 2.13's optimisers import torch._dynamo when they are created and when they take a step: 1.7 s
in each process, 5.4 s if other processes are busy (LOG.md, 2026-11-29).
"""

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.optim import Optimizer

_WRAPPED = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
"""The methods that torch 2.13 excludes from compilation, importing the compiler to do so."""


def make_optimizer(
    kind: type[Optimizer], parameters: Iterable[torch.nn.Parameter], **settings: Any
) -> Optimizer:
    """Return an optimiser for some parameters."""
    _leave_out_compiler()
    return kind(parameters, **settings)


@torch.no_grad()
def take_step(optimizer: Optimizer) -> None:
    """Do what `optimizer.step()` does, without its hooks and its profiling."""
    step: Callable[[Optimizer], object] = inspect.unwrap(type(optimizer).step)
    step(optimizer)


@contextmanager
def mean_weights(optimizer: Optimizer) -> Iterator[None]:
    """Replace the parameters by the mean of their last values, which ASGD keeps.

    Other optimisers' parameters do not change. Before averaging starts, the mean is the last
    value. They are swapped in place: cuDNN needs a layer's weights to be contiguous.
    """
    means = [
        (parameter, kept["ax"]) for parameter, kept in optimizer.state.items() if "ax" in kept
    ]

    @torch.no_grad()
    def exchange() -> None:
        for parameter, mean in means:
            value = parameter.clone()
            parameter.copy_(mean)
            mean.copy_(value)

    exchange()
    try:
        yield
    finally:
        exchange()


def _leave_out_compiler() -> None:
    """Mark the wrapped methods as processed, so that torch calls them directly."""
    if "torch._dynamo" in sys.modules:
        return  # a caller compiles, or another library has imported it
    for name in _WRAPPED:
        method = getattr(getattr(Optimizer, name), "__wrapped__", None)
        if method is not None:
            method.__dynamo_disable = method
