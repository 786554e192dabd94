"""The cells that a space searches, as the user names them."""

import json
from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution

import own_cell
from model.errors import ConfigError
from model.network import own_cells
from own_cell import NAME
from search_spaces import SearchSpace, load_space
from search_spaces.cells import own_cells_of, with_cells


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_cells, "_KNOWN", {})


def cells_of(space: SearchSpace) -> list[str]:
    return list(space.values("cell"))


def test_one_is_every_trials_but_the_baselines() -> None:
    for name in ("full", "extended", "research"):
        space = with_cells(load_space(name), [NAME])
        assert space.base.cell == NAME and "cell" not in space.distributions
        assert [space.config(b.params).cell for b in space.baselines] == ["lstm"] * 3
        assert own_cells_of(space) == (NAME,)
        assert all(space.config(start).cell == NAME for start in space.all_starts())
        assert not {"weight_dropout", "mogrifier_rounds"} & space.distributions.keys()
        assert SearchSpace.from_dict(space.to_json()) == space


def test_several_are_an_axis_with_a_start_each() -> None:
    space = with_cells(load_space("full"), ["lstm", NAME, "gru"])
    assert cells_of(space) == ["lstm", NAME, "gru"] and space.base.cell == "lstm"
    assert [start["cell"] for start in space.all_starts()] == ["lstm", NAME, "gru"]
    assert len(space.baselines) == 3
    without_lstm = with_cells(load_space("full"), ["gru", NAME])
    assert without_lstm.base.cell == "gru" and without_lstm.baselines == ()
    assert [start["cell"] for start in without_lstm.all_starts()] == ["gru", NAME]


@pytest.mark.slow
def test_several_are_compared_and_one_is_not() -> None:
    full, research = load_space("full"), load_space("research")
    both = with_cells(full, ["lstm", NAME])
    assert both.groups() == [("lstm",), (NAME,)]
    assert SearchSpace.from_dict(both.to_json()) == both
    # Of each unit too: characters of one cell are not held against words of another.
    units = with_cells(research, ["gru", NAME])
    assert units.budget.compare_within == ("unit", "cell")
    assert units.groups() == [(unit, cell) for cell in ("gru", NAME) for unit in ("char", "word")]
    assert with_cells(units, ["lstm", NAME]).budget.compare_within == ("unit", "cell")
    for space in (full, research):  # its own cells are axes like others
        assert with_cells(space, [NAME]).budget == space.budget
    assert "cell" not in research.budget.compare_within


def test_axes_of_our_cells_are_left_to_them() -> None:
    space = with_cells(load_space("research"), ["lstm", NAME])
    values = space.base.to_dict()
    assert "weight_dropout" in space.point({**values, "cell": "lstm"})
    assert "weight_dropout" not in space.point({**values, "cell": NAME})
    assert "mogrifier_rounds" not in space.distributions
    assert len(space.baselines) == 3


def test_space_without_axes_has_no_cells_to_replace() -> None:
    with pytest.raises(ConfigError, match="--cell needs a space with axes, got 'documented'"):
        with_cells(load_space("documented"), ["gru"])


SPACE = f"""
from optuna.distributions import CategoricalDistribution
from model.config import TrialConfig
from search_spaces import Budget, SearchSpace

SPACE = SearchSpace(
    name="own", description="cells", base=TrialConfig(), budget=Budget(trials=2),
    distributions={{"cell": CategoricalDistribution(("lstm", "{NAME}"))}},
)
"""


def test_space_file_names_a_file_beside_it() -> None:
    folder = Path("beside")
    own_cell.write(folder)
    (folder / "space.py").write_text(SPACE, encoding="utf-8")
    space = load_space("beside/space.py")
    assert space.distributions["cell"] == CategoricalDistribution(("lstm", NAME))
    assert [cell.named for cell in own_cells.known_cells()] == [f"beside/{NAME}"]


def test_space_file_without_the_file_is_a_line() -> None:
    Path("space.py").write_text(SPACE, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"a cell's file must be readable: my_cells\.py"):
        load_space("space.py")


def test_values_of_a_space_execute_nothing(tmp_path: Path) -> None:
    """A .json may be anybody's."""
    values = with_cells(load_space("quick"), ["lstm", NAME]).to_json()
    (tmp_path / "space.json").write_text(json.dumps(values), encoding="utf-8")
    (tmp_path / "my_cells.py").write_text("open('executed', 'w')\n", encoding="utf-8")
    assert own_cells_of(load_space(str(tmp_path / "space.json"))) == (NAME,)
    assert not Path("executed").exists() and not own_cells.known_cells()
