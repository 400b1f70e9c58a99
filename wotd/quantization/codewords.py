"""What codes stand for, and the search for the code that stands for a latent best.

Prefixes that are few have a table of what each of them stands for; the codewords of later levels
are added to that, whatever the prefix. Eight codes on four levels have a table at every depth,
256 codes only at the first.

Shape letters: N rows, B batch, L levels, T levels with a table, K codes of a level, W width of the
beam, Z latent.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate

import torch
from torch import Tensor

from wotd.quantization.products import filled


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

    @cached_property
    def _squares(self) -> list[Tensor]:
        return [points.square().sum(1) for points in (*self.tables, *self.added)]

    @cached_property
    def _stacked(self) -> Tensor:
        """Everything that latents are multiplied with, one matrix for one product."""
        with torch.inference_mode(False):  # kept where validation comes first, and gradients go through it later
            return filled(torch.cat([*self.tables, *self.added]))

    @cached_property
    def _cross(self) -> list[list[Tensor]]:
        """Per added level, twice the products of what can precede it with its codewords."""
        before = [self.tables[-1], *self.added]
        return [[2 * (points @ added.T) for points in before[: i + 1]] for i, added in enumerate(self.added)]

    def search(
        self,
        latents_BZ: Tensor,
        width: int,
        *,
        surprise: Sequence[Tensor | None] = (),
        weight: float = 1.0,
        prefix_weight: float = 0.0,
    ) -> Tensor:
        """The code that costs least of those a beam of that width comes across, int64 B×L.

        A code costs the squared distance of what it stands for, times ``weight``, and the surprise
        of its indices. Level by level the ``width`` best prefixes go on; 1 is greedy.

        Args:
            latents_BZ: rows to code.
            width: prefixes that go on from one level to the next.
            surprise: per level B×K, or None, what saying a code costs beside the distance.
            weight: of squared distances.
            prefix_weight: what the squared distance of each shorter prefix counts, as a share of that of the code.
        """
        sizes, tables = self.level_sizes, len(self.tables)
        surprise = [*surprise, *[None] * (len(sizes) - len(surprise))]
        products = self._products(latents_BZ)
        rows_B1 = torch.arange(len(latents_BZ), device=latents_BZ.device).unsqueeze(1)
        numbers_BW = torch.zeros(len(latents_BZ), 1, dtype=torch.int64, device=latents_BZ.device)
        distance_BW = surprise_BW = latents_BZ.new_zeros(len(latents_BZ), 1)
        chosen: list[Tensor] = []
        for level, size in enumerate(sizes):
            points_BP = self._squares[level] - 2 * products[level]
            if level < tables:  # absolute, looked up at the children of each prefix
                distance_BWK = points_BP.reshape(len(points_BP), points_BP.shape[1] // size, size)
                distance_BWK = distance_BWK[rows_B1, numbers_BW] if level else distance_BWK
            else:
                distance_BWK = distance_BW.unsqueeze(2) + points_BP.unsqueeze(1)
                cross, *crosses = self._cross[level - tables]
                distance_BWK = distance_BWK + cross[numbers_BW]
                for cross, codes_BW in zip(crosses, chosen[tables:], strict=True):
                    distance_BWK += cross[codes_BW]
            cost_BWK = distance_BWK * weight
            said_BK = surprise[level]
            if said_BK is not None:
                cost_BWK = cost_BWK + (surprise_BW.unsqueeze(2) + said_BK.unsqueeze(1))
            elif level:
                cost_BWK = cost_BWK + surprise_BW.unsqueeze(2)
            last = level == len(sizes) - 1
            best_BW = _least(cost_BWK.flatten(1), 1 if last else width)
            parent_BW, codes_BW = best_BW // size, best_BW % size
            if not last:
                distance_BW = distance_BWK.flatten(1).gather(1, best_BW)
                surprise_BW = surprise_BW.gather(1, parent_BW) + prefix_weight * weight * distance_BW
                if said_BK is not None:
                    surprise_BW = surprise_BW + said_BK.gather(1, codes_BW)
            if level < tables:
                numbers_BW = numbers_BW.gather(1, parent_BW) * size + codes_BW
            elif not last:
                numbers_BW = numbers_BW.gather(1, parent_BW)
            chosen = [*(codes.gather(1, parent_BW) for codes in chosen), codes_BW]
        return torch.cat(chosen, 1)

    def walk(
        self,
        latents_BZ: Tensor,
        codes_BL: Tensor | None = None,
        *,
        surprise: Sequence[Tensor | None] = (),
        weight: float = 1.0,
    ) -> tuple[Tensor, list[Tensor], Tensor]:
        """Go down the levels, along codes that are given or greedily, and tell all distances on the way.

        Args:
            latents_BZ: rows; distances have their gradients.
            codes_BL: codes to go along; None to take the cheapest at each level, as :meth:`search` counts.
            surprise: as for :meth:`search`.
            weight: as for :meth:`search`.

        Returns:
            codes, B×L; per level B×K, squared distances to what each code would make of the codes
            before it; and B, the squared distance to what the whole code stands for.
        """
        tables = len(self.tables)
        surprise = [*surprise, *[None] * (len(self.level_sizes) - len(surprise))]
        products = self._products(latents_BZ)
        squares_B1 = latents_BZ.square().sum(1, keepdim=True)
        rows_B = torch.arange(len(latents_BZ), device=latents_BZ.device)
        numbers_B = torch.zeros_like(rows_B)
        distance_B1 = squares_B1
        chosen: list[Tensor] = []
        distances: list[Tensor] = []
        for level, size in enumerate(self.level_sizes):
            points_BP = self._squares[level] - 2 * products[level]
            if level < tables:
                children_BPK = points_BP.reshape(len(points_BP), points_BP.shape[1] // size, size)
                children_BK = children_BPK[rows_B, numbers_B] if level else points_BP
                distance_BK = children_BK + squares_B1
            else:
                cross, *crosses = self._cross[level - tables]
                distance_BK = distance_B1 + points_BP + cross[numbers_B]
                for cross, codes_B in zip(crosses, chosen[tables:], strict=True):
                    distance_BK = distance_BK + cross[codes_B]
            if codes_BL is not None:
                codes_B = codes_BL[:, level]
            else:
                said_BK, cost_BK = surprise[level], distance_BK.detach()
                codes_B = (cost_BK if said_BK is None else cost_BK * weight + said_BK).argmin(1)
            if level < tables:
                numbers_B = numbers_B * size + codes_B
            distance_B1 = distance_BK.gather(1, codes_B.unsqueeze(1))
            chosen.append(codes_B)
            distances.append(distance_BK.clamp_min(0))
        return torch.stack(chosen, 1), distances, distance_B1.squeeze(1).clamp_min(0)

    def _products(self, latents_BZ: Tensor) -> tuple[Tensor, ...]:
        """Products with all points, one matrix per level."""
        lengths = [len(points) for points in (*self.tables, *self.added)]
        return torch.split(filled(latents_BZ) @ self._stacked.T, lengths, 1)


def _least(cost_BC: Tensor, width: int) -> Tensor:
    """Columns of the least costs of each row, least first, B×min(width, C); of one, the lower column wins a tie."""
    if width == 1:
        return cost_BC.argmin(1, keepdim=True)
    return cost_BC.topk(min(width, cost_BC.shape[1]), 1, largest=False).indices
