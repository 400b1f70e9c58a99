"""Samples that are the same each time: rows at even distances."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def spread(rows_N: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """The rows, or so many of them at even distances."""
    count = min(len(rows_N), most)
    return rows_N[np.arange(count) * len(rows_N) // max(1, count)]
