"""Rows of JSONL, CSV and Parquet files, found again by their offsets, so that no file is held in memory.

A table is read through once, row by row; each row tells where it begins, and :meth:`Table.read`
fetches it again from there. Parquet knows no such places, so the columns that are wanted are first
copied, batch by batch, into a temporary JSONL file. A row that cannot be read is reported, not raised.
"""

from __future__ import annotations

import csv
import json
import os
import re
import tempfile
import weakref
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

from wotd.errors import CorpusError

MAX_ROW_BYTES = 16 * 1024 * 1024
"""A longer row is reported as too long; it is more likely a file without line ends than a text."""

TOO_LONG = "a row longer than 16 MiB"
NOT_JSON = "a line that is not a JSON object"
NOT_CSV = "a row that does not fit the CSV header"
MAX_RATIO = 100
"""How many times its own size the texts of a Parquet file may have; real ones have three or four times."""

_FREE_BYTES = 1024 * 1024
_BATCH_ROWS, _BATCH_BYTES = 64, 16 * 1024 * 1024
_BOM = "\ufeff"
_SURROGATE = re.compile(r"\\u[dD]")


class RowError(Exception):
    """One row cannot be read; the message is the reason it is dropped with."""


class Row(NamedTuple):
    """A row: its number in the file from 1, where it begins, and its cells or why there are none."""

    number: int
    offset: int
    cells: dict[str, Any]
    problem: str | None = None


class Readable(Protocol):
    """What a table is read from: a path, or what has a name and can be opened as often as one likes."""

    @property
    def name(self) -> str:
        """With its suffix."""

    @property
    def stem(self) -> str:
        """Without its suffix."""

    def open(self, mode: Any, /) -> AbstractContextManager[Any]:
        """A stream of bytes that can be sought in."""


class Lines:
    """Decoded lines of a binary stream; knows where the next one begins and refuses to read too far."""

    def __init__(self, stream: BinaryIO, name: str, offset: int = 0) -> None:
        stream.seek(offset)
        self._stream, self._name = stream, name
        self.offset = offset
        self.number = 0
        self.row_bytes = 0

    def __iter__(self) -> Lines:
        """Itself, once."""
        return self

    def __next__(self) -> str:
        """The next line.

        Raises:
            RowError: if the row it belongs to is too long; the next call goes on after the line.
            CorpusError: if it is not UTF-8.
        """
        line = self._stream.readline(MAX_ROW_BYTES + 1)
        if not line:
            raise StopIteration
        self.number += 1
        self.row_bytes += len(line)
        if self.row_bytes > MAX_ROW_BYTES:
            while line and not line.endswith(b"\n"):
                line = self._stream.readline(MAX_ROW_BYTES)
        begins, self.offset = self.offset, self._stream.tell()
        if self.row_bytes > MAX_ROW_BYTES:
            raise RowError(TOO_LONG)
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise CorpusError(
                f"{self._name}, line {self.number}: byte 0x{line[error.start]:02x} is not UTF-8; "
                "expected a file encoded as UTF-8."
            ) from error
        return text.removeprefix(_BOM) if begins == 0 else text


class Table(ABC):
    """One file of rows."""

    unit = "row"

    def __init__(self, path: Readable) -> None:
        self.path = path
        self.name, self.stem = path.name, path.stem
        self.columns: dict[str, None] = {}
        """Names of the columns in order; complete once the rows were read through."""
        self._version = _version(path)

    @abstractmethod
    def rows(self, begin: Row | None = None) -> Iterator[Row]:
        """The rows from the first to the last, or from that one on; those that cannot be read with their problem."""

    @abstractmethod
    def _next(self, lines: Lines) -> dict[str, Any] | None:
        """The cells of the row that begins here, or None for a blank line."""

    def read(self, offset: int) -> dict[str, Any]:
        """The cells of the row at an offset that :meth:`rows` gave.

        Raises:
            CorpusError: if the file is no longer the one that was read through.
        """
        try:
            if _version(self.path) != self._version:
                raise CorpusError(f"{self.name} changed while it was being read; start again.")
            with self.path.open("rb") as stream:
                return self._next(Lines(stream, self.name, offset)) or {}
        except OSError as error:
            raise CorpusError(f"{self.name} cannot be read any more: {error.strerror or error}.") from error

    def place(self, number: int) -> str:
        """How to name a row to a person."""
        return f"{self.name} {self.unit} {number}"

    def _from(self, stream: BinaryIO, begin: Row | None) -> Iterator[Row]:
        if begin is None:
            return self._rows(Lines(stream, self.name))
        lines = Lines(stream, self.name, begin.offset)
        lines.number = begin.number - 1
        return self._rows(lines, begin.number - 1)

    def _rows(self, lines: Lines, number: int = 0) -> Iterator[Row]:
        while True:
            number, offset, lines.row_bytes = number + 1, lines.offset, 0
            try:
                cells = self._next(lines)
            except StopIteration:
                return
            except RowError as error:
                yield Row(number, offset, {}, str(error))
                continue
            if cells is not None:
                yield Row(number, offset, cells)


class JsonLines(Table):
    """A file with one JSON object a line; blank lines are passed over but counted."""

    unit = "line"

    def rows(self, begin: Row | None = None) -> Iterator[Row]:
        """The lines, and the union of their keys as columns."""
        with self.path.open("rb") as stream:
            for row in self._from(stream, begin):
                self.columns.update(dict.fromkeys(row.cells))
                yield row

    def _next(self, lines: Lines) -> dict[str, Any] | None:
        line = next(lines)
        if not line.strip():
            return None
        try:
            cells = json.loads(line)
            if _SURROGATE.search(line):  # half a surrogate pair passes as JSON but cannot be written again
                json.dumps(cells, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            raise RowError(NOT_JSON) from error
        if not isinstance(cells, dict):
            raise RowError(NOT_JSON)
        return cells


class Csv(Table):
    """A file with a header; commas, semicolons or tabs, whichever the header holds most of."""

    def rows(self, begin: Row | None = None) -> Iterator[Row]:
        """The records after the header.

        Raises:
            CorpusError: if the header is missing, unreadable or names a column twice.
        """
        csv.field_size_limit(max(csv.field_size_limit(), MAX_ROW_BYTES))  # the default is 128 KiB
        with self.path.open("rb") as stream:
            lines = Lines(stream, self.name)
            if self._read_header(stream, lines):
                yield from self._rows(lines) if begin is None else self._from(stream, begin)

    def _read_header(self, stream: BinaryIO, lines: Lines) -> bool:
        try:
            line = next(lines, "")
            self._delimiter = max(",;\t", key=line.count)
            stream.seek(0)
            lines.offset = lines.number = 0
            header = [name.strip() for name in next(self._reader(lines), [])]
        except (RowError, csv.Error) as error:
            raise CorpusError(f"{self.name}: the first row is no CSV header ({error}).") from error
        doubles = sorted({name for name in header if name and header.count(name) > 1})
        if doubles:
            raise CorpusError(f"{self.name}: the header names {', '.join(doubles)} twice; expected each column once.")
        self.columns = dict.fromkeys(header)
        self._header = header
        return bool(header)

    def _reader(self, lines: Lines) -> Iterator[list[str]]:
        return csv.reader(lines, delimiter=self._delimiter, strict=True)

    def _next(self, lines: Lines) -> dict[str, Any] | None:
        try:
            cells = next(self._reader(lines))
        except csv.Error as error:
            raise RowError(NOT_CSV) from error
        if cells and len(cells) != len(self._header):
            raise RowError(NOT_CSV)
        return dict(zip(self._header, cells, strict=True)) if cells else None


class Parquet(JsonLines):
    """A Parquet file, read by way of a temporary JSONL copy of the columns that are wanted."""

    unit = "row"

    def __init__(self, path: Path, wanted: Collection[str]) -> None:
        handle, copy = tempfile.mkstemp(prefix="wotd-", suffix=".jsonl")
        weakref.finalize(self, os.unlink, copy)
        with os.fdopen(handle, "wb") as stream:
            columns = _copy(path, wanted, stream)
        super().__init__(Path(copy))
        self.name, self.stem = path.name, path.stem
        self.columns = dict.fromkeys(columns)


def _copy(path: Path, wanted: Collection[str], stream: BinaryIO) -> list[str]:
    """Write the rows as JSON lines; returns the names of all columns."""
    import pyarrow as pa  # heavy, and only needed here
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            columns = list(file.schema_arrow.names)
            kept = [name for name in columns if name in wanted]
            most = MAX_RATIO * path.stat().st_size + _FREE_BYTES
            for batch in file.iter_batches(batch_size=rows_at_once(file.metadata), columns=kept):
                for cells in batch.to_pylist():
                    stream.write(json.dumps(cells, ensure_ascii=False, default=_plain).encode() + b"\n")
                if stream.tell() > most:
                    raise CorpusError(
                        f"{path.name} unpacks to over {MAX_RATIO} times its size; no texts are that alike."
                    )
    except UnicodeError as error:
        raise CorpusError(
            f"{path.name}: a column of bytes, or the name of one, is not UTF-8; expected UTF-8."
        ) from error
    except (pa.ArrowException, OSError) as error:
        raise CorpusError(f"{path.name} cannot be read as Parquet: {first_line(error)}") from error
    return columns


def first_line(error: BaseException) -> str:
    """What an error of a library says first, or its kind where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def rows_at_once(metadata: Any) -> int:
    """How many rows of a Parquet file are held at a time, so that rows as long as books do not fill the memory.

    Args:
        metadata: what the file says of itself.
    """
    said: int = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
    return max(1, min(_BATCH_ROWS, _BATCH_BYTES * int(metadata.num_rows) // max(1, said)))


def _plain(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _version(path: Readable) -> tuple[int, int] | None:
    if not isinstance(path, Path):
        return None
    status = path.stat()
    return status.st_size, status.st_mtime_ns
