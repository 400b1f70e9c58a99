"""Codewords at random, and what they stand for and cost, worked out by hand."""

from __future__ import annotations

from itertools import product
from math import prod

import torch
from clustered_latents import rows
from hypothesis import strategies as st
from torch import Tensor

from wotd.quantization.codewords import Codewords

DIM = 3
LEVEL_SIZES = st.lists(st.integers(2, 4), min_size=1, max_size=4).map(tuple)


def doubles(number: int, dim: int, seed: int = 0) -> Tensor:
    """In double precision, so that no tie is decided by rounding."""
    return rows(number, dim, seed).double()


def codewords(sizes: tuple[int, ...], tables: int, seed: int = 0) -> Codewords:
    """Of so many levels with a table, at random: what a prefix stands for tells nothing of a longer one."""
    tabled = [doubles(prod(sizes[: level + 1]), DIM, seed + level) for level in range(tables)]
    added = [doubles(size, DIM, seed + tables + level) for level, size in enumerate(sizes[tables:])]
    return Codewords(sizes, tabled, added)


def every_code(sizes: tuple[int, ...]) -> Tensor:
    return torch.tensor(list(product(*map(range, sizes))))


def stands_for(words: Codewords, code: list[int]) -> Tensor:
    """What a code or prefix stands for, looked up by hand."""
    tables = len(words.tables)
    depth = min(len(code), tables)
    total = torch.zeros(DIM, dtype=torch.float64)
    if depth:
        shape = (*words.level_sizes[:depth], DIM)
        total = words.tables[depth - 1].view(shape)[tuple(code[:depth])]
    for level in range(tables, len(code)):
        total = total + words.added[level - tables][code[level]]
    return total


def costs(
    words: Codewords, x: Tensor, surprise: list[Tensor | None], weight: float, prefix_weight: float = 0.0
) -> Tensor:
    """What each code costs each row, B×(all codes)."""
    codes, levels = every_code(words.level_sizes), len(words.level_sizes)
    total = torch.zeros(len(x), len(codes), dtype=torch.float64)
    for depth in range(1, levels + 1):
        points = torch.stack([stands_for(words, code) for code in codes[:, :depth].tolist()])
        counts = weight * (1.0 if depth == levels else prefix_weight)
        total = total + counts * (x.unsqueeze(1) - points).square().sum(2)
    for level, said in enumerate(surprise):
        if said is not None:
            total = total + said[:, codes[:, level]]
    return total


def surprises(sizes: tuple[int, ...], batch: int, levels: set[int], seed: int) -> list[Tensor | None]:
    return [
        -torch.log_softmax(2 * doubles(batch, size, seed + level), 1) if level in levels else None
        for level, size in enumerate(sizes)
    ]
