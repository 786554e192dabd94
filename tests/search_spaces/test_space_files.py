"""A user's space file, and what it imports from its folder."""

import sys
from pathlib import Path

import pytest

from model.errors import ConfigError
from search_spaces import load_space

SPACE = """
{imports}
from optuna.distributions import FloatDistribution
from model.config import TrialConfig
from search_spaces import Budget, SearchSpace

SPACE = SearchSpace(
    name="mine", description="with a neighbour", base=TrialConfig(epochs={epochs}),
    distributions={{"dropout": FloatDistribution(0.0, 0.5)}},
    budget=Budget(trials=4, grace_period_epochs=1),
)
"""


def write(imports: str, epochs: str) -> str:
    Path("spaces").mkdir()
    path = Path("spaces/mine.py")
    path.write_text(SPACE.format(imports=imports, epochs=epochs), encoding="utf-8")
    return str(path)


def test_it_may_import_what_lies_beside_it() -> None:
    path = write("import epochs_of_mine\nfrom of_mine.more import ONE", "epochs_of_mine.N + ONE")
    Path("spaces/epochs_of_mine.py").write_text("N = 6\n", encoding="utf-8")
    Path("spaces/of_mine").mkdir()
    Path("spaces/of_mine/more.py").write_text("ONE = 1\n", encoding="utf-8")
    before = list(sys.path)
    assert load_space(path).base.epochs == 7
    assert sys.path == before


def test_neighbour_by_the_name_of_ours_is_not_taken_for_ours() -> None:
    path = write("", "7")
    for name in ("model.py", "search_spaces.py"):
        Path("spaces", name).write_text("raise RuntimeError('another')\n", encoding="utf-8")
    assert load_space(path).base.epochs == 7


@pytest.mark.parametrize(
    ("imports", "rule"),
    [
        ("import nowhere_beside_it", "ModuleNotFoundError: No module named 'nowhere_beside_it'"),
        ("import sys; sys.path.clear(); 1 / 0", "ZeroDivisionError"),
    ],
)
def test_mistake_leaves_the_path_of_imports_and_is_told(
    imports: str, rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.path", list(sys.path))
    with pytest.raises(ConfigError, match=rule):
        load_space(write(imports, "7"))
    assert str(Path("spaces").absolute()) not in sys.path
