"""Parquet files of strangers: what they say of their columns is looked at before anybody asks for it."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path
from typing import Any


def check_footer(path: Path) -> None:
    """Have all metadata of columns read in the one way that raises where they are broken.

    Arrow's accessors of a column's metadata end the process there (seen of Arrow 26). Reading rows does not, and comes
    upon the metadata of all columns before it asks for a single byte of rows. It is given none: nothing is unpacked.

    Raises:
        pyarrow.ArrowException: if they are broken.
        OSError: if they are, or the file cannot be read.
    """
    from pyarrow import parquet

    with _FooterAlone(path) as file:
        table = parquet.ParquetFile(file, pre_buffer=True)
        file.closed_to_rows = True
        with suppress(_RowsError):
            next(table.iter_batches(1), None)


class _RowsError(Exception):
    """Rows were asked for."""


class _FooterAlone(io.FileIO):
    closed_to_rows = False

    def read(self, size: int | None = -1, /) -> bytes:
        self._check()
        return super().read(size)

    def readinto(self, buffer: Any, /) -> int:
        self._check()
        return super().readinto(buffer)

    def _check(self) -> None:
        if self.closed_to_rows:
            raise _RowsError
