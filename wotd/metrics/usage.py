"""How much of each codebook is used: counts that add up over batches and processes, and what they say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric


class LevelUsage(NamedTuple):
    """Use of one level's codes.

    Attributes:
        perplexity: exp of the entropy (in nats) of the codes: the effective number of codes, from 1
            (collapsed) to K (uniform); NaN where nothing was counted.
        usage: share of codes that occur at all, 0 to 1.
        dead: how many codes never occur.
        gini: how unevenly the codes occur (C. Gini, 1912): 0 where all occur equally often, 1 - 1/K where
            only one does; NaN where nothing was counted.
    """

    perplexity: float
    usage: float
    dead: int
    gini: float


def level_usage(counts_K: Tensor) -> LevelUsage:
    """What the counts of a level's codes say of its use."""
    total = counts_K.sum()
    used = int((counts_K > 0).sum())
    if not float(total) > 0:
        return LevelUsage(float("nan"), 0.0, len(counts_K), float("nan"))
    p_K = counts_K.double() / total
    entropy_nats = -(p_K * p_K.clamp_min(1e-300).log()).sum()
    return LevelUsage(float(entropy_nats.exp()), used / len(counts_K), len(counts_K) - used, _gini(p_K))


def _gini(p_K: Tensor) -> float:
    """Mean absolute difference between the shares of two codes, over twice the mean share."""
    size = len(p_K)
    rank_K = torch.arange(1, size + 1, dtype=p_K.dtype, device=p_K.device)
    return max(0.0, float(((2 * rank_K - size - 1) * p_K.sort().values).sum()) / size)


class CodebookUsage(Metric):
    """Counts of codes per level over an epoch; sums across processes."""

    full_state_update = False

    def __init__(self, level_sizes: Sequence[int]) -> None:
        """Count codes of levels with these sizes."""
        super().__init__()
        self.level_sizes = tuple(level_sizes)
        for level, size in enumerate(self.level_sizes):
            self.add_state(f"counts_{level}", torch.zeros(size, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, codes_BL: Tensor) -> None:
        """Count the codes of a batch."""
        for level, (codes_B, size) in enumerate(zip(codes_BL.unbind(1), self.level_sizes, strict=True)):
            counts_K = getattr(self, f"counts_{level}")
            counts_K += torch.bincount(codes_B, minlength=size)

    def counts(self) -> list[Tensor]:
        """Counts per level, each of length K."""
        return [getattr(self, f"counts_{level}") for level in range(len(self.level_sizes))]

    def compute(self) -> list[LevelUsage]:
        """Use of each level so far."""
        return [level_usage(counts_K) for counts_K in self.counts()]
