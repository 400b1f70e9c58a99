"""The user's own vectors: checked whole, read through a memory map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wotd.errors import VectorsError

_CHUNK_ROWS = 16384


def open_vectors(
    path: str | Path, *, argument: str = "data.vectors", dimension: int | None = None, features: int = 0
) -> NDArray[np.floating]:
    """A memory map of an ``.npy`` file of N×D vectors, float32 or float16, checked in chunks.

    Args:
        path: the file.
        argument: what the caller calls it, for errors.
        dimension: D that is expected, if any.
        features: how many of these columns are features of the text, for errors.

    Raises:
        VectorsError: if it is missing, no plain array, or has the wrong rank, type or width, no
            rows, a row that is all zeros, or values that are not finite.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise VectorsError(f"{argument} is {file}, which is not a file; expected an .npy file of N×D vectors.")
    try:
        # Without pickle an array of objects is refused instead of run.
        vectors = np.load(file, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a damaged header raises kinds of zip, Python's own parser, numpy and the system
        raise VectorsError(f"{argument} is {file}, which is not a readable .npy array of plain numbers.") from error
    if not isinstance(vectors, np.ndarray) or vectors.ndim != 2:
        shape = getattr(vectors, "shape", "several arrays")
        raise VectorsError(f"{argument} has the shape {shape}; expected two dimensions, N×D.")
    if vectors.dtype not in (np.float32, np.float16):
        raise VectorsError(f"{argument} holds {vectors.dtype}; expected float32 or float16.")
    if not vectors.shape[0] or not vectors.shape[1]:
        raise VectorsError(f"{argument} has the shape {vectors.shape}; expected at least one row and one column.")
    if dimension is not None and vectors.shape[1] != dimension:
        reason = f", of which the last {features} are features of the text" if features else ""
        raise VectorsError(
            f"{argument} has vectors of length {vectors.shape[1]}; these artifacts expect {dimension}{reason}."
        )
    _check_values(vectors, argument)
    return vectors


def _check_values(vectors: NDArray[np.floating], argument: str) -> None:
    for first in range(0, len(vectors), _CHUNK_ROWS):
        chunk = np.asarray(vectors[first : first + _CHUNK_ROWS], dtype=np.float32)
        # One sum over the row tells NaN, inf and all zeros without a mask as large as the chunk; in
        # double precision the square of no float32 overflows or vanishes.
        sums = np.einsum("nd,nd->n", chunk, chunk, dtype=np.float64)
        bad = np.flatnonzero(~np.isfinite(sums))
        if len(bad):
            raise VectorsError(f"{argument} has values that are not finite, first in row {first + int(bad[0])}.")
        zero = np.flatnonzero(sums == 0)
        if len(zero):
            raise VectorsError(f"{argument} has a row that is all zeros, first row {first + int(zero[0])}.")
