"""Texts of passages, which not everybody may pass on."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq

from wotd.artifacts import CODES, CONFIG, PAGE, RESULTS, Artifacts, copy_files, seal

_COLUMN = "text"


def holds_texts(artifacts: Artifacts) -> bool:
    """Whether the artifacts keep the passages' texts."""
    return _COLUMN in pq.read_schema(artifacts.folder / CODES).names


@contextmanager
def without_texts(artifacts: Artifacts) -> Iterator[Artifacts]:
    """The same artifacts as a run with ``artifacts.texts=false`` writes them, in a folder that vanishes at the end.

    The table of passages keeps the texts' hashes; card and page, which show some of the texts, are made again.
    """
    with tempfile.TemporaryDirectory(prefix="wotd-") as name:
        folder = Path(name)
        copy_files(artifacts, folder)
        pq.write_table(artifacts.codes().drop_columns([_COLUMN]), folder / CODES, compression="zstd")
        config = {key: value for key, value in artifacts.config.items() if key not in ("schema", "files")}
        (folder / PAGE).unlink(missing_ok=True)
        (folder / CONFIG).unlink()
        if (folder / RESULTS).is_file() and json.loads((folder / RESULTS).read_text(encoding="utf-8")):
            from wotd.report import write_report

            write_report(folder, config)
        seal(folder, config)
        yield Artifacts.open(folder)
