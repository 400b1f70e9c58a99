"""Matrices in ``.npy`` files, read through a memory map and written chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from wotd.errors import InputError
from wotd.progress import progress
from wotd.replacing import replacing

if TYPE_CHECKING:
    from wotd.artifacts import Artifacts

CHUNK_ROWS = 16384

Scalar = TypeVar("Scalar", bound=np.generic)


def chunks(matrix: NDArray[Scalar]) -> Iterator[NDArray[Scalar]]:
    """The rows of a matrix, some thousands at a time."""
    for first in range(0, len(matrix), CHUNK_ROWS):
        yield matrix[first : first + CHUNK_ROWS]


def write_matrix(
    target: Path,
    shape: tuple[int, int],
    dtype: DTypeLike,
    parts: Iterable[NDArray[np.generic]],
    description: str | None,
) -> None:
    """Write the parts below each other as one matrix; complete or not at all.

    The rows are written, not mapped: a full disk is then an error instead of a crash. A description of
    None draws no bar.
    """
    steps = parts if description is None else _watched(parts, description, shape[0])
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    with replacing(target) as temporary, temporary.open("xb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for part in steps:
            file.write(np.ascontiguousarray(part, dtype=dtype).data)


def _watched(parts: Iterable[NDArray[np.generic]], description: str, rows: int) -> Iterator[NDArray[np.generic]]:
    with progress(description, rows, "rows") as advance:
        for part in parts:
            yield part
            advance(len(part))


def open_rows(path: Path, artifacts: Artifacts) -> NDArray[np.floating]:
    """A memory map of the file of ``--vectors``, checked to hold rows that the encoder of these artifacts reads.

    Raises:
        VectorsError: if it cannot be read, or is of another width.
    """
    from wotd.data.vectors import open_vectors

    dimension, features = artifacts.row_dim, artifacts.feature_dim
    return open_vectors(path, argument="--vectors", dimension=dimension, features=features)


def open_codes(path: Path, level_sizes: Sequence[int]) -> NDArray[np.integer]:
    """A memory map of an ``.npy`` file of codes, or of prefixes of codes, all of them checked.

    Raises:
        InputError: if it cannot be read, or a row is no code of levels with these sizes.
    """
    file = path.expanduser()
    if not file.is_file():
        raise InputError(f"--codes is {file}, which is not a file; expected an .npy file of codes.")
    try:
        # Without pickle an array of objects is refused instead of run.
        codes = np.load(file, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a damaged header raises kinds of zip, Python's own parser, numpy and the system
        raise InputError(f"--codes is {file}, which is not a readable .npy array of plain numbers.") from error
    levels = len(level_sizes)
    if not isinstance(codes, np.ndarray) or codes.ndim != 2 or not np.issubdtype(codes.dtype, np.integer):
        found = f"{codes.dtype} of the shape {codes.shape}" if isinstance(codes, np.ndarray) else "several arrays"
        raise InputError(f"--codes holds {found}; expected whole numbers, N×{levels}.")
    if not 1 <= codes.shape[1] <= levels:
        raise InputError(f"--codes has {codes.shape[1]} columns; these artifacts have {levels} levels.")
    _check_rows(codes, np.asarray(level_sizes[: codes.shape[1]]))
    return codes


def _check_rows(codes_NL: NDArray[np.integer], sizes_L: NDArray[np.integer]) -> None:
    for number, chunk_BL in enumerate(chunks(codes_NL)):
        bad_BL = (chunk_BL < 0) | (chunk_BL >= sizes_L)
        if bad_BL.any():
            row, level = (int(index) for index in np.argwhere(bad_BL)[0])
            raise InputError(
                f"--codes row {number * CHUNK_ROWS + row}: level {level} is {chunk_BL[row, level]}; "
                f"expected 0 to {sizes_L[level] - 1}."
            )
