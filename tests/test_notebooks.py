"""Every notebook runs from top to bottom, and is the same as the text it is paired with."""

import json
import re
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


def test_there_is_a_notebook():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_cells_are_those_of_the_paired_text(path):
    jupytext = pytest.importorskip("jupytext")
    text = jupytext.read(path.with_suffix(".py"))
    assert [cell.source for cell in jupytext.read(path).cells] == [cell.source for cell in text.cells]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_fit_to_be_read(path):
    outputs = [output for cell in jupytext_cells(path) for output in cell.get("outputs", [])]
    assert outputs, "it was not run"
    assert not [output for output in outputs if output.get("name") == "stderr" or output["output_type"] == "error"]
    assert not re.search(r"(?:/tmp|/home|/root|/Users)/", path.read_text(encoding="utf-8"))


def jupytext_cells(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs(path, tmp_path, monkeypatch):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    monkeypatch.setenv("WOTD_CACHE", str(tmp_path / "cache"))
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any(output.get("data", {}).get("image/png") for output in outputs), "it shows no plot"
