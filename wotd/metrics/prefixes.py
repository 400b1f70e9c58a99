"""Rows grouped by how their codes begin, and what is rare or shared at each depth.

Shape letters: N rows, L levels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def prefix_groups(codes_NL: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each row and depth, the index of the row's prefix among the distinct ones, int64 N×L.

    Column ``d - 1`` tells prefixes of d levels apart; its indices follow the order of the prefixes.
    """
    groups_NL: NDArray[np.int64] = np.empty_like(codes_NL)
    groups_N = np.zeros(len(codes_NL), dtype=np.int64)
    for level, codes_N in enumerate(codes_NL.T):
        width = int(codes_N.max(initial=0)) + 1
        _, groups_N = np.unique(groups_N * width + codes_N, return_inverse=True)
        groups_NL[:, level] = groups_N
    return groups_NL


def conditional_entropy(codes_NL: NDArray[np.int64]) -> tuple[float, ...]:
    """Entropy of each level's code given the levels before it, in bits; NaN of no rows.

    H(c_l | c_0 … c_{l-1}) = H(c_0 … c_l) - H(c_0 … c_{l-1}), from the shares counted on these rows
    (C. E. Shannon, "A Mathematical Theory of Communication", 1948). It is what the level adds to the
    prefix; the sum over levels is the entropy of whole codes, so with few rows to a prefix it is too low.
    """
    if not len(codes_NL):
        return (float("nan"),) * int(codes_NL.shape[1])
    joint = [_entropy_bits(np.bincount(groups_N)) for groups_N in prefix_groups(codes_NL).T]
    return tuple(max(0.0, whole - before) for before, whole in zip([0.0, *joint], joint, strict=False))


def _entropy_bits(counts: NDArray[np.int64]) -> float:
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log2(p)).sum())
