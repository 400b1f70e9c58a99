"""What codes and prefixes of codes stand for.

Prefixes that are few have a table of what each of them stands for; the codewords of later levels
are added to that, whatever the prefix. Eight codes on four levels have a table at every depth,
256 codes only at the first.

Shape letters: N rows, B batch, L levels, T levels with a table, K codes of a level, Z latent.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor


def levels_with_table(level_sizes: Sequence[int], max_prefixes: int) -> int:
    """How many leading levels have at most so many prefixes, T; the first always has a table."""
    return max(1, len([prefixes for prefixes in accumulate(level_sizes, operator.mul) if prefixes <= max_prefixes]))


def prefix_numbers(codes_BL: Tensor, level_sizes: Sequence[int]) -> Tensor:
    """The place of each row's code among all codes of these levels in their order, int64 B."""
    numbers_B = torch.zeros(len(codes_BL), dtype=torch.int64, device=codes_BL.device)
    for codes_B, size in zip(codes_BL.unbind(1), level_sizes, strict=True):
        numbers_B = numbers_B * size + codes_B
    return numbers_B


class Codewords:
    """Tables of prefixes, then codewords of the levels behind them; immutable.

    Attributes:
        level_sizes: codes per level.
        tables: per level with a table, what each prefix that ends there stands for, (K_0 · … · K_l)×Z.
        added: per later level, what each of its codes adds, K×Z.
    """

    def __init__(self, level_sizes: Sequence[int], tables: Sequence[Tensor], added: Sequence[Tensor]) -> None:
        """Take the tensors as they are; they must not change afterwards."""
        self.level_sizes, self.tables, self.added = tuple(level_sizes), tuple(tables), tuple(added)

    def decode(self, codes_BL: Tensor) -> Tensor:
        """What codes, or prefixes of codes, stand for, B×Z; the empty prefix for zero."""
        depth = min(codes_BL.shape[1], len(self.tables))
        if not depth:
            return self.tables[0].new_zeros(len(codes_BL), self.tables[0].shape[1])
        numbers_B = prefix_numbers(codes_BL[:, :depth], self.level_sizes[:depth])
        total_BZ = torch.nn.functional.embedding(numbers_B, self.tables[depth - 1])
        for added_KZ, codes_B in zip(self.added, codes_BL[:, depth:].unbind(1), strict=False):
            total_BZ = total_BZ + torch.nn.functional.embedding(codes_B, added_KZ)
        return total_BZ
