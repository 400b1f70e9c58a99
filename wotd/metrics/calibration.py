"""Whether a confidence of 0.8 is right four times in five."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 15
"""Bins of equal width between 0 and 1."""


@dataclass(frozen=True)
class Reliability:
    """How right confidences of about the same height are: the reliability diagram as numbers.

    Attributes:
        counts: how many rows have a confidence in each bin.
        confidence: the mean confidence of these rows; NaN in an empty bin.
        accuracy: the share of them that are right; NaN in an empty bin.
    """

    counts: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def expected_error(self) -> float:
        """Expected calibration error: mean gap between confidence and accuracy, bins weighted by their rows.

        0 to 1; NaN of no rows. C. Guo et al., "On Calibration of Modern Neural Networks", 2017.
        """
        if not self.counts.sum():
            return float("nan")
        full = self.counts > 0
        gaps = np.abs(self.accuracy - self.confidence)[full]
        return float((gaps * self.counts[full]).sum() / self.counts.sum())


def reliability(confidence_N: NDArray[np.floating], right_N: NDArray[np.bool_], bins: int = BINS) -> Reliability:
    """Sort rows into bins of equal width by their confidence.

    Args:
        confidence_N: the probability of what was chosen, 0 to 1.
        right_N: whether it was right.
        bins: how many; the last one holds 1 too.
    """
    confidence_N = confidence_N.astype(np.float64)
    bin_N = np.minimum((confidence_N * bins).astype(np.int64), bins - 1)
    counts = np.bincount(bin_N, minlength=bins)
    rows = np.where(counts, counts, np.nan)
    return Reliability(
        counts,
        np.bincount(bin_N, weights=confidence_N, minlength=bins) / rows,
        np.bincount(bin_N, weights=right_N.astype(np.float64), minlength=bins) / rows,
    )
