"""Targets: tables of texts, as a provider, the shell and assignment read them, and arrays."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path

import fuzz_seeds as seeds
import numpy as np
from fuzz_hostile_files import arrays, parquets
from fuzz_hostile_texts import csv_tables, json_values, prose
from fuzz_target import Target, provided

from wotd.assignment.inputs import input_file
from wotd.cli.inputs import file_source
from wotd.cli.matrices import open_codes
from wotd.data.vectors import open_vectors
from wotd.hub.folders import open_folder
from wotd.providers.literature.files import Files
from wotd.text_checks import check_text

_TABLE_BYTES = 50_000
"""Ten thousand rows of a letter each, all of them works."""


def targets() -> list[Target]:
    """All of them."""
    check_text("so that all that it needs is imported", "text")
    lines = [*json_values(), *(b'{"text": "x", "id": %b}' % value for value in json_values() if value)]
    packed = parquets()
    readers = {"files provider": _provider, "input": _source, "assigned": _assigned}
    tables = [
        Target(f"{name}, {suffix[1:]}", kind, partial(read, suffix), sound, hostile, max_bytes=_TABLE_BYTES)
        for name, read in readers.items()
        for suffix, kind, sound, hostile in (
            (".jsonl", "json", seeds.rows(), lines),
            (".csv", "csv", seeds.tables(), csv_tables()),
            (".parquet", "parquet", packed[:10], packed if read is _provider else packed[:10] + packed[13:]),
        )
    ]  # the others stream what is long, which takes as long as it is
    return [
        *tables,
        Target("input, txt", "text", partial(_source, ".txt"), seeds.lines(), prose()[:60]),
        Target("vectors", "array", _vectors, _sound("<f4", "<f2"), arrays()),
        Target("codes", "array", _codes, _sound("<i8", "<i4", "|u1"), arrays()),
    ]


def _provider(suffix: str, case: bytes, folder: Path) -> None:
    (folder / f"texts{suffix}").write_bytes(case)
    provided(Files(root=folder / f"texts{suffix}"))


def _source(suffix: str, case: bytes, folder: Path) -> None:
    (folder / f"texts{suffix}").write_bytes(case)
    source = file_source(folder / f"texts{suffix}")
    source.schema()
    source.count()
    for text, _ in source.texts():
        text.encode()


def _assigned(suffix: str, case: bytes, folder: Path) -> None:
    (folder / f"texts{suffix}").write_bytes(case)
    file = input_file(open_folder(folder, "--input"), f"texts{suffix}", "text", None)
    survey = file.survey(16, artifacts=None)  # which are asked of vectors alone
    for piece in survey.pieces:
        for window in file.windows(piece, survey.schema):
            window.place(len(window.table) - 1)


def _vectors(case: bytes, folder: Path) -> None:
    (folder / "vectors.npy").write_bytes(case)
    open_vectors(folder / "vectors.npy")


def _codes(case: bytes, folder: Path) -> None:
    (folder / "codes.npy").write_bytes(case)
    open_codes(folder / "codes.npy", (4, 3, 2))


def _sound(*types: str) -> list[bytes]:
    found = []
    for kind in types:
        for shape in ((6, 3), (1, 3)):
            file = io.BytesIO()
            np.save(file, np.ones(shape, dtype=kind))
            found.append(file.getvalue())
    return found
