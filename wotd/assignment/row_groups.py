"""Rows of a Parquet file from any one on, though its row groups can only be read from their beginning."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from typing import TYPE_CHECKING, BinaryIO

from wotd.errors import InputError
from wotd.providers.literature.rows import first_line

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

_MOST_BUFFERED, _LEAST_BUFFER, _MOST_BUFFER = 64 << 20, 64 << 10, 32 << 20
"""Bytes that are held of all columns, and of one: a row group may have more than one would hold."""


def open_parquet(stream: BinaryIO) -> parquet.ParquetFile:
    """A Parquet file that reads its columns a buffer at a time."""
    from pyarrow import parquet

    metadata = parquet.read_metadata(stream)
    share = _MOST_BUFFERED // max(metadata.num_columns, 1)
    buffer_size = min(max(share, _LEAST_BUFFER), _MOST_BUFFER)
    return parquet.ParquetFile(stream, metadata=metadata, buffer_size=buffer_size, pre_buffer=False)


@contextmanager
def parquet_errors(name: str) -> Iterator[None]:
    """What goes wrong while a Parquet file of this name is read, in one sentence.

    Raises:
        InputError: if it cannot be read.
    """
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # the last for texts and names of columns
        raise InputError(f"{name} cannot be read as Parquet: {first_line(error).rstrip('.')}.") from error


class RowGroups:
    """Runs of rows, one after the other.

    One that begins in the row group where the last one ended, and after it, goes on from there. So what is read of a
    row group does not grow with the number of runs that it is cut into, as long as they come in order.
    """

    def __init__(self, file: parquet.ParquetFile, window: int) -> None:
        """Read nothing yet.

        Args:
            file: open as long as rows are read.
            window: rows of a table.
        """
        self._file, self._window = file, window
        metadata = file.metadata
        sizes = (metadata.row_group(number).num_rows for number in range(metadata.num_row_groups))
        self._starts = [0, *accumulate(sizes)][: metadata.num_row_groups]
        self._rows = int(metadata.num_rows)
        self._at = self._rows
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._rest: pa.RecordBatch | None = None

    def tables(self, first: int, rows: int | None) -> Iterator[pa.Table]:
        """So many rows from the first on, in tables of a window each, the last of what is left."""
        end = self._rows if rows is None else min(first + rows, self._rows)
        return _cut(self._between(first, end), self._window)

    def _between(self, first: int, end: int) -> Iterator[pa.RecordBatch]:
        if first < end:
            self._approach(first)
        while self._at < end and (batch := self._next()) is not None:
            taken = batch.slice(0, end - self._at)
            if len(taken) < len(batch):
                self._rest = batch.slice(len(taken))
            before = max(first - self._at, 0)
            self._at += len(taken)
            if before < len(taken):
                yield taken.slice(before)

    def _approach(self, row: int) -> None:
        """Stand at a row, or before it in its row group."""
        group = bisect_right(self._starts, row) - 1
        if not self._starts[group] <= self._at <= row:
            self._at, self._rest, self._batches = self._starts[group], None, self._from(group)

    def _from(self, group: int) -> Iterator[pa.RecordBatch]:
        for number in range(group, len(self._starts)):  # one by one: nothing of the next is read before its rows are
            yield from self._file.iter_batches(self._window, row_groups=[number])

    def _next(self) -> pa.RecordBatch | None:
        batch, self._rest = self._rest, None
        return next(self._batches, None) if batch is None else batch


def _cut(batches: Iterable[pa.RecordBatch], window: int) -> Iterator[pa.Table]:
    """Tables of so many rows each, the last of what is left."""
    import pyarrow as pa

    waiting: list[pa.RecordBatch] = []
    held = 0
    for batch in batches:
        waiting.append(batch)
        held += len(batch)
        while held >= window:
            table = pa.Table.from_batches(waiting)
            yield table.slice(0, window)
            waiting, held = table.slice(window).to_batches(), held - window
    if held:
        yield pa.Table.from_batches(waiting)
