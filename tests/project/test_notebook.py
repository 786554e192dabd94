"""docs/notebook.ipynb: its cells are run as a notebook runs them."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from repository import ROOT

NOTEBOOK = ROOT / "docs" / "notebook.ipynb"


def test_notebook_is_kept_without_what_its_cells_printed() -> None:
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    assert len(cells) == 10
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


@pytest.mark.long
def test_cells_of_the_notebook(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=None, kernel_name="python3").execute(cwd=str(tmp_path))
    bar, _, trials, epochs, report, text, own = (
        "".join(
            output.get("text", "") + output.get("data", {}).get("text/html", "")
            for output in cell.outputs
        )
        for cell in notebook.cells
        if cell.cell_type == "code"
    )
    assert bar.startswith("<progress value=")
    assert "val_bits_per_char" in trials and "<table" in epochs
    assert "<iframe srcdoc=" in report
    assert text.lower().startswith("the ") and len(text) > 300
    assert "<progress" in own and own.count("COMPLETE") == 2
