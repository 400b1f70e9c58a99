"""What IDs are assigned to: files of texts or of vectors, read as Arrow tables of so many rows, from any piece on.

Texts are embedded a window at a time, and a vector may differ in its last digits with the texts beside it. So windows
are counted from the beginning of a file, pieces hold whole windows, and a row gets the same ID in whatever piece,
process or machine it is read.
"""

from __future__ import annotations

import gzip
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeAlias, cast

from wotd.assignment.row_groups import RowGroups, open_parquet, parquet_errors
from wotd.assignment.schemas import schema_of
from wotd.assignment.vectors import check_origin, check_width, read_header
from wotd.errors import InputError
from wotd.hub.folders import Folder
from wotd.providers.literature.rows import Csv, JsonLines, Lines, Row, Table
from wotd.text_checks import check_text

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

    from wotd.artifacts import Artifacts

WINDOW = 4096
"""Rows that are embedded together: enough that few of their tokens are padding."""

PARQUET, MATRIX = ".parquet", ".npy"
TEXTS = (".txt", ".jsonl", ".ndjson", ".csv", ".tsv")
"""Files of texts that are read, as they are or with .gz behind; Parquet as well."""

_MISSING = object()

VECTORS = "vector"
"""The column of vectors where the file names none."""


class Piece(NamedTuple):
    """Where some rows of a file lie. Numbers of rows count from 0."""

    first: int = 0
    rows: int | None = None
    """None: all from there on."""
    begin: tuple[int, int] | None = None
    """Number (from 1) and offset in bytes of the first row in its file; None where it is found otherwise."""


@dataclass(frozen=True)
class Window:
    """Some rows, and how to name one of them to a person."""

    table: pa.Table
    place: Callable[[int], str]


Windows: TypeAlias = "Callable[[Piece, pa.Schema], Iterator[Window]]"
"""Gives the rows of a piece."""


@dataclass(frozen=True)
class Survey:
    """What has to be known of a file before its first row is written.

    Attributes:
        schema: names and types of its columns.
        rows: how many there are, where that is known.
        pieces: of so many rows each as was asked for; one of all of them where nothing was.
    """

    schema: pa.Schema = field(repr=False)
    rows: int | None
    pieces: list[Piece]


class InputFile(ABC):
    """One file."""

    def __init__(self, folder: Folder, name: str, column: str) -> None:
        """Name it.

        Args:
            folder: where it is.
            name: within the folder.
            column: what holds the texts, or the vectors.
        """
        self.folder, self.path, self.column = folder, name, column
        self.name = PurePosixPath(name).name
        """As people know it."""

    vectors = False
    """Whether the column holds vectors."""

    @abstractmethod
    def survey(self, piece_rows: int | None, artifacts: Artifacts) -> Survey:
        """Look at the file.

        Args:
            piece_rows: rows of a piece, a multiple of ``WINDOW``; None: one piece.
            artifacts: what the rows have to fit.

        Raises:
            WOTDError: if it cannot be read, or does not fit.
        """

    @abstractmethod
    def windows(self, piece: Piece, schema: pa.Schema) -> Iterator[Window]:
        """The rows of a piece.

        Raises:
            WOTDError: naming the place of the first row that cannot be read.
        """

    @contextmanager
    def reading(self) -> Iterator[Windows]:
        """What does as :meth:`windows`, and need not begin anew for each of several pieces in order."""
        yield self.windows

    def _check_column(self, names: Iterable[str], place: str) -> None:
        listed = list(names)
        if self.column not in listed:
            found, option = ", ".join(listed[:8]) or "none", "--vector-column" if self.vectors else "--text-column"
            raise InputError(f"{place} has no field '{self.column}' (its fields: {found}); {option} names another.")


class RowFile(InputFile):
    """Lines of JSONL or rows of CSV, plain or compressed by gzip."""

    def survey(self, piece_rows: int | None, artifacts: Artifacts) -> Survey:
        """Read it once."""
        del artifacts
        pieces: list[Piece] = []
        count = 0

        def cells() -> Iterator[dict[str, Any]]:
            nonlocal count
            for row in self._rows(None):
                if piece_rows is not None and count % piece_rows == 0:
                    pieces.append(Piece(count, piece_rows, (row.number, row.offset)))
                count += 1
                yield row.cells

        schema = schema_of(cells(), self.name)
        return Survey(schema, count, pieces or [Piece()])

    def windows(self, piece: Piece, schema: pa.Schema) -> Iterator[Window]:
        """Parsed anew, from where the piece begins."""
        import pyarrow as pa

        rows = islice(self._rows(None if piece.begin is None else Row(*piece.begin, {})), piece.rows)
        while batch := list(islice(rows, WINDOW)):
            try:
                table = pa.Table.from_pylist([row.cells for row in batch], schema=schema)
            except (pa.ArrowException, OverflowError) as error:
                raise InputError(f"{self.name} changed while it was read; start again.") from error
            yield Window(table, _Places(self._table(), [row.number for row in batch]))

    def _rows(self, begin: Row | None) -> Iterator[Row]:
        table = self._table()
        for row in table.rows(begin):
            if row.problem:
                raise InputError(f"{table.place(row.number)} is {row.problem}.")
            text = row.cells.get(self.column, _MISSING)
            if text is _MISSING:
                self._check_column(row.cells, table.place(row.number))
            elif text is not None and not isinstance(text, str):
                check_text(text, f"{table.place(row.number)}: the text")
            yield row

    def _table(self) -> Table:
        file = _Opened(self.folder, self.path)
        match _suffix(self.name):
            case ".jsonl" | ".ndjson":
                return JsonLines(file)
            case ".csv" | ".tsv":
                return Csv(file)
        return _TextLines(file, self.column)


class ParquetFile(InputFile):
    """A Parquet file of texts or vectors."""

    def __init__(self, folder: Folder, name: str, column: str, vectors: bool) -> None:
        """Name it, and say what its column holds."""
        super().__init__(folder, name, column)
        self.vectors = vectors

    def survey(self, piece_rows: int | None, artifacts: Artifacts) -> Survey:
        """Read its footer."""
        with self._opened() as file:
            schema, rows = file.schema_arrow, int(file.metadata.num_rows)
        if rows:
            self._check_column(schema.names, self.name)
        if self.vectors:
            check_origin(schema.metadata, artifacts, self.name)
        return Survey(schema.remove_metadata(), rows, _pieces(rows, piece_rows))

    def windows(self, piece: Piece, schema: pa.Schema) -> Iterator[Window]:
        """Its row groups, cut anew."""
        with self.reading() as windows:
            yield from windows(piece, schema)

    @contextmanager
    def reading(self) -> Iterator[Windows]:
        """The same, from one file that stays open."""
        opened = ExitStack()

        @cache
        def groups() -> RowGroups:
            return RowGroups(opened.enter_context(self._opened()), WINDOW)

        def windows(piece: Piece, schema: pa.Schema) -> Iterator[Window]:
            del schema
            with self._telling():
                first = piece.first
                for table in groups().tables(first, piece.rows):
                    yield Window(table, _Counted(self.name, first))
                    first += len(table)

        try:
            yield windows
        finally:
            opened.close()  # without the error that may have ended the block, which need not be one of this file

    @contextmanager
    def _opened(self) -> Iterator[parquet.ParquetFile]:
        with self._telling(), self.folder.open(self.path, scattered=True) as stream:
            yield open_parquet(stream)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        with parquet_errors(self.name), self.folder.telling(self.path):
            yield


class MatrixFile(InputFile):
    """An ``.npy`` file of vectors; its rows have no other columns."""

    vectors = True

    def survey(self, piece_rows: int | None, artifacts: Artifacts) -> Survey:
        """Read its header."""
        import pyarrow as pa

        with self.folder.open(self.path) as stream:
            matrix = read_header(stream, self.name)
        check_width(matrix.dimension, artifacts, self.name)
        column = pa.field(self.column, pa.list_(pa.from_numpy_dtype(matrix.dtype), matrix.dimension))
        return Survey(pa.schema([column]), matrix.rows, _pieces(matrix.rows, piece_rows))

    def windows(self, piece: Piece, schema: pa.Schema) -> Iterator[Window]:
        """Its rows, read from where they lie."""
        import pyarrow as pa

        with self.folder.open(self.path) as stream:
            matrix = read_header(stream, self.name)
            end = matrix.rows if piece.rows is None else min(matrix.rows, piece.first + piece.rows)
            for first in range(piece.first, end, WINDOW):
                try:
                    rows = matrix.read(stream, first, min(WINDOW, end - first))
                except ValueError as error:
                    raise InputError(f"{self.name} cannot be read: {error}.") from error
                column = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), matrix.dimension)
                yield Window(pa.table([column], schema=schema), _Counted(self.name, first))


def input_file(folder: Folder, name: str, text_column: str, vector_column: str | None) -> InputFile:
    """A file, read as its suffix says; the vectors of a Parquet file where a column of them is named.

    Raises:
        InputError: if it is of a format that is not read.
    """
    match _suffix(name):
        case ".npy":
            return MatrixFile(folder, name, vector_column or VECTORS)
        case ".parquet":
            return ParquetFile(folder, name, vector_column or text_column, vector_column is not None)
        case suffix if suffix in TEXTS and vector_column is None:
            return RowFile(folder, name, text_column)
    expected = (PARQUET, MATRIX) if vector_column else (*TEXTS, PARQUET, MATRIX)
    raise InputError(f"--input has {name}, a format that is not read; expected {', '.join(expected)}.")


def is_read(name: str, *, vectors: bool) -> bool:
    """Whether a file in a folder is one of texts, or of vectors, by its suffix."""
    suffix = _suffix(name)
    return suffix == PARQUET or (suffix == MATRIX if vectors else suffix in TEXTS)


@dataclass(frozen=True)
class _Opened:
    """A file of a folder in the form that tables of rows are read from."""

    folder: Folder
    path: str

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name

    @property
    def stem(self) -> str:
        return PurePosixPath(self.path).stem

    def open(self, mode: Any, /) -> AbstractContextManager[BinaryIO]:
        del mode
        return self._stream()

    @contextmanager
    def _stream(self) -> Iterator[BinaryIO]:
        with self.folder.open(self.path) as stream:
            if not self.name.lower().endswith(".gz"):
                yield stream
                return
            try:
                with gzip.GzipFile(fileobj=stream) as plain:
                    yield cast(BinaryIO, plain)
            except (EOFError, gzip.BadGzipFile) as error:
                raise InputError(f"{self.name} cannot be decompressed: {error}.") from error


class _TextLines(Table):
    """One text a line; empty lines are allowed at the end only."""

    unit = "line"

    def __init__(self, path: _Opened, column: str) -> None:
        super().__init__(path)
        self._column = column

    def rows(self, begin: Row | None = None) -> Iterator[Row]:
        number = 0 if begin is None else begin.number - 1
        with self.path.open("rb") as stream:
            for row in self._from(stream, begin):
                if row.number != number + 1:
                    raise InputError(f"{self.place(number + 1)} is blank; expected one text a line.")
                number = row.number
                yield row

    def _next(self, lines: Lines) -> dict[str, Any] | None:
        text = next(lines).rstrip("\r\n")
        return {self._column: text} if text.strip() else None


@dataclass(frozen=True)
class _Places:
    """Names of rows that have numbers of their own."""

    table: Table
    numbers: Sequence[int]

    def __call__(self, row: int) -> str:
        return self.table.place(self.numbers[row])


@dataclass(frozen=True)
class _Counted:
    """Names of rows that are counted."""

    name: str
    first: int

    def __call__(self, row: int) -> str:
        return f"{self.name} row {self.first + row + 1}"


def _suffix(name: str) -> str:
    path = PurePosixPath(name.lower())
    return PurePosixPath(path.stem).suffix if path.suffix == ".gz" and _plain_suffix(path) in TEXTS else path.suffix


def _plain_suffix(path: PurePosixPath) -> str:
    return PurePosixPath(path.stem).suffix


def _pieces(rows: int, piece_rows: int | None) -> list[Piece]:
    if piece_rows is None:
        return [Piece()]
    return [Piece(first, piece_rows) for first in range(0, rows, piece_rows)] or [Piece()]
