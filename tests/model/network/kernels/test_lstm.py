"""The fused LSTM layer beside torch's: outputs, gradients, networks, and bounds of its arrays."""

import copy
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from model.config import TrialConfig
from model.network.kernels.library import FLAGS, FLAGS_OF_DTYPE, SOURCE, load_kernel
from model.network.kernels.lstm import LSTMLayer
from model.network.lstm import CharLSTM
from model.network.precision import FUSED_BFLOAT16, FUSED_FLOAT32, Arithmetic, autocast

CPU = torch.device("cpu")


@pytest.fixture(params=[FUSED_FLOAT32, FUSED_BFLOAT16], ids=str)
def fused(request: pytest.FixtureRequest) -> Arithmetic:
    """Return each arithmetic of the kernel that this machine has."""
    arithmetic: Arithmetic = request.param
    if not arithmetic.is_available:
        pytest.skip("no AVX512 or no C++ compiler here")
    return arithmetic


def rounding(arithmetic: Arithmetic) -> float:
    """Return the relative error that rounding may bring to what is summed over many steps."""
    return 0.012 if arithmetic.precision == "bfloat16" else 3e-6


def relative_error(ours: Tensor, exact: Tensor) -> float:
    """Return the length of the difference in that of the exact value."""
    return ((ours.float() - exact).norm() / exact.norm()).item()


def results(layer: nn.LSTM, given: list[Tensor], weights: list[Tensor]) -> dict[str, Tensor]:
    """Return what a layer gives, and every gradient of a weighted sum of it."""
    layer.zero_grad()
    values, hidden, cell = (tensor.clone().requires_grad_() for tensor in given)
    outputs, (last_hidden, last_cell) = layer(values, (hidden, cell))
    parts = {"outputs": outputs, "hidden": last_hidden, "cell": last_cell}
    total = sum(
        (part.float() * weight).sum() for part, weight in zip(parts.values(), weights, strict=True)
    )
    assert isinstance(total, Tensor)
    total.backward()  # type: ignore[no-untyped-call]  # torch 2.13
    gradients = {"values": values.grad, "hidden": hidden.grad, "cell": cell.grad}
    gradients |= {name: parameter.grad for name, parameter in layer.named_parameters()}
    found = {name: part.detach() for name, part in parts.items()}
    for name, gradient in gradients.items():
        assert gradient is not None
        found[f"gradient of {name}"] = gradient.clone()
    return found


@pytest.mark.parametrize(
    ("num_steps", "num_columns", "num_inputs", "hidden_size"),
    [
        (1, 1, 3, 5),
        (1, 5, 3, 16),
        (7, 2, 20, 33),
        (50, 16, 64, 192),
        (20, 7, 64, 100),
        (9, 128, 12, 47),
        (33, 6, 70, 64),
        (16, 11, 250, 250),
    ],
)
def test_layer_is_torchs_within_rounding(
    num_steps: int, num_columns: int, num_inputs: int, hidden_size: int, fused: Arithmetic
) -> None:
    torch.manual_seed(0)
    layer = LSTMLayer(num_inputs, hidden_size)
    state_shape = (1, num_columns, hidden_size)
    given = [
        torch.randn(num_steps, num_columns, num_inputs),
        torch.randn(state_shape) / 2,
        torch.randn(state_shape) / 2,
    ]
    weights = [torch.randn(num_steps, num_columns, hidden_size)]
    weights += [torch.randn(state_shape), torch.randn(state_shape)]
    exact = results(layer, given, weights)
    layer.fused_dtype = fused.dtype
    with autocast(fused.precision, CPU):
        ours = results(layer, given, weights)
    assert ours["outputs"].dtype == fused.dtype
    errors = {name: relative_error(ours[name], exact[name]) for name in exact}
    assert max(errors.values()) < rounding(fused), errors
    assert max(errors.values()) > 0  # the kernel did it, not torch


def test_networks_of_two_layers_have_the_same_masks_and_gradients(fused: Arithmetic) -> None:
    config = TrialConfig(
        hidden_size=40, num_layers=2, normalization="layer", dropout=0.3, input_dropout=0.2
    )
    torch.manual_seed(1)
    exact = CharLSTM(config, 30)
    ours = copy.deepcopy(exact)
    ours.use_kernel(fused.kernel, fused.precision)
    symbols = torch.randint(30, (25, 8))
    gradients = []
    for network, precision in ((exact, "float32"), (ours, fused.precision)):
        network.dropout.seed(3)
        state = None
        for _ in range(2):  # the state is carried from window to window
            with autocast(precision, CPU):
                logits, state = network(symbols, state)
            state = tuple(part.detach() for part in state)
        logits.float().logsumexp(-1).sum().backward()  # type: ignore[no-untyped-call]
        gradients.append({name: p.grad for name, p in network.named_parameters()})
    for name, gradient in gradients[0].items():
        assert gradient is not None
        assert gradients[1][name] is not None
        assert relative_error(gradients[1][name], gradient) < 2 * rounding(fused), name


def test_dropped_and_tied_weights_are_the_kernels_too(fused: Arithmetic) -> None:
    config = TrialConfig(hidden_size=40, weight_dropout=0.4, tie_weights=True, dropout=0.0)
    torch.manual_seed(1)
    network = CharLSTM(config, 30)
    symbols = torch.randint(30, (25, 8))
    gradients = []
    for kernel_name in ("torch", "fused"):
        network.use_kernel(kernel_name, fused.precision)
        network.zero_grad()
        network.dropout.seed(3)
        with autocast(fused.precision, CPU):
            logits, _ = network(symbols)
        logits.float().logsumexp(-1).sum().backward()  # type: ignore[no-untyped-call]
        gradients.append([p.grad.clone() for p in network.parameters() if p.grad is not None])
    torchs, ours = gradients
    assert len(torchs) == len(ours) == len(list(network.parameters()))
    dropped = dict(network.named_parameters())["layers.0.weight_hh_l0"].grad
    assert dropped is not None
    assert 0.3 < (dropped == 0).float().mean() < 0.5  # a dropped weight learns nothing
    for gradient, other in zip(ours, torchs, strict=True):
        assert relative_error(gradient, other.float()) < 2 * rounding(fused)


def test_in_another_precision_it_is_torchs_own(fused: Arithmetic) -> None:
    torch.manual_seed(0)
    layer = LSTMLayer(5, 9)
    values = torch.randn(4, 3, 5)
    for precision in {"float32", "bfloat16"} - {fused.precision}:
        with autocast(precision, CPU):
            layer.fused_dtype = None
            outputs, _ = layer(values)
            layer.fused_dtype = fused.dtype
            assert torch.equal(layer(values)[0], outputs)


def test_no_state_is_a_state_of_zeros_and_steps_are_a_window(fused: Arithmetic) -> None:
    torch.manual_seed(0)
    layer = LSTMLayer(12, 37)
    layer.fused_dtype = fused.dtype
    values = torch.randn(6, 3, 12)
    with torch.inference_mode(), autocast(fused.precision, CPU):
        whole, _ = layer(values)
        state = (torch.zeros(1, 3, 37), torch.zeros(1, 3, 37))
        for step, output in zip(values, whole, strict=True):
            stepped, state = layer(step[None], state)
            assert torch.equal(stepped[0], output)


def test_what_is_no_number_stays_none(fused: Arithmetic) -> None:
    """A training that diverged must show it."""
    layer = LSTMLayer(3, 20)
    layer.fused_dtype = fused.dtype
    values = torch.zeros(5, 2, 3)
    values[2, 1, 0] = float("nan")
    with autocast(fused.precision, CPU):
        outputs, _ = layer(values)
        large, _ = layer(torch.full((2, 1, 3), 1e30))
    assert outputs[:, 0].isfinite().all()
    assert outputs[2:, 1].isnan().all()
    assert large.isfinite().all()  # the gates are at their ends


DRIVER = """
#include "{source}"
#include <cstdio>
#include <random>
#include <vector>

int main() {{
  std::mt19937 random(7);
  std::uniform_real_distribution<float> uniform(-1, 1);
  const auto draw = [&](std::size_t most) {{ return 1 + random() % most; }};
  for (int round = 0; round < 60; ++round) {{
    const std::size_t steps = draw(5), rows = draw(14), hidden = draw(140);
    const std::size_t size = (hidden + 15) / 16 * 16, state = rows * size;
    // std::vector takes memory of the exact size, and the sanitizer has walls at both its ends.
    std::vector<float> weights(4 * hidden * hidden), bias(4 * size);
    std::vector<float> cells((steps + 1) * state), cell_gradients(state);
    for (float& weight : weights) weight = uniform(random);
    std::vector<Number> forward_pack(4 * size * size), backward_pack(4 * size * size);
    std::vector<Number> gates(steps * 4 * state), hiddens((steps + 1) * state);
    std::vector<Number> outputs(steps * state), gradients(steps * 4 * state);
    for (std::size_t place = 0; place < outputs.size(); ++place)
      if (place % size < hidden) outputs[place] = rounded(uniform(random));
    for (std::size_t place = 0; place < gates.size(); ++place)
      if (place % size < hidden) gates[place] = rounded(uniform(random));
    lstm_pack(hidden, size, weights.data(), forward_pack.data(), backward_pack.data());
    lstm_forward(steps, rows, size, forward_pack.data(), bias.data(), gates.data(),
                 hiddens.data(), cells.data());
    lstm_backward(steps, rows, size, backward_pack.data(), outputs.data(), gates.data(),
                  cells.data(), cell_gradients.data(), gradients.data());
    const std::size_t layers = draw(3), symbols = draw(150), columns = (symbols + 63) / 64 * 64;
    std::vector<float> norm(size), logits(rows * symbols), output_bias(columns);
    std::vector<float> carried_cells(layers * state);
    std::vector<Number> table(symbols * 4 * size), output(columns * size);
    std::vector<Number> carried(layers * state), after(layers * state);
    for (std::size_t unit = 0; unit < hidden; ++unit) norm[unit] = 1;
    std::vector<Layer> parts;
    for (std::size_t layer = 0; layer < layers; ++layer)
      parts.push_back({{layer ? forward_pack.data() : nullptr, forward_pack.data(), bias.data(),
                       round % 2 ? norm.data() : nullptr, norm.data()}});
    const Network network{{Index(layers), Index(hidden), Index(size), Index(symbols),
                          parts.data(), table.data(), output.data(),
                          output_bias.data()}};
    std::vector<Index> drawn(rows, symbols - 1);
    if (!lstm_next(&network, rows, drawn.data(), carried.data(), after.data(),
                   carried_cells.data(), logits.data()))
      return 2;
    for (const Index none : {{Index(-1), Index(symbols)}}) {{
      drawn.back() = none;
      if (lstm_next(&network, rows, drawn.data(), carried.data(), after.data(),
                    carried_cells.data(), logits.data()))
        return 3;
    }}
    for (std::size_t place = 0; place < gradients.size(); ++place)
      if (place % size >= hidden && gradients[place] != rounded(0) &&
          gradients[place] != rounded(-0.0f))
        return 1;
  }}
  std::puts("60 shapes");
}}
"""


@pytest.mark.slow
def test_no_byte_outside_its_arrays_is_read_or_written(fused: Arithmetic, tmp_path: Path) -> None:
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no compiler with AddressSanitizer")
    (tmp_path / "driver.cpp").write_text(DRIVER.format(source=SOURCE), "utf-8")
    all_flags = (*FLAGS, *FLAGS_OF_DTYPE[fused.dtype])
    flags = [flag for flag in all_flags if flag.startswith(("-std", "-m", "-D"))]
    sanitizers = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    program = str(tmp_path / "driver")
    built = subprocess.run(
        [compiler, *flags, *sanitizers, str(tmp_path / "driver.cpp"), "-o", program],
        capture_output=True,
        text=True,
    )
    if "cannot find" in built.stderr:
        pytest.skip(f"no AddressSanitizer here: {built.stderr.splitlines()[0]}")
    assert built.returncode == 0, built.stderr
    ran = subprocess.run([program], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "60 shapes\n"), ran.stderr[-3_000:]


def test_kernel_is_the_same_one_for_the_whole_process() -> None:
    for dtype in (torch.float32, torch.bfloat16):
        assert load_kernel(dtype) is load_kernel(dtype)
