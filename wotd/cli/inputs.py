"""Where texts come from: arguments, stdin, and files of lines, JSONL, CSV or Parquet, read as streams.

A source gives records: fields by name, among them the text, and how to name the place to a person.
Nothing is skipped in silence: what is no text is an error that names its place, or the caller's to judge.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from wotd.assignment.schemas import schema_of
from wotd.errors import InputError
from wotd.progress import shown
from wotd.text_checks import check_text

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

    from wotd.providers.literature.rows import Readable, Table

SUFFIXES = (".txt", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
"""Files of texts that are read."""

_MAX_LINE_BYTES = 64 * 1024 * 1024
_CHUNK_BYTES = 1 << 20


class Record(NamedTuple):
    """Fields of one text, and how to name its place to a person."""

    place: str
    fields: Mapping[str, Any]


class TextSource(ABC):
    """Texts with their fields, read again from the start at each call."""

    def __init__(self, name: str, text_column: str = "text") -> None:
        """Name the source to people, and the field that holds the text."""
        self.name, self.text_column = name, text_column

    @abstractmethod
    def records(self) -> Iterator[Record]:
        """The records in order, as a stream."""

    def schema(self) -> pa.Schema:
        """The fields of all records with their Arrow types, for outputs that need to know them first."""
        import pyarrow as pa

        return pa.schema([(self.text_column, pa.string())])

    def count(self) -> int | None:
        """About how many records there are, for a bar that is drawn; None where that takes long to know."""
        return None

    def texts(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Texts, each checked, with the fields they came with.

        Raises:
            InputError: naming the place of the first text that cannot be used.
        """
        for place, fields in self.records():
            yield checked_text(fields, self.text_column, place), fields


class Arguments(TextSource):
    """Texts given on the command line."""

    def __init__(self, given: Sequence[str]) -> None:
        """Take the arguments."""
        super().__init__("arguments")
        self._given = given

    def records(self) -> Iterator[Record]:
        """One record an argument."""
        for position, text in enumerate(self._given, start=1):
            yield Record(f"argument {position}", {"text": text})

    def count(self) -> int:
        """How many arguments."""
        return len(self._given)


class Lines(TextSource):
    """One text a line, from a file or, without a path, from stdin; empty lines are allowed at the end only."""

    def __init__(self, path: Path | None, text_column: str = "text") -> None:
        """Name the file; None: stdin."""
        super().__init__(path.name if path else "stdin", text_column)
        self._path = path

    def count(self) -> int | None:
        """The lines of a file."""
        return None if self._path is None else _line_ends(self._path)

    def records(self) -> Iterator[Record]:
        """One record a line."""
        if self._path is None:
            yield from self._read(sys.stdin.buffer)
        else:
            with self._path.open("rb") as stream:
                yield from self._read(stream)

    def _read(self, stream: BinaryIO) -> Iterator[Record]:
        blank = None
        number = 0
        while line := stream.readline(_MAX_LINE_BYTES + 1):
            number += 1
            text = self._decoded(line, number)
            if not text.strip():
                blank = blank or number
                continue
            if blank:
                raise InputError(f"{self.name} line {blank} is blank; expected one text a line.")
            yield Record(f"{self.name} line {number}", {self.text_column: text})

    def _decoded(self, line: bytes, number: int) -> str:
        if len(line) > _MAX_LINE_BYTES:
            raise InputError(f"{self.name} line {number} is longer than {_MAX_LINE_BYTES} bytes; expected a text.")
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{self.name} line {number}: byte 0x{line[error.start]:02x} is not UTF-8; expected text in UTF-8."
            ) from error
        return text.rstrip("\r\n")


class Rows(TextSource):
    """Lines of a JSONL file or rows of a CSV file."""

    def __init__(self, table: Table, text_column: str) -> None:
        """Take the open table."""
        super().__init__(table.name, text_column)
        self._table = table

    def records(self) -> Iterator[Record]:
        """One record a row.

        Raises:
            InputError: if a row cannot be read.
        """
        for row in self._table.rows():
            place = self._table.place(row.number)
            if row.problem:
                raise InputError(f"{place} is {row.problem}.")
            yield Record(place, row.cells)

    def count(self) -> int | None:
        """The lines of a JSONL file; a row of CSV may have several."""
        return _line_ends(self._table.path) if self._table.unit == "line" else None

    def schema(self) -> pa.Schema:
        """Found by reading the file once."""
        return schema_of((record.fields for record in self.records()), self.name, "; write .jsonl instead")


class Parquet(TextSource):
    """Rows of a Parquet file, a batch at a time."""

    def __init__(self, path: Path, text_column: str) -> None:
        """Name the file."""
        super().__init__(path.name, text_column)
        self._path = path

    def records(self) -> Iterator[Record]:
        """One record a row.

        Raises:
            InputError: if the file cannot be read.
        """
        from wotd.providers.literature.rows import rows_at_once

        number = 0
        with self._opened() as file:
            for batch in file.iter_batches(rows_at_once(file.metadata)):
                for fields in batch.to_pylist():
                    number += 1
                    yield Record(f"{self.name} row {number}", fields)

    def schema(self) -> pa.Schema:
        """As the file says."""
        with self._opened() as file:
            return file.schema_arrow.remove_metadata()

    def count(self) -> int:
        """As the file says."""
        with self._opened() as file:
            return int(file.metadata.num_rows)

    @contextmanager
    def _opened(self) -> Iterator[parquet.ParquetFile]:
        from pyarrow import parquet

        from wotd.assignment.row_groups import parquet_errors

        with parquet_errors(self.name), parquet.ParquetFile(self._path) as file:
            yield file


def text_source(given: Sequence[str] | None, path: Path | None, text_column: str = "text") -> TextSource:
    """Arguments, else the file, else stdin.

    Raises:
        InputError: if the file is missing or of a format that is not read, or there is no stdin.
    """
    if given and list(given) != ["-"]:
        return Arguments(given)
    if path is not None:
        return file_source(path, text_column)
    if sys.stdin is None:  # closed by whoever started us
        raise InputError("there are no texts: give TEXT or --input, or something on stdin.")
    if sys.stdin.isatty():
        sys.stderr.write("one text a line, then Ctrl-D:\n")
    return Lines(None)


def file_source(path: Path, text_column: str = "text") -> TextSource:
    """The texts of a file, read as its suffix says.

    Raises:
        InputError: if it is missing or of a format that is not read.
    """
    from wotd.providers.literature.rows import Csv, JsonLines

    file = path.expanduser()
    if not file.is_file():
        raise InputError(f"--input is {file}, which is not a file; expected {', '.join(SUFFIXES)}.")
    match file.suffix.lower():
        case ".txt":
            return Lines(file, text_column)
        case ".jsonl" | ".ndjson":
            return Rows(JsonLines(file), text_column)
        case ".csv" | ".tsv":
            return Rows(Csv(file), text_column)
        case ".parquet":
            return Parquet(file, text_column)
    hint = " (vectors are given with --vectors)" if file.suffix == ".npy" else ""
    raise InputError(f"--input is {file}, a format that is not read{hint}; expected {', '.join(SUFFIXES)}.")


def checked_text(fields: Mapping[str, Any], column: str, place: str) -> str:
    """The text among the fields.

    Raises:
        InputError: if there is none, or it is blank, too long or no valid Unicode.
    """
    if column not in fields:
        found = ", ".join(list(fields)[:8]) or "none"
        raise InputError(f"{place} has no field '{column}' (its fields: {found}); --text-column names another.")
    check_text(fields[column], f"{place}: the text")
    return str(fields[column])


def _line_ends(path: Readable) -> int | None:
    """How many lines a file has, where somebody watches."""
    if not shown():
        return None
    with path.open("rb") as file:
        chunks: Iterator[bytes] = iter(lambda: file.read(_CHUNK_BYTES), b"")
        return sum(chunk.count(b"\n") for chunk in chunks)
