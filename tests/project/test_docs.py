"""The pages of docs/: their links lead somewhere, their commands are run."""

import dataclasses
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

import documents
from model.config import CELLS, OPTIMIZERS, TrialConfig
from model.generation.decoding import SamplingOptions, write_passages
from model.network import own_cells
from model.scoring.objective import PreparedCorpus, prepare_corpus
from model.text.corpus import CORPORA
from model.text.published import PUBLISHED
from model.text.vocabulary import Vocabulary
from model.training.checkpoint import load_checkpoint
from model.training.trainer import Trainer
from ray_nodes import RAY, ray_nodes
from repository import ROOT, SUPPORT
from search_spaces import SPACE_NAMES, load_space
from tune import control, report
from tune.control import _values
from tune.job.options import parse_options, parser
from tune.records.orders import Action
from tune.sampling.samplers import SAMPLERS

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "DESIGN.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *(ROOT / folder / "README.md" for folder in ("benchmarks", "deploy", "results")),
    ROOT / "results" / "reference" / "README.md",
]
TUTORIAL = ROOT / "docs" / "tutorial.md"
SEARCH = ROOT / "docs" / "search.md"
CHECKPOINT = ROOT / "docs" / "checkpoint.md"
STEERING = ROOT / "docs" / "steering.md"
RESULTS = ROOT / "docs" / "results.md"
CORPORA_PAGE = ROOT / "docs" / "corpora.md"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        target, _, anchor = link.partition("#")
        if not target.startswith("http"):
            path = page.parent / target if target else page
            assert path.exists(), link
            assert not anchor or anchor in anchors(path), link


def anchors(page: Path) -> list[str]:
    """Return what links to the headings of a page are called on GitHub."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


def test_index_names_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "README.md" or f"({page.name})" in index, page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_a_page_names_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    pattern = r"(?<![\w/.-])((?:model|search_spaces|tune|tests|benchmarks|deploy|docs)/[\w./-]*\w)"
    for name in re.findall(pattern, text):
        assert (ROOT / name).exists(), name


def test_words_of_the_documentation_are_few() -> None:
    pages = [page for page in PAGES if page.parent.name not in ("deploy", "reference")]
    pages.remove(ROOT / "CONTRIBUTING.md")
    words = {page: len(page.read_text(encoding="utf-8").split()) for page in pages}
    assert words[ROOT / "README.md"] <= 1_200
    assert words[ROOT / "DESIGN.md"] <= 3_300
    assert sum(words.values()) < 16_000


def test_log_is_newest_first_with_a_conclusion_at_each_head() -> None:
    text = (ROOT / "LOG.md").read_text(encoding="utf-8")
    dates = re.findall(r"^## (\S+): ", text, re.MULTILINE)
    assert dates == sorted(dates, reverse=True)
    assert len(re.findall(r"^## .*\n\n\*\*.+\.\*\*$", text, re.MULTILINE)) == len(dates)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"num_layers": 1},
        {"num_layers": 11},
        {"num_layers": 2, "normalization": "layer", "min_char_count": 40},
    ],
    ids=["one layer", "many layers", "a long text's"],
)
def test_script_without_this_project_writes_what_the_network_does(
    changes: dict[str, Any],
    tiny_config: TrialConfig,
    tiny_text: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = dataclasses.replace(tiny_config, epochs=1, hidden_size=8, **changes)
    corpus = prepare_corpus(tiny_text, ["lower"], min_char_count=config.min_char_count)
    trainer = Trainer(config, corpus.streams(config))
    assert trainer.corpus.vocabulary.unit == "char"
    assert isinstance(trainer.corpus.vocabulary, Vocabulary) == (config.min_char_count == 0)
    next(trainer.reports())
    trainer.save(Path("results/mine/checkpoints/01"))
    *_, script = documents.blocks(CHECKPOINT, "python")
    assert len([line for line in script.splitlines() if line]) <= 28
    assert not re.search(r"^(from|import) (model|tune|search_spaces)", script, re.MULTILINE)
    draw = "torch.multinomial(probabilities, 1)"
    assert draw in script
    exec(script.replace(draw, "probabilities.argmax()"), {})
    written = capsys.readouterr().out.removesuffix("\n")
    model, meta = load_checkpoint(Path("results/mine/checkpoints/01"))
    (expected,) = write_passages(
        model,
        meta.vocabulary,
        prime=written[0],
        cleaning="lower",
        num_chars=300,
        options=SamplingOptions(temperature=0.0),
    )
    rare = {} if isinstance(meta.vocabulary, Vocabulary) else meta.vocabulary.rare  # type: ignore[union-attr]
    assert written[1:] == expected.translate(
        dict.fromkeys(map(ord, rare), "\N{REPLACEMENT CHARACTER}")
    )


@pytest.mark.parametrize("cell", ["lstm", "my_cells.py:MyGRU"])
def test_script_with_this_project_reads_as_the_network_does(
    cell: str,
    tiny_config: TrialConfig,
    tiny_corpus: PreparedCorpus,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(own_cells, "_KNOWN", {})
    with_project, naming, _ = documents.blocks(CHECKPOINT, "python")
    (my_cells,) = documents.blocks(ROOT / "docs" / "cells.md", "python")
    Path("my_cells.py").write_text(my_cells, encoding="utf-8")
    exec(naming, {})
    config = dataclasses.replace(
        tiny_config, cell=cell, epochs=1, hidden_size=8, num_layers=2, normalization="layer"
    )
    trainer = Trainer(config, tiny_corpus.encoded["lower"])
    next(trainer.reports())
    trainer.save(Path("results/mine/checkpoints/01"))
    names: dict[str, Any] = {}
    exec(with_project, names)
    (hidden_TBH,), logits_TBV = names["hidden"], names["logits"]
    assert hidden_TBH.shape == (len(names["text"]), 1, 8)
    network = names["loaded"].network
    # Not equal: the last bits of torch's products depend on where its tensors lie.
    torch.testing.assert_close(network.output(hidden_TBH), logits_TBV)
    torch.testing.assert_close(network(names["inputs"])[0], logits_TBV)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_searches_have_options_that_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for line in re.findall(r"^ *python -m tune\.run (.*)$", text, re.MULTILINE):
        parse_options(shlex.split(line, comments=True))  # ends the test where one does not


@pytest.mark.long
def test_commands_of_the_page_on_corpora_run() -> None:
    documents.run(documents.commands(CORPORA_PAGE), SUPPORT / "small_corpora_command.py")
    report = Path("results/tiny/report.md").read_text(encoding="utf-8")
    section = report.partition("## Beside published results")[2].partition("\n## ")[0]
    assert section.count("| this search |") >= 1 and "nanoGPT" in section
    assert "worker-hours" in section and "restored" not in section


def test_space_of_the_tutorial_loads() -> None:
    (code,) = documents.blocks(TUTORIAL, "python")
    Path("small_space.py").write_text(code, encoding="utf-8")
    space = load_space("small_space.py")
    assert space.name == "small" and space.all_starts()
    assert [baseline.name for baseline in space.baselines] == ["what I use now"]


@pytest.mark.long
@pytest.mark.timeout(4_500)
def test_tutorial_runs_from_its_beginning_to_its_end() -> None:
    Path("small_space.py").write_text(documents.blocks(TUTORIAL, "python")[0], encoding="utf-8")
    sentence = "Alice was beginning to get very tired of sitting by her sister on the bank. "
    Path("book.txt").write_text(sentence * 400, encoding="utf-8")
    lines = documents.commands(TUTORIAL)
    others = [line for line in lines if not line.startswith("python ")]
    documents.run(line for line in lines if line.startswith("python "))
    # test_trackers.py starts these two.
    assert [line.split()[0] for line in others] == ["pip", "tensorboard", "optuna-dashboard"]
    assert list(Path(others[1].split()[2]).glob("trial_*/events*"))
    assert Path(others[2].split()[1]).is_file()
    notebook = documents.blocks(TUTORIAL, "pycon")[0].splitlines()
    code = "\n".join(line.removeprefix(">>> ") for line in notebook)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert "at each temperature" in Path("results/small/samples.md").read_text().lower()


def test_space_of_the_page_on_the_search_has_ten_lines_and_loads() -> None:
    (code,) = documents.blocks(SEARCH, "python")
    Path("my_space.py").write_text(code, encoding="utf-8")
    assert load_space("my_space.py").name == "mine"
    assert len([line for line in code.splitlines() if line]) <= 10


def test_spaces_have_the_trials_that_the_page_on_the_search_says() -> None:
    text = SEARCH.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| (\d+) \|", text, re.MULTILINE)
    assert {name for name, _ in rows} == set(SPACE_NAMES)
    for name, trials in rows:
        assert load_space(name).budget.trials == int(trials), name


def test_orders_of_the_page_on_steering_are_all_there_are() -> None:
    Path("config.json").write_text('{"hidden_size": 64}', encoding="utf-8")
    lines = [line.split()[3:] for line in documents.commands(STEERING) if "tune.control" in line]
    assert [order for _, order, *_ in lines] == [*Action]
    for _, order, *value in lines:
        assert len(_values(order, value[0] if value else None)) == len(value)
    # Of a run that is not there each is one line; test_steering.py carries each out.
    assert all(control.main(line) == 2 for line in lines)


def test_command_of_the_page_on_results_says_what_the_page_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = documents.commands(RESULTS)
    *python, module = shlex.split(line)[:3]
    assert (python, module) == (["python", "-m"], "tune.report")
    monkeypatch.chdir(ROOT)
    assert report.main(shlex.split(line)[3:]) == 0
    said = capsys.readouterr().out
    assert "648,480 parameters" in said  # half of the winner's
    assert "It scores 0.0482 bits more than trial 0, which has 1,209,579 parameters." in said


def test_extras_that_pages_name_are_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {
        extra
        for page in PAGES
        for extras in re.findall(r"'\.\[([\w,]+)\]'", page.read_text(encoding="utf-8"))
        for extra in extras.split(",")
    }
    assert {"bench", "cluster", "gpu"} <= named <= set(project["optional-dependencies"])


@pytest.mark.parametrize(
    ("page", "names"),
    [(SEARCH, (*SAMPLERS, *CELLS, *OPTIMIZERS)), (CORPORA_PAGE, PUBLISHED)],
    ids=["search", "corpora"],
)
def test_page_has_each_name(page: Path, names: Iterable[str]) -> None:
    text = page.read_text(encoding="utf-8")
    assert [name for name in names if f"`{name}`" not in text] == []


@pytest.mark.parametrize(
    ("option", "names"), [("space", SPACE_NAMES), ("corpus", CORPORA), ("cell", CELLS)]
)
def test_help_has_each_name(option: str, names: Iterable[str]) -> None:
    (said,) = (action.help for action in parser()._actions if action.dest == option)
    assert said is not None and set(names) <= set(re.findall(r"[\w-]+", said))


def test_programs_of_the_tutorial_are_installed_by_the_line_before_them() -> None:
    (line,) = [each for each in documents.commands(TUTORIAL) if each.startswith("pip ")]
    _, _, _, file, *packages = line.split()
    pinned = (ROOT / file).read_text(encoding="utf-8")
    assert {*packages} >= {"tensorboard", "optuna-dashboard", "mlflow-skinny", "argcomplete"}
    for package in packages:
        assert re.search(rf"^{package}==", pinned, re.MULTILINE), package


@pytest.mark.long
@pytest.mark.timeout(1_500)
def test_commands_of_the_page_on_the_search_run() -> None:
    sentence = "Alice was beginning to get very tired of sitting by her sister on the bank. "
    Path("book.txt").write_text(sentence * 100, encoding="utf-8")
    Path("my_space.py").write_text(documents.blocks(SEARCH, "python")[0], encoding="utf-8")
    Path("mine.json").write_text('{"epochs": 2, "hidden_size": 16}', encoding="utf-8")
    documents.run(documents.commands(SEARCH))


@pytest.mark.long
@pytest.mark.timeout(1_500)
def test_commands_of_the_page_on_clusters_run_and_their_head_asks_for_the_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, start, search, stop = documents.commands(ROOT / "docs" / "clusters.md")
    assert stop == "ray stop"  # it would end every Ray of this machine
    monkeypatch.setenv("HOME", str(tmp_path))  # of one who has never had a token
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    made = [*RAY, *token.removesuffix("> /dev/null").split()[1:]]
    subprocess.run(made, check=True, capture_output=True)
    assert (tmp_path / ".ray" / "auth_token").read_text()
    with ray_nodes(tmp_path) as nodes:
        nodes.add("head", *start.split()[3:], environment={"RAY_AUTH_MODE": None})
        assert "Token authentication is enabled" in (tmp_path / "head.log").read_text()
        documents.run([search.replace("auto", nodes.address)])
