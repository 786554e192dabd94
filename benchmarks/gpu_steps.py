"""Ways to use more of a GPU, measured before they are built: `python -m benchmarks.gpu_steps`.

Never run on one so far. An LSTM of a few hundred units uses little of a large GPU, and its step
consists of many short kernels that the host launches. Three experiments, layers only, no dropout:

- a training step captured as a CUDA graph, which the host launches at once;
- several networks of one shape in one process: weights stacked, products batched, each
  with its own text, loss, clipping and AdamW step;
- one symbol of text with a graph of one step.

`--device cpu` tests this benchmark, without graphs.

Shapes: N networks, T time steps, B columns, V vocabulary, E embedding, H hidden, G = 4 H gates.
"""

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.contenders import STREAM_LENGTH, Shape
from benchmarks.gpu import SHAPES, shape_of
from model.network.lstm import CharLSTM
from model.system.devices import pick_device
from model.training.optimizer import make_optimizer, take_step

VOCABULARY_SIZE = 64
NUM_NETWORKS = (1, 2, 4, 8)
WARM_UP_STEPS = 3
CLIP_NORM = 1.0
Row = tuple[str, int, Callable[[], None]]
"""The name of a step, the number of characters that it processes, and the step."""


class StackedLSTM(nn.Module):
    """Networks of one shape in parallel: each parameter is the stack of theirs."""

    def __init__(self, networks: Sequence[CharLSTM]) -> None:
        super().__init__()
        self.num_layers = len(networks[0].layers)
        states = [dict(network.named_parameters()) for network in networks]
        self.stacked = nn.ParameterDict(
            {
                name.replace(".", "/"): nn.Parameter(torch.stack([s[name].data for s in states]))
                for name in states[0]
            }
        )

    def forward(self, inputs_NTB: Tensor) -> Tensor:
        """Return the logits (N, T, B, V), from a state of zeros."""
        num_networks, num_steps, num_columns = inputs_NTB.shape
        which_N11 = torch.arange(num_networks, device=inputs_NTB.device)[:, None, None]
        values_NTBI = self.stacked["embedding/weight"][which_N11, inputs_NTB]
        for number in range(self.num_layers):
            input_NGI, hidden_NGH, *biases_NG = (
                self.stacked[f"layers/{number}/{name}_l0"]
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            bias_N1G = sum(biases_NG)[:, None]
            products_NPG = torch.baddbmm(bias_N1G, values_NTBI.flatten(1, 2), input_NGI.mT)
            products_NTBG = products_NPG.view(num_networks, num_steps, num_columns, -1)
            hidden_NBH = cell_NBH = values_NTBI.new_zeros(
                num_networks, num_columns, hidden_NGH.shape[2]
            )
            outputs: list[Tensor] = []
            for gates_NBG in products_NTBG.unbind(1):
                gates_NBG = torch.baddbmm(gates_NBG, hidden_NBH, hidden_NGH.mT)
                enter, forget, new, leave = gates_NBG.chunk(4, dim=-1)
                cell_NBH = forget.sigmoid() * cell_NBH + enter.sigmoid() * new.tanh()
                hidden_NBH = leave.sigmoid() * cell_NBH.tanh()
                outputs.append(hidden_NBH)
            values_NTBI = torch.stack(outputs, dim=1)
        logits_NPV = torch.baddbmm(
            self.stacked["output/bias"][:, None],
            values_NTBI.flatten(1, 2),
            self.stacked["output/weight"].mT,
        )
        return logits_NPV.view(num_networks, num_steps, num_columns, -1)


def clip_each(parameters: Sequence[Tensor]) -> None:
    """Clip the gradient of each network by its own norm, as clip_grad_norm_ does for one."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    squares_N = torch.stack([g.flatten(1).square().sum(1) for g in gradients]).sum(0)
    factors_N = (CLIP_NORM / (squares_N.sqrt() + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factors_N.view(-1, *[1] * (gradient.dim() - 1)))


def stacked_step(network: StackedLSTM, symbols_NTB: Tensor) -> Callable[[], None]:
    """Return a function that trains all networks by one step on their symbols (N, T + 1, B)."""
    parameters = list(network.parameters())
    optimizer = make_optimizer(
        torch.optim.AdamW, parameters, fused=True, capturable=symbols_NTB.is_cuda
    )
    inputs_NTB, targets_NTB = symbols_NTB[:, :-1], symbols_NTB[:, 1:]

    def step() -> None:
        optimizer.zero_grad()
        logits_NTBV = network(inputs_NTB)
        losses = functional.cross_entropy(logits_NTBV.flatten(0, 2), targets_NTB.flatten())
        # The sum of the networks' means.
        (losses * len(symbols_NTB)).backward()  # type: ignore[no-untyped-call]  # of torch
        clip_each(parameters)
        take_step(optimizer)

    return step


def own_step(network: CharLSTM, symbols_TB: Tensor) -> Callable[[], None]:
    """Return a function that trains one network by one step, as our trainer does."""
    optimizer = make_optimizer(
        torch.optim.AdamW, network.parameters(), fused=True, capturable=symbols_TB.is_cuda
    )

    def step() -> None:
        optimizer.zero_grad()
        logits_TBV, _ = network(symbols_TB[:-1])
        loss = functional.cross_entropy(logits_TBV.flatten(0, 1), symbols_TB[1:].flatten())
        loss.backward()  # type: ignore[no-untyped-call]  # of torch
        nn.utils.clip_grad_norm_(network.parameters(), CLIP_NORM)
        take_step(optimizer)

    return step


def writing_step(network: CharLSTM, device: torch.device) -> Callable[[], None]:
    """Return a function that writes one more symbol of one passage, greedily."""
    network.eval()
    symbols_TB = torch.zeros(1, 1, dtype=torch.int64, device=device)
    shape = (len(network.layers), 1, network.output.in_features)
    state = tuple(torch.zeros(shape, device=device) for _ in range(2))

    @torch.inference_mode()
    def step() -> None:
        logits_TBV, after = network(symbols_TB, state)
        symbols_TB.copy_(logits_TBV.argmax(-1))
        for part_LBH, after_LBH in zip(state, after, strict=True):
            part_LBH.copy_(after_LBH)

    return step


def graphed(step: Callable[[], None]) -> Callable[[], None]:
    """Return a step as a replayed CUDA graph; what it reads and writes stays in place."""
    graph = torch.cuda.CUDAGraph()
    beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # of torch
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):  # as required by torch's notes on graphs
        for _ in range(WARM_UP_STEPS):
            step()
    torch.cuda.current_stream().wait_stream(beside)
    with torch.cuda.graph(graph):
        step()
    replay: Callable[[], None] = graph.replay
    return replay


def rate(step: Callable[[], None], seconds: float, device: torch.device) -> float:
    """Return the steps per second."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    for _ in range(WARM_UP_STEPS):
        step()
    wait()
    num_steps, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        step()
        num_steps += 1
    wait()
    return num_steps / (time.perf_counter() - start)


def network_of(shape: Shape, device: torch.device) -> CharLSTM:
    """Return an untrained network without dropout, in float32 (TF32 if available)."""
    config = dataclasses.replace(shape.config("stream"), dropout=0.0, input_dropout=0.0)
    return CharLSTM(config, VOCABULARY_SIZE).to(device)


def symbols(num_networks: int, shape: Shape, device: torch.device) -> Tensor:
    """Return different symbols (N, T + 1, B) for each network."""
    size = (num_networks, STREAM_LENGTH + 1, shape.batch_size)
    return torch.randint(VOCABULARY_SIZE, size, device=device)


def steps_of(shape: Shape, num_networks: Sequence[int], device: torch.device) -> Iterator[Row]:
    """Yield the steps to measure for a shape."""
    chars = STREAM_LENGTH * shape.batch_size
    network, of_one = network_of(shape, device), symbols(1, shape, device)[0]
    yield "trained", chars, own_step(network, of_one)
    for num in num_networks:
        stacked = StackedLSTM([network_of(shape, device) for _ in range(num)])
        yield f"{num} stacked", num * chars, stacked_step(stacked, symbols(num, shape, device))
    yield "written", 1, writing_step(network_of(shape, device), device)


def main() -> int:
    """Print one row per shape and step."""
    parser = argparse.ArgumentParser(description="Graphs of a step, and networks in parallel.")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--seconds", type=float, default=3.0, help="per measurement (3)")
    parser.add_argument("--networks", type=int, nargs="+", default=NUM_NETWORKS)
    parser.add_argument("--shapes", nargs="+", help="layers x units x columns, such as 2x512x64")
    options = parser.parse_args()
    device = pick_device(use_gpu=options.device == "cuda")
    if device.type != options.device:
        print("no GPU is visible to torch here: nothing was measured")
        return 2
    print("| shape | step | characters/s | by a graph |\n|---|---|---|---|")
    for name in options.shapes or ["x".join(map(str, each)) for each in SHAPES]:
        for what, chars, step in steps_of(shape_of(name), options.networks, device):
            cells = [f"{chars * rate(step, options.seconds, device):,.0f}", ""]
            if device.type == "cuda":
                cells[1] = f"{chars * rate(graphed(step), options.seconds, device):,.0f}"
            print(f"| {name} | {what} | {' | '.join(cells)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
