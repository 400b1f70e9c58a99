"""The search for the code that stands for a latent best, over tables of products that are made once.

Shape letters: B batch, L levels, K codes of a level, P prefixes or codes of a level, W width of the
beam, X what rows are, Z latent.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor
from torch.nn import functional

from wotd.quantization.codewords import Codewords
from wotd.quantization.products import filled


class CodewordSearch:
    """Searches codewords by a beam.

    Distances leave out the square of the latent, which is the same for all codes.

    Attributes:
        level_sizes: codes per level.
        tables: how many leading levels have a table of prefixes.
        points: per level its points, as rows are multiplied with them, P×X.
    """

    def __init__(self, codewords: Codewords, weight_ZX: Tensor | None = None, bias_Z: Tensor | None = None) -> None:
        """Make the tables of products.

        Args:
            codewords: to search.
            weight_ZX: of the linear map that makes latents of rows; codewords go through it here, once, so that
                rows need not. None where rows are latents.
            bias_Z: of that map.
        """
        self.level_sizes, self.tables = codewords.level_sizes, len(codewords.tables)
        groups = (*codewords.tables, *codewords.added)
        # Kept where validation comes first, and gradients go through it later; it has none of its own.
        with torch.inference_mode(False), torch.no_grad():
            self.points = [filled(points if weight_ZX is None else points @ weight_ZX) for points in groups]
            self._squares = [points.square().sum(1) for points in groups]
            if bias_Z is not None:
                shifts = [2 * (points @ bias_Z) for points in groups]
                self._squares = [squares - shift for squares, shift in zip(self._squares, shifts, strict=True)]
            before = accumulate(codewords.added, lambda a, b: torch.cat([a, b]), initial=codewords.tables[-1])
            self._cross = [2 * (points @ added.T) for points, added in zip(before, codewords.added, strict=False)]
        self._first = list(accumulate(map(len, codewords.added), initial=len(codewords.tables[-1])))

    def distances(self, level: int, rows_BX: Tensor) -> Tensor:
        """Squares of a level's points less twice their products with the rows, B×P."""
        return torch.addmm(self._squares[level], filled(rows_BX), self.points[level].T, alpha=-2)

    def children(self, level: int, rows_BX: Tensor) -> Tensor:
        """The same of a level with a table, by the prefix that they continue, B×(P / K)×K."""
        size = self.level_sizes[level]
        return self.distances(level, rows_BX).view(len(rows_BX), len(self.points[level]) // size, size)

    def cross(self, level: int, numbers: Tensor, chosen: Sequence[Tensor]) -> Tensor:
        """What codes of a level behind the tables have in common with what was chosen before: twice the products.

        Args:
            level: of the codes.
            numbers: chosen prefixes of the last table, int64, any shape.
            chosen: codes of the levels since, of that shape.

        Returns:
            that shape, and K behind it.
        """
        table = self._cross[level - self.tables]
        rows = [numbers, *(codes + first for codes, first in zip(chosen, self._first, strict=False))]
        bags = torch.stack(rows, -1).flatten(0, -2)
        return functional.embedding_bag(bags, table, mode="sum").view(*numbers.shape, table.shape[1])

    def search(
        self,
        rows_BX: Tensor,
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
            rows_BX: rows to code.
            width: prefixes that go on from one level to the next.
            surprise: per level B×K, or None, what saying a code costs beside the distance.
            weight: of squared distances.
            prefix_weight: what the squared distance of each shorter prefix counts, as a share of that of the code.
        """
        surprise = [*surprise, *[None] * (len(self.level_sizes) - len(surprise))]
        if width == 1:
            return self._greedy(rows_BX, surprise, weight)
        rows_B1 = torch.arange(len(rows_BX), device=rows_BX.device).unsqueeze(1)
        numbers_BW = torch.zeros_like(rows_B1)
        distance_BW = beside_BW = rows_BX.new_zeros(len(rows_BX), 1)
        chosen: list[Tensor] = []
        for level, size in enumerate(self.level_sizes):
            if level < self.tables:  # absolute, looked up at the children of each prefix
                distance_BWK = self.children(level, rows_BX)[rows_B1, numbers_BW]
            else:
                distance_BWK = self.cross(level, numbers_BW, chosen[self.tables :])
                distance_BWK.add_(self.distances(level, rows_BX).unsqueeze(1)).add_(distance_BW.unsqueeze(2))
            cost_BWK, said_BK = torch.add(beside_BW.unsqueeze(2), distance_BWK, alpha=weight), surprise[level]
            if said_BK is not None:
                cost_BWK.add_(said_BK.unsqueeze(1))
            last = level == len(self.level_sizes) - 1
            best_BW = _least(cost_BWK.flatten(1), 1 if last else width)
            parent_BW, codes_BW = best_BW // size, best_BW % size
            chosen = [*(codes.gather(1, parent_BW) for codes in chosen), codes_BW]
            if not last:
                distance_BW = distance_BWK.flatten(1).gather(1, best_BW)
                beside_BW = beside_BW.gather(1, parent_BW).add(distance_BW, alpha=prefix_weight * weight)
                if said_BK is not None:
                    beside_BW = beside_BW + said_BK.gather(1, codes_BW)
                numbers_BW = numbers_BW.gather(1, parent_BW)
                if level < self.tables:
                    numbers_BW = numbers_BW * size + codes_BW
        return torch.cat(chosen, 1)

    def _greedy(self, rows_BX: Tensor, surprise: Sequence[Tensor | None], weight: float) -> Tensor:
        """One prefix has no rivals: what it has cost so far decides nothing, and need not be told."""
        rows_B = torch.arange(len(rows_BX), device=rows_BX.device)
        numbers_B = torch.zeros_like(rows_B)
        chosen: list[Tensor] = []
        for level, size in enumerate(self.level_sizes):
            if level >= self.tables:
                cost_BK = self.cross(level, numbers_B, chosen[self.tables :]).add_(self.distances(level, rows_BX))
            else:
                cost_BK = self.children(level, rows_BX)[rows_B, numbers_B] if level else self.distances(0, rows_BX)
            said_BK = surprise[level]
            if said_BK is not None:
                cost_BK = said_BK.add(cost_BK, alpha=weight)
            codes_B = cost_BK.min(1).indices
            if level < self.tables:
                numbers_B = numbers_B * size + codes_B
            chosen.append(codes_B)
        return torch.stack(chosen, 1)


def _least(cost_BC: Tensor, width: int) -> Tensor:
    """Columns of the least costs of each row, least first, B×min(width, C); of one, the lower column wins a tie."""
    if width == 1:
        return cost_BC.min(1, keepdim=True).indices
    return cost_BC.topk(min(width, cost_BC.shape[1]), 1, largest=False).indices
