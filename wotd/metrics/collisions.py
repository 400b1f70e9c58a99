"""How many items share a whole code, beside what no method could avoid and what chance would give."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Collisions:
    """Shares of items, 0 to 1.

    Attributes:
        rate: share of items beyond the first on their code: 1 - distinct codes / items.
        floor: the least rate possible with so many items and codes: max(0, 1 - codes / items).
        random: the expected rate if every item drew a code uniformly.
        distinct: how many different codes occur.
    """

    rate: float
    floor: float
    random: float
    distinct: int


def expected_collisions(items: int, level_sizes: Sequence[int]) -> tuple[float, float]:
    """Floor and random expectation of the collision rate before anything is trained."""
    if not items:
        return float("nan"), float("nan")
    capacity = math.prod(level_sizes)
    # capacity · (1 - (1 - 1/capacity)^items), kept exact for large capacities.
    occupied = -capacity * math.expm1(items * math.log1p(-1 / capacity)) if capacity > 1 else 1.0
    return max(0.0, 1 - capacity / items), max(0.0, 1 - occupied / items)


def collisions(codes_NL: NDArray[np.int64], level_sizes: Sequence[int]) -> Collisions:
    """Collision rate of codes beside its floor and its random expectation; NaN where there are none."""
    floor, random = expected_collisions(len(codes_NL), level_sizes)
    if not len(codes_NL):
        return Collisions(float("nan"), floor, random, 0)
    distinct = len(np.unique(codes_NL, axis=0))
    return Collisions(1 - distinct / len(codes_NL), floor, random, distinct)
