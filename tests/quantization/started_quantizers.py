"""Quantizers that have been started, of sizes at which every code can be looked at."""

from __future__ import annotations

from typing import Any

import clustered_latents
import torch
from clustered_latents import seeded
from torch import Tensor

from wotd.quantization import HierarchicalVectorQuantizer, build_quantizer

DIM, SIZES = 6, (5, 4, 3)

TABLES = {"first": 5, "two": 20, "all": 4096}
"""``max_prefixes`` under which so many levels have a table."""


def rows(number: int, seed: int = 0) -> Tensor:
    return clustered_latents.rows(number, DIM, seed)


def quantizer(taught: tuple[int, ...] = (), seed: int = 0, **options: Any) -> HierarchicalVectorQuantizer:
    """Started on random latents, whose labels are read off their first numbers."""
    made = HierarchicalVectorQuantizer(DIM, SIZES, taught=taught, **{"rounds": 2, **options})
    x = rows(200, seed)
    labels = torch.stack([x[:, level].argsort().argsort() * size // 200 for level, size in enumerate(SIZES)], 1)
    made.start(x, seeded(seed), labels if taught else None)
    return made.eval()


def copied(hvq: HierarchicalVectorQuantizer) -> HierarchicalVectorQuantizer:
    other = build_quantizer("hvq", DIM, SIZES, hvq.options)
    assert isinstance(other, HierarchicalVectorQuantizer)
    other.load_state_dict(hvq.state_dict())
    return other.eval()
