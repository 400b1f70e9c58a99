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
    """

    perplexity: float
    usage: float
    dead: int


def level_usage(counts_K: Tensor) -> LevelUsage:
    """What the counts of a level's codes say of its use."""
    total = counts_K.sum()
    used = int((counts_K > 0).sum())
    if not float(total) > 0:
        return LevelUsage(float("nan"), 0.0, len(counts_K))
    p_K = counts_K.double() / total
    entropy_nats = -(p_K * p_K.clamp_min(1e-300).log()).sum()
    return LevelUsage(float(entropy_nats.exp()), used / len(counts_K), len(counts_K) - used)


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
