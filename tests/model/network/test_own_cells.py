"""A cell of the user's own: the page's GRU against ours, its arithmetic, the protocol's rules."""

import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

import own_cell
from model.config import NORMALIZATIONS, TrialConfig
from model.errors import ConfigError
from model.network import own_cells
from model.network.base import Network
from model.network.lstm import build_network
from model.network.own_cells import known_cells
from model.network.stream import StreamNetwork
from model.training.cost import TextSizes, epoch_work, num_parameters
from model.training.memory import training_bytes
from model.training.named_cells import execute_cells
from own_cell import NAME
from stepping_checks import check_picked_and_joined, check_single_steps

CONFIG = TrialConfig(hidden_size=12, num_layers=2, embedding_dim=5)
SIZES = TextSizes(
    train_symbols=100_000, validation_symbols=12_000, vocabulary_size=40, text_bytes=124_000
)


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_cells, "_KNOWN", {})


@pytest.fixture
def own() -> str:
    (name,) = execute_cells([own_cell.write()])
    return name


@pytest.fixture
def inputs_TB() -> Tensor:  # noqa: N802
    return torch.randint(0, 7, (20, 3), generator=torch.Generator().manual_seed(0))


def network(**changes: object) -> StreamNetwork:
    torch.manual_seed(0)
    built = build_network(TrialConfig.from_dict({**CONFIG.to_dict(), **changes}), 7)
    assert isinstance(built, StreamNetwork)
    return built.eval()


def test_cell_of_the_page_has_one_file_of_at_most_forty_lines() -> None:
    assert len(own_cell.code().splitlines()) <= 40


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_single_steps_equal_one_window_and_two(
    normalization: str, own: str, inputs_TB: Tensor
) -> None:
    model = network(cell=own, normalization=normalization)
    check_single_steps(model, inputs_TB)
    with torch.inference_mode():
        whole_TBV, whole_state = model(inputs_TB)
        first_TBV, state = model(inputs_TB[:10])
        second_TBV, last_state = model(inputs_TB[10:], state)
    torch.testing.assert_close(torch.cat([first_TBV, second_TBV]), whole_TBV)
    torch.testing.assert_close(last_state, whole_state)
    assert {part_LBH.shape for part_LBH in state} == {(2, 3, 12)}
    assert not torch.allclose(second_TBV, model(inputs_TB[10:])[0])


def test_picked_and_joined_passages_go_on_from_their_own_states(
    own: str, inputs_TB: Tensor
) -> None:
    check_picked_and_joined(network(cell=own), inputs_TB)


def test_it_is_the_gru(own: str, inputs_TB: Tensor) -> None:
    theirs, ours = network(cell="gru", num_layers=1), network(cell=own, num_layers=1)
    gru = {n.rpartition(".")[2]: p.detach() for n, p in theirs.layers[0].named_parameters()}
    weight_ih, weight_hh = gru["weight_ih_l0"], gru["weight_hh_l0"]
    bias_ih, bias_hh = gru["bias_ih_l0"], gru["bias_hh_l0"]
    weights = {
        "gates.weight": torch.cat([weight_ih[:24], weight_hh[:24]], dim=1),
        "gates.bias": bias_ih[:24] + bias_hh[:24],
        "of_input.weight": weight_ih[24:],
        "of_input.bias": bias_ih[24:],
        "of_state.weight": weight_hh[24:],
        "of_state.bias": bias_hh[24:],
    }
    ours.load_state_dict(
        {
            **{name: value for name, value in theirs.state_dict().items() if "layers" not in name},
            **{f"layers.0.cell.{name}": value for name, value in weights.items()},
        }
    )
    torch.testing.assert_close(ours(inputs_TB)[0], theirs(inputs_TB)[0])


@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("tie_weights", [False, True])
def test_parameters_are_the_networks(
    tie_weights: bool, normalization: str, num_layers: int, own: str
) -> None:
    config = TrialConfig(
        cell=own,
        num_layers=num_layers,
        normalization=normalization,
        tie_weights=tie_weights,
        hidden_size=12,
        embedding_dim=5,
    )
    assert num_parameters(config, 300) == build_network(config, 300).num_parameters()


def test_arithmetic_is_near_that_of_the_gru_of_ours(own: str) -> None:
    config = {"hidden_size": 256, "batch_size": 32}
    ours, theirs = (
        epoch_work(TrialConfig.from_dict({**config, "cell": cell}), SIZES) for cell in (own, "gru")
    )
    assert ours.flops == theirs.flops and ours.layer_steps == theirs.layer_steps
    assert ours.activations > theirs.activations
    # Nine numbers of a step, 36 bytes a unit: counted, so the same on each machine.
    assert known_cells()[0].kept_bytes == 36.0
    needs = [
        training_bytes(TrialConfig(cell=own, hidden_size=size), SIZES) for size in (8, 60, 512)
    ]
    assert needs == sorted(set(needs))


def test_one_that_keeps_more_for_its_gradient_needs_more(own: str) -> None:
    large = {"batch_size": 64, "sequence_length": 200}
    need = training_bytes(TrialConfig.from_dict({"cell": own, **large}), SIZES)
    change = (".tanh()\n", ".tanh().exp().log().exp().log()\n")
    (wasteful,) = execute_cells([own_cell.write(change=change)])
    assert training_bytes(TrialConfig.from_dict({"cell": wasteful, **large}), SIZES) > need


def test_random_draws_of_a_trial_are_not_those_of_a_user(own: str) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    execute_cells([own_cell.write()])
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.slow
def test_workers_know_it_without_its_file(own: str, tmp_path: Path, inputs_TB: Tensor) -> None:
    expected = network(cell=own)(inputs_TB)[0].detach()
    torch.save([network(cell=own).state_dict(), inputs_TB, expected], tmp_path / "tensors")
    Path("my_cells.py").unlink()
    (tmp_path / "elsewhere").mkdir()
    Path("payload").write_bytes(pickle.dumps(known_cells()))
    script = f"""
import pickle, sys, torch
from model.config import TrialConfig
from model.network.lstm import build_network
from model.network.own_cells import execute_and_register
execute_and_register(pickle.load(open({str(tmp_path / "payload")!r}, "rb")))
weights, inputs, expected = torch.load({str(tmp_path / "tensors")!r})
model = build_network(TrialConfig.from_dict({CONFIG.to_dict() | {"cell": own}!r}), 7).eval()
model.load_state_dict(weights)
print(torch.equal(model(inputs)[0], expected))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path / "elsewhere",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "True\n"


def test_unnamed_one_is_not_executed_and_said_in_a_line(own: str) -> None:
    Path("my_cells.py").write_text("open('executed', 'w')\n", encoding="utf-8")
    own_cells._KNOWN.clear()
    rule = "the file of the cell my_cells.py:MyGRU must be named.*--cell my_cells.py:MyGRU"
    with pytest.raises(ConfigError, match=rule):
        build_network(TrialConfig(cell=NAME), 7)
    with pytest.raises(ConfigError, match=rule):
        num_parameters(TrialConfig(cell=NAME), 7)
    assert not Path("executed").exists()


STEP = "return hidden, (hidden,)"
MADE = "        self.of_state ="
RULE = "the step of my_cells.py:MyGRU must return its output and a tuple of num_states = 1 states"


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (("import torch\n", "import torch)\n"), "must run by itself: my_cells.py: SyntaxError"),
        (("import torch\n", "import torch, beside\n"), "ModuleNotFoundError: No module named"),
        (("import torch\n", "raise SystemExit(3)\n"), "must run by itself: my_cells.py: SystemEx"),
        (("class MyGRU", "class Other"), "a cell must be a class of its file.*has no such MyGRU"),
        (("(nn.Module)", ""), "a torch.nn.Module: my_cells.py has no such MyGRU"),
        (("        super().__init__()\n", ""), r"MyGRU\(3, 5\): AttributeError: cannot assign"),
        (("input_size, hidden_size):", "input_size):"), r"MyGRU\(3, 5\): TypeError"),
        (("num_states = 1", "num_states = 0"), "num_states must be a whole number, at least 1"),
        (
            ("num_states = 1", "num_states = 2"),
            "num_states = 2 states.*ValueError: too many values",
        ),
        ((STEP, "return hidden"), f"{RULE}.*, got Tensor"),
        ((STEP, "return hidden, hidden"), f"{RULE}.*, got tuple"),
        ((STEP, "return hidden[:1], (hidden,)"), r"here \(2, 5\) of float32, got \(1, 5\) of fl"),
        ((STEP, "return hidden, (hidden, hidden)"), f"{RULE}.*got .* and .* and"),
        ((STEP, "return hidden, (hidden.double(),)"), f"{RULE}.*of float64"),
        ((STEP, "return hidden, (1,)"), f"{RULE}.*and int"),
        ((STEP, "return hidden.detach(), (hidden.detach(),)"), "must have parameters that its"),
        ((STEP, "return self.of_state(hidden), (inputs[:, :3],)"), f"{RULE}.*here"),
        ((STEP, "raise OSError('gone\\naway')"), f"{RULE}.*: OSError: gone$"),
        (
            (STEP, "return hidden * torch.rand(1), (hidden,)"),
            "must be deterministic in evaluation",
        ),
        ((STEP, "return hidden - hidden.mean(0), (hidden,)"), "must not mix the rows"),
        (
            (STEP, "out = hidden.tanh(); out += 1; return out, (hidden,)"),
            "must be trainable",
        ),
        (
            (STEP, "kept = state[0] ** 2; state[0].mul_(2); return kept * hidden, (hidden,)"),
            "must be deterministic in evaluation|must be trainable",
        ),
        (
            (MADE, f"        self.idle = nn.Linear(1, 1)\n{MADE}"),
            "each parameter of a cell must affect its output: .* has idle",
        ),
        (
            (MADE, f"        self.norm = nn.BatchNorm1d(2)\n{MADE}"),
            "only trainable float32 parameters, each once: .* has norm",
        ),
        (
            (MADE, f"        self.double()\n{MADE}"),
            "only trainable float32 parameters, each once",
        ),
        (
            (MADE, f"        float(self.gates.bias[0])\n{MADE}"),
            r"on any device: my_cells.py:MyGRU\(3, 5\): RuntimeError",
        ),
    ],
)
def test_class_that_breaks_the_protocol_is_refused_in_a_line(
    change: tuple[str, str], rule: str
) -> None:
    named = own_cell.write(change=change)
    with pytest.raises(ConfigError) as caught:
        execute_cells([named])
    assert re.search(rule, str(caught.value)), caught.value
    assert "\n" not in str(caught.value)
    assert not known_cells()


@pytest.mark.parametrize(
    ("named", "rule"),
    [
        ("gur", "a cell must be one of lstm, gru, mogrifier, or FILE.py:CLASS .*got 'gur'"),
        ("my cells.py:MyGRU", "a cell must be one of .*got 'my cells.py:MyGRU'"),
        ("my_cells.py:", "a cell must be one of .*got 'my_cells.py:'"),
        ("my_cells.py:a.b", "a cell must be one of .*"),
        (f"{'m' * 80}.py:A", "a cell must be one of .*at most 80"),
        ("nowhere.py:A", "a cell's file must be readable: nowhere.py: No such file or directory"),
        (".:A", "a cell must be one of .*"),
    ],
)
def test_name_of_no_cell_is_refused_in_a_line(named: str, rule: str) -> None:
    with pytest.raises(ConfigError, match=rule):
        execute_cells([named])


def test_two_files_of_one_name_are_refused_and_the_same_twice_is_one() -> None:
    first = own_cell.write(Path("one"))
    assert execute_cells([first, "lstm", first]) == (NAME, "lstm")
    assert execute_cells([first, own_cell.write(Path("same"))]) == (NAME,)
    second = own_cell.write(Path("two"), change=("num_states = 1", "num_states = 1  # too"))
    with pytest.raises(ConfigError, match="cells of two files must have different names"):
        execute_cells([first, second])


def test_weight_dropout_and_the_window_regime_are_for_our_cells() -> None:
    with pytest.raises(ConfigError, match="weight_dropout must be 0 with your own cell"):
        TrialConfig(cell=NAME, weight_dropout=0.1)
    with pytest.raises(ConfigError, match="cell must be lstm in the window regime, got 'my_cells"):
        TrialConfig(cell=NAME, regime="window")


def test_cell_may_have_several_states(inputs_TB: Tensor) -> None:
    Path("lstm_anew.py").write_text(
        """
import dataclasses
import torch
from torch import nn

@dataclasses.dataclass
class Parts:
    hidden: torch.Tensor
    cell: torch.Tensor

class LSTM(nn.Module):
    num_states = 2

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.lstm = nn.LSTMCell(input_size, hidden_size)

    def forward(self, inputs, state):
        parts = Parts(*self.lstm(inputs, state))
        return parts.hidden, (parts.hidden, parts.cell)
""",
        encoding="utf-8",
    )
    (name,) = execute_cells(["lstm_anew.py:LSTM"])
    model: Network = network(cell=name)
    whole_TBV, state = model(inputs_TB)
    assert len(state) == 2
    with torch.inference_mode():
        _, stepper = model.start_stepper(inputs_TB[:19])
        torch.testing.assert_close(stepper.step(inputs_TB[19]), whole_TBV[19].detach())
