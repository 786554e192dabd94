"""Optimisers of torch, without the compiler that they import and that nothing here uses.

torch 2.13's optimisers import torch._dynamo when they are made, and when they take a step: 1.7 s
in each process, 5.4 s beside other work (LOG.md, 2026-11-29).
"""

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.optim import Optimizer

_WRAPPED = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
"""The methods that torch 2.13 has the compiler leave out, which it imports to say so."""


def make_optimizer(
    kind: type[Optimizer], parameters: Iterable[torch.nn.Parameter], **settings: Any
) -> Optimizer:
    """Return an optimiser of some parameters."""
    _leave_out_compiler()
    return kind(parameters, **settings)


@torch.no_grad()
def take_step(optimizer: Optimizer) -> None:
    """Do what `optimizer.step()` does, but for its hooks and its profile."""
    step: Callable[[Optimizer], object] = inspect.unwrap(type(optimizer).step)
    step(optimizer)


@contextmanager
def mean_weights(optimizer: Optimizer) -> Iterator[None]:
    """Have the parameters be the mean of their last values that ASGD keeps.

    Other optimisers' stay as they are. Before the mean begins, it is the last value. Both change
    places where they lie: cuDNN wants the weights of a layer in one piece.
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
    """Mark the wrapped methods as made ready, so that torch calls them as they are."""
    if "torch._dynamo" in sys.modules:
        return  # somebody compiles here, or another library has imported it
    for name in _WRAPPED:
        method = getattr(getattr(Optimizer, name), "__wrapped__", None)
        if method is not None:
            method.__dynamo_disable = method
