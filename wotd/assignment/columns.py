"""Codes as Arrow columns beside those of the input. N rows, L levels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from wotd.encoded import EncodedRows
    from wotd.inference import SemanticIDModel


class CodeColumns:
    """Turns codes of one model into columns, without a Python object for each row."""

    def __init__(self, model: SemanticIDModel) -> None:
        """Look up the names of its codes."""
        import pyarrow as pa

        names = [model.code_names(level) for level in range(len(model.level_sizes))]
        self._names = pa.array([name for level in names for name in level], pa.string())
        self._first_L = np.cumsum([0, *map(len, names[:-1])])
        """Where the names of each level begin."""

    def code(self, codes_NL: NDArray[np.int64], depth_N: NDArray[np.int64] | None = None) -> dict[str, pa.Array]:
        """The columns of :data:`~wotd.assignment.schemas.CODE`.

        Args:
            codes_NL: whole codes.
            depth_N: how many levels of each are kept; None: all.
        """
        import pyarrow as pa
        from pyarrow import compute

        listed = _lists(codes_NL, depth_N)
        named = _lists(codes_NL + self._first_L, depth_N)
        digits = pa.ListArray.from_arrays(listed.offsets, listed.values.cast(pa.string()))
        return {
            "code": listed,
            "id": compute.binary_join(digits, "-"),
            "names": pa.ListArray.from_arrays(named.offsets, self._names.take(named.values)),
        }

    def sureness(self, rows: EncodedRows, depth_N: NDArray[np.int64] | None = None) -> dict[str, pa.Array]:
        """The columns of :data:`~wotd.assignment.schemas.SURENESS`; confidences of the levels that are kept."""
        import pyarrow as pa

        foreign = rows.out_of_domain
        return {
            "confidence": _lists(rows.confidence, depth_N),
            "out_of_domain": pa.nulls(len(rows.codes), pa.bool_()) if foreign is None else pa.array(foreign),
            "error": pa.array(rows.error),
        }


def sure_depths(confidence_NL: NDArray[np.float64], min_confidence: float | None) -> NDArray[np.int64] | None:
    """How many levels of each code come before the first that is less sure than this, N; None cuts nothing."""
    if min_confidence is None:
        return None
    unsure_NL = confidence_NL < min_confidence
    depth_N: NDArray[np.int64] = np.where(unsure_NL.any(1), unsure_NL.argmax(1), confidence_NL.shape[1])
    return depth_N


def _lists(values_NL: NDArray[Any], depth_N: NDArray[np.int64] | None) -> pa.ListArray:
    """Rows as lists, each of the first values of its row."""
    import pyarrow as pa

    rows, levels = values_NL.shape
    if depth_N is None:
        depth_N, flat = np.full(rows, levels), values_NL.reshape(-1)
    else:
        flat = values_NL[np.arange(levels) < depth_N[:, None]]
    offsets = np.concatenate([[0], np.cumsum(depth_N)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.ascontiguousarray(flat)))
