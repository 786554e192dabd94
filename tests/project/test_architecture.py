"""The house: which room may import which, and where torch, Ray, Optuna and pandas may be."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from repository import ROOT

PACKAGES = {"model": {"model"}, "search_spaces": {"model", "search_spaces"}}
PACKAGES["tune"] = {*PACKAGES["search_spaces"], "tune"}
"""The project's packages that each package may import."""

ALL = {
    "cluster",
    "monitoring",
    "planning",
    "records",
    "reporting",
    "sampling",
    "storage",
    "trials",
}
ROOMS: dict[str, dict[str, set[str]]] = {
    "model": {
        "system": set(),
        "text": {"system"},
        "network": {"system"},
        "scoring": {"network", "system", "text"},
        "training": {"network", "scoring", "system", "text"},
        "generation": {"network", "scoring", "system", "text"},
    },
    "tune": {
        "records": set(),
        "cluster": set(),
        "storage": {"records"},
        "sampling": {"records"},
        "reporting": {"records"},
        "planning": {"cluster", "records"},
        "monitoring": {"records", "storage"},
        "trials": {"cluster", "records", "storage"},
        "job": ALL,
    },
}
"""The rooms of a package that each of its rooms may import beside itself."""

PUBLIC = {"config", "errors"}
"""Files at the top of model/ that every room may import; the others are commands."""

WALLS = {
    "torch": {
        *("model.network", "model.scoring", "model.training", "model.generation"),
        "model.system.devices",
    },
    "ray": {"tune.cluster", "tune.trials", "tune.sampling", "tune.job"},
    "optuna": {"search_spaces", "tune.sampling", "tune.reporting"},
    "pandas": {"tune.records", "tune.reporting"},
}
"""Where else than in a command a third party may be imported."""

FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
FEWEST_FILES = 100
"""A walk that sees fewer checks nothing."""
MOST_LINES = 350


def module_of(path: Path) -> str:
    """Return a file's dotted name."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in FILES}


def source_of(module: str) -> str:
    """Return a module's text."""
    return MODULES[module].read_text(encoding="utf-8")


def imported(path: Path) -> set[str]:
    """Return the dotted names that a file imports; of ours, those of modules."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path}: relative import"
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & set(MODULES)
            names |= inner or {node.module}
    return names


def room_of(module: str) -> tuple[str, str]:
    """Return a module's package, and its room or its name at the top of the package."""
    package, _, rest = module.partition(".")
    return package, rest.partition(".")[0]


@pytest.mark.parametrize("module", MODULES)
def test_imports_keep_to_the_rooms(module: str) -> None:
    package, room = room_of(module)
    for other in imported(MODULES[module]):
        top, other_room = room_of(other)
        assert top != "tests", f"{module} imports {other}"
        is_command = room not in ROOMS.get(package, {room: set()})
        if top in WALLS and not is_command:
            inside = any(f"{module}.".startswith(f"{wall}.") for wall in WALLS[top])
            assert inside, f"{module} imports {other}"
        if top not in PACKAGES:
            continue
        assert top in PACKAGES[package], f"{module} imports {other}"
        if top == package and room in ROOMS.get(package, {}):
            allowed = {room, *ROOMS[package][room], *PUBLIC}
            assert other_room in allowed, f"{module} imports {other}"


@pytest.mark.slow
def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {
        module: {other for other in imported(path) if other in MODULES and other != module}
        for module, path in MODULES.items()
    }
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join([*trail, module])
        if module not in done:
            for target in graph[module]:
                visit(target, (*trail, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_the_tree_is_the_table() -> None:
    assert len(FILES) >= FEWEST_FILES
    for package, rooms in ROOMS.items():
        folders = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
        assert folders == set(rooms)


def test_a_room_says_what_it_is() -> None:
    for package, rooms in ROOMS.items():
        for room, allowed in rooms.items():
            path = ROOT / package / room / "__init__.py"
            doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            names = {0: "no other room", len(ALL): "every other room"}.get(len(allowed))
            assert f"May import: {names or ', '.join(sorted(allowed))}." in doc, path


def test_design_shows_the_same_table() -> None:
    text = (ROOT / "DESIGN.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (model|tune)/(\w+) \| [^|]+ \| ([^|]+) \|$", text, re.MULTILINE)
    stated: dict[str, dict[str, set[str]]] = {package: {} for package in ROOMS}
    for package, room, others in rows:
        names = {"none": set(), "all": set(ROOMS[package]) - {room}}
        stated[package][room] = names.get(others, set(others.split(", ")))
    assert stated == ROOMS


def test_run_holds_nothing_but_main() -> None:
    tree = ast.parse((ROOT / "tune" / "run.py").read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.ClassDef)
    defined = [node.name for node in tree.body if isinstance(node, kinds)]
    assert defined == ["main"]


def test_ray_tune_goes_by_its_full_name() -> None:
    for path in FILES:
        assert "from ray import tune" not in path.read_text(encoding="utf-8"), path


@pytest.mark.parametrize("module", MODULES)
def test_files_are_short(module: str) -> None:
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_results_holds_no_python() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "results"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not [name for name in tracked.stdout.split() if name.endswith(".py")]


def test_packages_are_ours() -> None:
    code = "import model, search_spaces, tune; print(model.__file__, tune.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert all(Path(name).is_relative_to(ROOT) for name in done.stdout.split())


HEAVY = "{'torch', 'ray', 'optuna', 'pandas', 'rich', 'numpy', 'scipy', 'pyarrow', 'jinja2'}"


def heavy_imports(code: str) -> list[str]:
    """Return which heavy packages a program imports."""
    told = f"{code}\nimport sys; print(*({HEAVY} & set(sys.modules)), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", told], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stderr.split()


@pytest.mark.parametrize(
    "module", ["tune.job.options", "model.config", "tune.report", "tune.samples"]
)
def test_command_line_modules_are_light(module: str) -> None:
    assert heavy_imports(f"import {module}") == []


@pytest.mark.slow
def test_search_imports_no_scipy_before_its_report() -> None:
    assert "scipy" not in heavy_imports("import tune.job.job")


@pytest.mark.slow
def test_this_machine_is_looked_at_without_torch() -> None:
    code = """
import model.system.limits
model.system.limits.has_gpu_driver = lambda: False
from tune.cluster.resources import local_nodes
assert local_nodes()[0].num_gpus == 0
"""
    assert "torch" not in heavy_imports(code)


COMMANDS = [
    module for module in MODULES if module.count(".") == 1 and "def main(" in source_of(module)
]


def test_commands_are_all_there() -> None:
    names = ("console", "control", "report", "run", "samples", "status", "wait_for_nodes")
    tune = {f"tune.{name}" for name in names}
    assert set(COMMANDS) == {"model.generate", "model.score", "model.train", *tune}


@pytest.mark.parametrize("module", COMMANDS)
def test_help_of_a_command_is_light(module: str) -> None:
    help = f"import contextlib, {module}\nwith contextlib.suppress(SystemExit):\n"
    assert heavy_imports(f"{help}    {module}.main(['--help'])") == []
