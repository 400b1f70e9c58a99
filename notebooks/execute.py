"""Runs notebooks from their text and keeps what they show: python notebooks/execute.py [NAME …]; all without a name."""

import base64
import io
import os
import sys
import tempfile
from pathlib import Path

import jupytext
import nbclient
import nbformat
from PIL import Image

FOLDER = Path(__file__).resolve().parent
# Only results are for readers: bars would stand in the notebook as hundreds of lines.
QUIET = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "PYTHONWARNINGS": "ignore:IProgress not found"}


def smaller(png: str) -> str:
    """A chart, in base64, with as many colours as charts need, which is a third of the bytes."""
    written = io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(png))) as image:
        image.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(written, "PNG", optimize=True)
    return base64.b64encode(written.getvalue()).decode()


def execute(text: Path) -> None:
    """Run a notebook in an empty folder, with an empty cache, and write it beside its text."""
    notebook = jupytext.read(text)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"  # the same each time, so that a change shows what changed
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(QUIET, WOTD_CACHE=str(Path(folder) / "cache"))
        client = nbclient.NotebookClient(notebook, timeout=600, coalesce_streams=True, record_timing=False)
        client.execute(cwd=folder)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = smaller(output.data["image/png"])
    nbformat.write(notebook, text.with_suffix(".ipynb"))


if __name__ == "__main__":
    for path in sorted(FOLDER.glob("[0-9]*.py")):
        if len(sys.argv) == 1 or path.stem in sys.argv[1:]:
            execute(path)
            print(f"{path.stem}: {path.with_suffix('.ipynb').stat().st_size / 1024:.0f} KiB")
