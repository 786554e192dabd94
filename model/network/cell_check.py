"""Tries a user's own cell: runs its file, checks the protocol, measures its memory and speed.

Shapes: T time steps, B columns, I inputs, H hidden.
"""

from typing import Any

import torch
from torch import Tensor, nn

from model.errors import ConfigError, first_line
from model.network.base import State
from model.network.cells import MogrifierLayer
from model.network.own_cells import OwnCell, OwnLayer, class_of, execute_and_register
from model.network.precision import step_clock

_SIZES = ((3, 5), (5, 5))
"""Numbers of inputs and units with which a class is tried: those of a first and a later layer."""
_MEASURED_SIZE, _MEASURED_STEPS = 32, 16
_REPEATS = 5


def execute_cell(name: str, source: bytes, *, named: str) -> OwnCell:
    """Execute a source that the user has named, try its class, and register it.

    Args:
        name: As in `OwnCell`.
        source: The contents of the file.
        named: As in `OwnCell`.

    Raises:
        ConfigError: It does not run, has no such class, or the class violates the protocol.
    """
    kind = class_of(name, source)
    with torch.random.fork_rng(devices=[]):
        for sizes in _SIZES:
            _check(name, kind, *sizes)
        try:
            kept_bytes = _kept_bytes(OwnLayer(kind, _MEASURED_SIZE, _MEASURED_SIZE))
            step_ratio = _step_ratio(kind)
        except (Exception, SystemExit) as error:
            raise ConfigError(_untrained(name, error)) from error
    cell = OwnCell(
        name=name, named=named, source=source, kept_bytes=kept_bytes, step_ratio=step_ratio
    )
    execute_and_register([cell])
    return cell


def _check(name: str, kind: type[nn.Module], input_size: int, hidden_size: int) -> None:
    """Check a class against the protocol.

    Raises:
        ConfigError: The rule of the protocol that it violates.
    """
    num_states: Any = getattr(kind, "num_states", 1)
    if not isinstance(num_states, int) or isinstance(num_states, bool) or num_states < 1:
        raise ConfigError(
            f"num_states must be a whole number, at least 1, got {num_states!r} in {name}"
        )
    try:
        with torch.device("meta"):
            kind(input_size, hidden_size)
        cell = kind(input_size, hidden_size).eval()
    except (Exception, SystemExit) as error:
        raise ConfigError(
            f"a cell must be constructible from its numbers of inputs and units, on any device: "
            f"{name}({input_size}, {hidden_size}): {type(error).__name__}: {first_line(error)}"
        ) from error
    _check_parameters(name, cell)
    input_BI = torch.randn(2, input_size)
    state = tuple(torch.randn(2, hidden_size) for _ in range(num_states))
    first_BH = _checked_step(name, cell, input_BI, state)
    if not torch.equal(first_BH, _checked_step(name, cell, input_BI, state)):
        raise ConfigError(
            f"a cell must be deterministic in evaluation: {name} gave two outputs for the same "
            f"input"
        )
    alone_BH = _checked_step(name, cell, input_BI[:1], tuple(part_BH[:1] for part_BH in state))
    if not torch.allclose(first_BH[:1], alone_BH, rtol=1e-3, atol=1e-5):
        raise ConfigError(f"a cell must not mix the rows of its batch: {name}")
    try:
        first_BH.sum().backward()  # type: ignore[no-untyped-call]  # torch 2.13
    except Exception as error:
        raise ConfigError(_untrained(name, error)) from error
    idle = [n for n, parameter in cell.named_parameters() if parameter.grad is None]
    if idle:
        raise ConfigError(f"each parameter of a cell must affect its output: {name} has {idle[0]}")


def _untrained(name: str, error: BaseException) -> str:
    return f"a cell must be trainable: {name}: {type(error).__name__}: {first_line(error)}"


def _check_parameters(name: str, cell: nn.Module) -> None:
    parameters = dict(cell.named_parameters())
    odd = [*cell.state_dict().keys() ^ parameters.keys()]
    odd += [n for n, p in parameters.items() if p.dtype != torch.float32 or not p.requires_grad]
    if odd:
        raise ConfigError(
            f"a cell must hold only trainable float32 parameters, each once: {name} has {min(odd)}"
        )


def _checked_step(name: str, cell: nn.Module, input_BI: Tensor, state: State) -> Tensor:
    """Return the output (B, H) of a step plus 0 times its states, so that gradients reach both.

    Raises:
        ConfigError: The step raises, or returns something that violates the protocol.
    """
    shape = tuple(state[0].shape)
    rule = (
        f"the step of {name} must return its output and a tuple of num_states = {len(state)} "
        f"states, each (rows, units) of float32"
    )
    try:
        found = cell(input_BI, state)
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{rule}: {type(error).__name__}: {first_line(error)}") from error
    is_pair = isinstance(found, tuple) and len(found) == 2 and isinstance(found[1], tuple)
    if not is_pair:
        raise ConfigError(f"{rule}, got {type(found).__name__}")
    tensors = [found[0], *found[1]]
    wanted = f"{shape} of float32"
    told = [
        f"{tuple(each.shape)} of {str(each.dtype).removeprefix('torch.')}"
        if isinstance(each, Tensor)
        else type(each).__name__
        for each in tensors
    ]
    if told != [wanted] * (1 + len(state)):
        raise ConfigError(f"{rule}, here {wanted}, got {' and '.join(told)}")
    output_BH: Tensor = tensors[0]
    for part_BH in tensors[1:]:
        output_BH = output_BH + part_BH * 0
    if not output_BH.requires_grad:
        raise ConfigError(f"each cell must have parameters that its output depends on: {name}")
    return output_BH


def _kept_bytes(layer: nn.Module) -> float:
    """Measure the bytes that a window keeps for its backward pass per unit, without weights."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in layer.parameters()}
    kept: dict[int, int] = {}
    alive = []  # the address of a freed storage may be reused

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        alive.append(tensor)
        return tensor

    num_columns = 4
    values_TBI = torch.randn(_MEASURED_STEPS, num_columns, _MEASURED_SIZE, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs_TBH, _ = layer(values_TBI)
    del outputs_TBH
    return sum(kept.values()) / (_MEASURED_STEPS * num_columns * _MEASURED_SIZE)


def _step_ratio(kind: type[nn.Module]) -> float:
    """Measure a small step relative to a Mogrifier's without rounds; the minimum counts."""
    size, clock = 8, step_clock()
    layers = (OwnLayer(kind, size, size), MogrifierLayer(size, size, rounds=0))
    seconds = [float("inf")] * len(layers)
    values_TBI = torch.randn(_MEASURED_STEPS, 1, size)
    for _ in range(_REPEATS):
        for place, layer in enumerate(layers):
            start = clock()
            outputs_TBH, _ = layer(values_TBI)
            outputs_TBH.sum().backward()
            seconds[place] = min(seconds[place], clock() - start)
    return seconds[0] / seconds[1]
