"""How codes and labels come together: counts that add up over batches and processes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

from wotd.metrics.information import adjusted_mutual_information


class Contingency(Metric):
    """Counts of each level's codes by each level of the label; sums across processes.

    A label of -1 is unknown and does not count.
    """

    full_state_update = False

    def __init__(self, level_sizes: Sequence[int], label_sizes: Sequence[int]) -> None:
        """Count codes of L levels with these sizes, and labels of M levels with theirs."""
        super().__init__()
        self.level_sizes, self.label_sizes = tuple(level_sizes), tuple(label_sizes)
        for level, codes in enumerate(self.level_sizes):
            for column, labels in enumerate(self.label_sizes):
                none = torch.zeros(labels, codes, dtype=torch.int64)
                self.add_state(f"counts_{level}_{column}", none, dist_reduce_fx="sum")

    def update(self, codes_BL: Tensor, labels_BM: Tensor) -> None:
        """Count the codes and labels of a batch."""
        for column, (labels_B, labels) in enumerate(zip(labels_BM.unbind(1), self.label_sizes, strict=True)):
            known_B = labels_B >= 0
            known_labels = labels_B[known_B]
            for level, codes in enumerate(self.level_sizes):
                pairs = torch.bincount(known_labels * codes + codes_BL[known_B, level], minlength=labels * codes)
                counts = getattr(self, f"counts_{level}_{column}")
                counts += pairs.view(labels, codes)

    def compute(self) -> list[list[Tensor]]:
        """By level of the code, then of the label: counts by label (rows) and code (columns)."""
        return [
            [getattr(self, f"counts_{level}_{column}") for column in range(len(self.label_sizes))]
            for level in range(len(self.level_sizes))
        ]


def information_of_counts(counts: Sequence[Sequence[NDArray[np.int64]]]) -> NDArray[np.float64]:
    """Adjusted mutual information, float64 L×M, of what :meth:`Contingency.compute` counts."""
    ami_LM = np.full((len(counts), len(counts[0]) if counts else 0), np.nan)
    for level, row in enumerate(counts):
        for column, counts_MK in enumerate(row):
            labels, codes = np.nonzero(counts_MK)
            times = counts_MK[labels, codes]
            pairs = [np.repeat(each, times)[:, None] for each in (codes, labels)]
            ami_LM[level, column] = adjusted_mutual_information(*pairs)[0, 0]
    return ami_LM
