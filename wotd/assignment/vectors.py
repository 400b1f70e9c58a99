"""Vectors in Arrow columns and in ``.npy`` files, and whether they are those that artifacts read.

N rows, D numbers of a vector.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

from wotd.embeddings.fingerprint import Fingerprint
from wotd.errors import EmbeddingError, VectorsError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from wotd.artifacts import Artifacts

logger = logging.getLogger(__name__)

_FINGERPRINTS = {b"wotd.fingerprint": "fingerprint", b"wotd.features_fingerprint": "features_fingerprint"}
"""Keys in the metadata of a table of vectors (``wotd embed``), and what artifacts say of the same."""


class Matrix(NamedTuple):
    """What the header of an ``.npy`` file says, and where its rows begin."""

    rows: int
    dimension: int
    dtype: np.dtype[Any]
    offset: int

    def read(self, stream: BinaryIO, first: int, count: int) -> NDArray[np.floating]:
        """So many rows from the first on, fewer at the end of the file.

        Raises:
            ValueError: if the file ends in a row.
        """
        count = min(count, self.rows - first)
        width = self.dimension * self.dtype.itemsize
        stream.seek(self.offset + first * width)
        data = stream.read(count * width)
        if len(data) != count * width:
            raise ValueError(f"it ends before row {first + count}")
        return np.frombuffer(data, self.dtype).reshape(count, self.dimension)


def read_header(stream: BinaryIO, name: str) -> Matrix:
    """The header of an ``.npy`` file.

    Raises:
        VectorsError: if it is none of N×D numbers, float32 or float16, row by row.
    """
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        shape, by_columns, dtype = readers[np.lib.format.read_magic(stream)](stream)
    except Exception as error:  # a damaged header raises kinds of numpy and of Python's own parser
        raise VectorsError(f"{name} is not a readable .npy array of plain numbers.") from error
    if dtype not in (np.float32, np.float16) or len(shape) != 2 or not all(shape) or by_columns:
        order = ", column by column" if by_columns else ""
        raise VectorsError(
            f"{name} holds {dtype} of the shape {shape}{order}; expected float32 or float16, N×D, row by row."
        )
    matrix = Matrix(*shape, dtype, stream.tell())
    held = (stream.seek(0, os.SEEK_END) - matrix.offset) // (matrix.dimension * dtype.itemsize)
    if held < matrix.rows:
        raise VectorsError(f"{name} is said to have {matrix.rows} rows, but ends after {held}.")
    return matrix


def check_width(found: int, artifacts: Artifacts, name: str) -> None:
    """Refuse vectors of another length than these artifacts read.

    Raises:
        VectorsError: naming both.
    """
    if found != artifacts.row_dim:
        features = artifacts.feature_dim
        reason = f", of which the last {features} are features of the text" if features else ""
        raise VectorsError(f"{name} has vectors of length {found}; these artifacts expect {artifacts.row_dim}{reason}.")


def check_origin(metadata: Mapping[bytes, bytes] | None, artifacts: Artifacts, name: str) -> None:
    """Refuse a table whose metadata says that another embedding model made its vectors.

    Raises:
        EmbeddingError: naming what differs.
    """
    for key, attribute in _FINGERPRINTS.items():
        said, expected = (metadata or {}).get(key), getattr(artifacts, attribute)
        if said is None or expected is None:
            continue
        try:
            found = Fingerprint.from_mapping(json.loads(said))
        except (ValueError, TypeError, EmbeddingError) as error:
            raise EmbeddingError(f"{name} says in a form that cannot be read what made its vectors.") from error
        if differences := found.differences(expected):
            raise EmbeddingError(
                f"{name} holds vectors of {found.model}, the artifacts were made with {expected.model}, which is "
                f"another model: {'; '.join(differences)}."
            )
        if found.arithmetic != expected.arithmetic:
            logger.warning(
                "%s holds vectors computed by %s, those of the artifacts were by %s; some IDs may differ",
                *(name, found.arithmetic, expected.arithmetic),
            )


def vectors_of(column: pa.ChunkedArray, dimension: int, place: str) -> NDArray[np.floating]:
    """The vectors of the rows that have one, float32 or float16 N×D, without a copy where Arrow has them so.

    Args:
        column: lists of numbers, of fixed size or not.
        dimension: D.
        place: of the column, for errors.

    Raises:
        VectorsError: if it holds something else, or lists of another length.
    """
    import pyarrow as pa
    from pyarrow import compute

    kind = column.type
    if not (pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind) or pa.types.is_large_list(kind)) or not (
        pa.types.is_float32(kind.value_type) or pa.types.is_float16(kind.value_type)
    ):
        raise VectorsError(f"{place} holds {kind}; expected lists of float32 or float16.")
    present = (column.drop_null() if column.null_count else column).combine_chunks()
    lengths = compute.min_max(compute.list_value_length(present)).as_py()
    if len(present) and (lengths["min"], lengths["max"]) != (dimension, dimension):
        raise VectorsError(
            f"{place} holds lists of {lengths['min']} to {lengths['max']} numbers; expected {dimension} in each."
        )
    numbers = present.flatten()
    if numbers.null_count:
        raise VectorsError(f"{place} holds a list with gaps; expected {dimension} numbers in each.")
    flat: NDArray[np.floating] = numbers.to_numpy(zero_copy_only=False)
    return flat.reshape(-1, dimension)


def bad_row(vectors_ND: NDArray[np.float32]) -> tuple[int, str] | None:
    """The first row that is no vector, and why; None if all are."""
    with np.errstate(over="ignore", under="ignore"):
        squares_N = np.einsum("nd,nd->n", vectors_ND, vectors_ND)
    for row in np.flatnonzero(~np.isfinite(squares_N) | (squares_N == 0)):  # or too large or small for a square
        if not np.isfinite(vectors_ND[row]).all():
            return int(row), "not of finite numbers"
        if not vectors_ND[row].any():
            return int(row), "all zeros"
    return None
