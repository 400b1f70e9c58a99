"""What levels of a code tell of labels, whether or not they were named for them.

Shape letters: N rows, L levels of the code, M levels of the label.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_mutual_info_score


def adjusted_mutual_information(codes_NL: NDArray[np.int64], labels_NM: NDArray[np.int64]) -> NDArray[np.float64]:
    """Adjusted mutual information of every level of the code with every level of the label, float64 L×M.

    1 where they tell rows apart alike, 0 on average where they have nothing to do with each other,
    whatever their sizes (N. X. Vinh, J. Epps and J. Bailey, "Information Theoretic Measures for
    Clusterings Comparison", 2010). NaN where no label is known, or all known ones are equal.

    Args:
        codes_NL: codes.
        labels_NM: labels, -1 where unknown; such rows do not count for that level.
    """
    ami_LM = np.full((codes_NL.shape[1], labels_NM.shape[1]), np.nan)
    for column, labels_N in enumerate(labels_NM.T):
        known_N = labels_N >= 0
        if len(np.unique(labels_N[known_N])) < 2:
            continue
        for level, codes_N in enumerate(codes_NL.T):
            ami_LM[level, column] = adjusted_mutual_info_score(labels_N[known_N], codes_N[known_N])
    return ami_LM


def diagonal_dominance(ami_LM: NDArray[np.float64]) -> float:
    """By how much levels tell more of the label they are named for than anything else does, -1 to 1.

    The margin of a level is its cell on the diagonal less the greatest other cell of its row (another
    label that this level tells of) or column (another level that tells of this label). The figure is the
    mean margin of the levels that have a cell on the diagonal: above 0, levels earn their names; NaN
    where there is none, or nothing to compare with.
    """
    margins = []
    for level in range(min(ami_LM.shape)):
        rivals = np.concatenate([np.delete(ami_LM[level], level), np.delete(ami_LM[:, level], level)])
        rivals = rivals[~np.isnan(rivals)]
        if len(rivals) and not np.isnan(ami_LM[level, level]):
            margins.append(float(ami_LM[level, level] - rivals.max()))
    return float(np.mean(margins)) if margins else float("nan")
