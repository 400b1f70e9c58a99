"""Where results go: files that appear complete or not at all, written row by row."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wotd.cli.tables import json_line
from wotd.errors import InputError
from wotd.replacing import replacing

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".jsonl", ".ndjson", ".csv", ".parquet")
"""Files of rows that are written."""

Write = Callable[[Mapping[str, Any]], None]
"""Takes one row."""

_ROW_GROUP = 8192


def check_output(path: Path, suffixes: tuple[str, ...] = SUFFIXES, argument: str = "--output") -> Path:
    """Where a file will stand, links followed, before any work is done for it.

    Raises:
        InputError: if it cannot be written there, or its suffix says no format that is written.
    """
    target = Path(os.path.realpath(path.expanduser()))
    if target.suffix.lower() not in suffixes:
        raise InputError(f"{argument} is {path}, a format that is not written; expected {', '.join(suffixes)}.")
    if target.exists() and not target.is_file():
        raise InputError(f"{argument} is {path}, which is no file that could be replaced.")
    if not target.parent.is_dir():
        raise InputError(f"{argument} is {path}, but the folder {target.parent} does not exist.")
    return target


@contextmanager
def rows_to(target: Path, schema: Callable[[], pa.Schema]) -> Iterator[Write]:
    """A function that writes rows to a file of the kind its suffix says; the file is there when the block ends.

    Args:
        target: as :func:`check_output` gave it.
        schema: names and types of the columns; asked only for kinds that need them first.
    """
    kind = {".csv": _csv_rows, ".parquet": _parquet_rows}.get(target.suffix.lower(), _json_rows)
    with replacing(target) as temporary, kind(temporary, schema) as write:
        yield write


@contextmanager
def _json_rows(path: Path, _: Callable[[], pa.Schema]) -> Iterator[Write]:
    with path.open("x", encoding="utf-8", newline="\n") as file:
        yield lambda row: _discard(file.write(f"{json_line(row)}\n"))


@contextmanager
def _csv_rows(path: Path, schema: Callable[[], pa.Schema]) -> Iterator[Write]:
    """Lists and objects stand in a cell as JSON, true and false as in JSON."""
    names = schema().names
    with path.open("x", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        yield lambda row: _discard(writer.writerow([_cell(row.get(name)) for name in names]))


@contextmanager
def _parquet_rows(path: Path, schema: Callable[[], pa.Schema]) -> Iterator[Write]:
    import pyarrow as pa
    from pyarrow import parquet

    known = schema()
    waiting: list[Mapping[str, Any]] = []

    def write(row: Mapping[str, Any]) -> None:
        waiting.append(row)
        if len(waiting) == _ROW_GROUP:
            flush()

    def flush() -> None:
        writer.write_table(pa.Table.from_pylist(waiting, schema=known))
        waiting.clear()

    try:
        with parquet.ParquetWriter(path, known, compression="zstd") as writer:
            yield write
            if waiting:
                flush()
    except pa.ArrowException as error:
        raise InputError(f"the rows do not fit into one Parquet table ({str(error).splitlines()[0]}).") from error


def _cell(value: Any) -> Any:
    if isinstance(value, bool | list | tuple | Mapping):
        return json_line(value)
    return value


def _discard(_: object) -> None:
    """Writers say how much they wrote; nobody asks."""
