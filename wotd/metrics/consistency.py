"""Whether passages of one work are called alike.

Shape letters: N passages, L levels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wotd.metrics.prefixes import prefix_groups


def work_consistency(codes_NL: NDArray[np.int64], works_N: NDArray[np.int64]) -> tuple[float, ...]:
    """For depths 1 to L, the share of a work's passages that bear its commonest prefix, averaged over works.

    Each work counts once, whatever its length. A work of one passage, which cannot but agree with
    itself, does not count; NaN where there is no other.

    Args:
        codes_NL: codes of the passages.
        works_N: for each passage, the index of its work.
    """
    _, works_N, passages_W = np.unique(works_N, return_inverse=True, return_counts=True)
    several_W = passages_W > 1
    if not several_W.any():
        return (float("nan"),) * int(codes_NL.shape[1])
    shares = []
    for groups_N in prefix_groups(codes_NL).T:
        pairs, counts = np.unique(works_N * (int(groups_N.max()) + 1) + groups_N, return_counts=True)
        commonest_W = np.zeros(len(passages_W), dtype=np.int64)
        np.maximum.at(commonest_W, pairs // (int(groups_N.max()) + 1), counts)
        shares.append(float((commonest_W / passages_W)[several_W].mean()))
    return tuple(shares)
