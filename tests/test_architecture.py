"""The pipeline's layers: who may import whom, and what each file may hold."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("model", "search_spaces", "tune")
MAY_IMPORT = {
    "model": {"model"},
    "search_spaces": {"model", "search_spaces"},
    "tune": {"model", "search_spaces", "tune"},
}
RAY_FILES = {
    *(
        "cluster",
        "experiment",
        "finalists",
        "finalist_scores",
        "recorder",
        "sampling",
        "scheduling",
    ),
    *("search", "stopping", "trainable", "concurrency", "node_storage", "wait_for_nodes"),
    *("lost_workers", "node_precision", "ray_watch", "trial_timeout"),
}
ONLY_IN = {
    "torch": lambda package, name: package == "model",
    "ray": lambda package, name: package == "tune" and name in RAY_FILES,
    "optuna": lambda package, name: (
        package == "search_spaces"
        or (
            package == "tune"
            and name
            in {
                *("axis_pictures", "importance", "optuna_study", "parallel_picture"),
                *(
                    "near_sampler",
                    "numbered_qmc",
                    "samplers",
                    "sampling",
                    "search",
                    "study_journal",
                    "thinned_study",
                ),
            }
        )
    ),
    "pandas": lambda package, name: (
        (package, name)
        in {
            ("tune", "tables"),
            ("tune", "loaded_run"),
            ("tune", "comparison"),
            ("tune", "page"),
            ("tune", "page_words"),
            ("tune", "pictures"),
            ("tune", "search_pictures"),
            ("tune", "score_picture"),
            ("tune", "axis_pictures"),
            ("tune", "parallel_picture"),
            ("tune", "timeline"),
            ("tune", "report_text"),
            ("tune", "report_sections"),
            ("tune", "importance"),
            ("tune", "finish"),
            ("tune", "confirmation"),
            ("tune", "finalist_records"),
            ("tune", "markdown"),
            ("tune", "asha_cost"),
            ("tune", "noise"),
            ("tune", "quality_records"),
            ("tune", "quality_text"),
        }
    ),
}
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).glob("*.py"))
MAX_LINES = 260


def imported(path: Path) -> set[str]:
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            modules.add(node.module or "")
    return modules


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_imports_go_one_way(path: Path) -> None:
    package = path.parent.name
    for module in imported(path):
        top = module.partition(".")[0]
        if top in PACKAGES:
            assert top in MAY_IMPORT[package], f"{path} imports {module}"
        if top in ONLY_IN:
            assert ONLY_IN[top](package, path.stem), f"{path} imports {module}"
        assert top != "tests"


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {
        f"{path.parent.name}.{path.stem}": {
            module for module in imported(path) if module.partition(".")[0] in PACKAGES
        }
        for path in FILES
    }

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join([*trail, module])
        for target in graph.get(module, ()):
            visit(target, (*trail, module))

    for module in graph:
        visit(module, ())


def test_run_holds_nothing_but_main() -> None:
    tree = ast.parse((ROOT / "tune" / "run.py").read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.ClassDef)
    defined = [node.name for node in tree.body if isinstance(node, kinds)]
    assert defined == ["main"]


def test_ray_tune_goes_by_its_full_name() -> None:
    for path in FILES:
        assert "from ray import tune" not in path.read_text(encoding="utf-8"), path


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def test_results_holds_no_python() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "results"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not [name for name in tracked.stdout.split() if name.endswith(".py")]


def test_packages_are_declared_and_ours() -> None:
    code = "import model, search_spaces, tune; print(model.__file__, tune.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert all(Path(name).is_relative_to(ROOT) for name in done.stdout.split())


@pytest.mark.parametrize("module", ["tune.options", "model.config", "tune.report", "tune.samples"])
def test_command_line_modules_are_light(module: str) -> None:
    heavy = "{'torch', 'ray', 'optuna', 'pandas', 'rich', 'numpy'}"
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
