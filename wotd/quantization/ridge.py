"""Codewords of all levels at once, in closed form: ridge regression of latents on the indicators of their codes.

Each index of each level is an indicator, and so is each prefix that has a table (see
:mod:`wotd.quantization.codewords`). Least squares over all of them together lets levels share the
work that k-means, level after level, leaves undone; the penalty keeps codes that few rows bear near
what their level and their shorter prefix say.

Source: A. Babenko, V. Lempitsky, "Additive Quantization for Extreme Vector Compression" (2014),
section 3.2, without a penalty; A. Hoerl, R. Kennard, "Ridge Regression" (1970).

Shape letters: N rows, L levels, F indicators that a row bears, M indicators, E those of the last
kind and R all others, Z latent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import accumulate
from math import inf, prod

import torch
from torch import Tensor

from wotd.errors import ConfigurationError
from wotd.quantization.codewords import Codewords, prefix_numbers

MAX_INDICATORS = 16384
"""The normal equations are solved as one dense matrix of this many rows at most (2 GiB in double precision)."""


_FEW = 2048
"""Up to so many indicators of all but the last kind, the equations are always factorised."""

_STEP_COST = 300
"""Work of solving in steps, in multiplications of a factorisation, for each entry that is not zero and each column."""

_TOLERANCE, _MAX_STEPS, _TINY = 1e-7, 1000, 1e-300


@dataclass(frozen=True)
class NormalEquations:
    """What rows add to the least squares: they add up.

    A row bears one indicator of the last kind, so these meet only themselves: of them, that is all that is kept.

    Attributes:
        gram: how often indicators of all other kinds occur together with any, R×M.
        own: how often each of the last kind occurs, E.
        sums: sums of the latents that bear an indicator, M×Z.
    """

    gram: Tensor
    own: Tensor
    sums: Tensor

    @classmethod
    def added(cls, parts: Sequence[NormalEquations]) -> NormalEquations:
        """The equations of all rows of these parts."""
        return cls(*(sum(getattr(part, field.name) for part in parts) for field in fields(cls)))


class CodewordRidge:
    """The regression for given level sizes."""

    def __init__(
        self, level_sizes: Sequence[int], tables: int, *, ridge: float, prefix_ridge: float, prefix_weight: float = 0.0
    ) -> None:
        """Set the problem up.

        Args:
            level_sizes: codes per level.
            tables: how many leading levels have a table of prefixes.
            ridge: penalty of a level's codewords, in rows: one that n rows bear shrinks by n / (n + ridge).
            prefix_ridge: penalty, likewise, of what sets a prefix apart from the sum of its codewords.
            prefix_weight: what the squared error of each shorter prefix counts, as a share of that of the code.

        Raises:
            ConfigurationError: if there are too many codes to solve for, or a penalty is not positive and finite.
        """
        for name, penalty in (("ridge", ridge), ("prefix_ridge", prefix_ridge)):
            if not 0 < penalty < inf:
                raise ConfigurationError(f"model.quantizer.{name} is {penalty}; expected more than 0, and finite.")
        self.level_sizes, self.tables = tuple(level_sizes), tables
        prefixes = [prod(level_sizes[: level + 1]) for level in range(1, tables)]
        sizes = [*level_sizes, *prefixes]
        self.first = [0, *accumulate(sizes)]
        self.last = self.first[-2]  # R
        if self.first[-1] > MAX_INDICATORS:
            raise ConfigurationError(
                f"model.level_sizes is {list(level_sizes)}, which makes {self.first[-1]} codewords to solve for; at "
                f"most {MAX_INDICATORS} are possible: lower a size, or model.quantizer.max_prefixes."
            )
        # An indicator has a part in its own prefix and all longer ones; a pair of them, in those of the longer.
        depths = [*range(len(level_sizes)), *range(1, tables)]
        counts = [1 + prefix_weight * (len(level_sizes) - 1 - depth) for depth in depths]
        self.count_M = torch.tensor([count for count, size in zip(counts, sizes, strict=True) for _ in range(size)])
        self.weighted = prefix_weight > 0
        penalties = [ridge] * sum(level_sizes) + [prefix_ridge] * sum(prefixes)
        self.penalty_M = torch.tensor(penalties, dtype=torch.float64)

    @property
    def size(self) -> int:
        """M, the number of indicators."""
        return self.first[-1]

    def indicators(self, codes_NL: Tensor) -> Tensor:
        """The indicators that each row bears, int64 N×F."""
        columns = [codes_N + first for codes_N, first in zip(codes_NL.unbind(1), self.first, strict=False)]
        levels = len(self.level_sizes)
        for level in range(1, self.tables):
            numbers_N = prefix_numbers(codes_NL[:, : level + 1], self.level_sizes[: level + 1])
            columns.append(numbers_N + self.first[levels + level - 1])
        return torch.stack(columns, 1)

    def equations(self, latents_NZ: Tensor, codes_NL: Tensor) -> NormalEquations:
        """What these rows add."""
        *others, last_N = columns = self.indicators(codes_NL).unbind(1)
        gram = torch.zeros(self.last * self.size, device=latents_NZ.device)
        sums = latents_NZ.new_zeros(self.size, latents_NZ.shape[1])
        ones_N = gram.new_ones(len(codes_NL))
        for column_N in columns:
            sums.index_add_(0, column_N, latents_NZ)
            for other_N in others:
                gram.index_add_(0, other_N * self.size + column_N, ones_N)
        gram = gram.view(self.last, self.size)
        own = torch.bincount(last_N - self.last, minlength=self.size - self.last).to(gram.dtype)
        if self.weighted:
            count_M = self.count_M.to(latents_NZ.device)
            gram *= torch.minimum(count_M[: self.last].unsqueeze(1), count_M)
            own *= count_M[self.last :]
            sums *= count_M.unsqueeze(1)
        return NormalEquations(gram, own, sums)

    def solve(self, equations: NormalEquations) -> Tensor:
        """Weights of the indicators, M×Z; those of the last kind are eliminated by hand."""
        penalty_M = self.penalty_M.to(equations.gram.device)
        own_E1 = (equations.own + penalty_M[self.last :]).unsqueeze(1)
        sums_RZ, sums_EZ = equations.sums.double().tensor_split([self.last])
        left_RR, across_RE = equations.gram.tensor_split([self.last], 1)
        solved = _solved_in_steps if self._sparse(equations) else _solved_at_once
        rest_RZ, across_EZ = solved(left_RR, across_RE, penalty_M[: self.last], own_E1, sums_RZ, sums_EZ)
        return torch.cat([rest_RZ, (sums_EZ - across_EZ) / own_E1]).to(equations.sums.dtype)

    def _sparse(self, equations: NormalEquations) -> bool:
        """Whether so few indicators meet that products with the zeros left out are less work than a factorisation."""
        if self.last < _FEW:
            return False
        filled = int(torch.count_nonzero(equations.gram))
        factorisation = self.last**2 * (self.last / 3 + 2 * (self.size - self.last))
        return filled * equations.sums.shape[1] * _STEP_COST < factorisation

    def codewords(self, weights_MZ: Tensor) -> Codewords:
        """Tables and codewords that weights make."""
        *parts, _ = torch.tensor_split(weights_MZ, self.first[1:])
        levels = len(self.level_sizes)
        tables: list[Tensor] = []
        for level in range(self.tables):
            table = parts[level] if not tables else (tables[-1].unsqueeze(1) + parts[level]).flatten(0, 1)
            tables.append(table if not level else table + parts[levels + level - 1])
        return Codewords(self.level_sizes, tables, parts[self.tables : levels])


def _solved_at_once(
    left_RR: Tensor, across_RE: Tensor, penalty_R: Tensor, own_E1: Tensor, sums_RZ: Tensor, sums_EZ: Tensor
) -> tuple[Tensor, Tensor]:
    """Weights of all but the last kind, R×Z, and what they take of the sums of the last, E×Z; by Cholesky."""
    left_RR, across_RE = left_RR.double(), across_RE.double()
    scaled_RE = across_RE / own_E1.T
    left_RR.diagonal().add_(penalty_R)
    left_RR.addmm_(scaled_RE, across_RE.T, alpha=-1)
    rest_RZ = torch.cholesky_solve(sums_RZ - scaled_RE @ sums_EZ, torch.linalg.cholesky(left_RR))
    return rest_RZ, across_RE.T @ rest_RZ


def _solved_in_steps(
    left_RR: Tensor, across_RE: Tensor, penalty_R: Tensor, own_E1: Tensor, sums_RZ: Tensor, sums_EZ: Tensor
) -> tuple[Tensor, Tensor]:
    """The same, by conjugate gradients on the entries that are not zero, each column of the sums on its own.

    Source: M. Hestenes, E. Stiefel, "Methods of Conjugate Gradients for Solving Linear Systems" (1952), with the
    diagonal for a preconditioner.
    """
    diagonal_R1 = (left_RR.diagonal().double() + penalty_R).unsqueeze(1)
    left, across = left_RR.to_sparse().double(), across_RE.to_sparse().double()
    back = across.T.coalesce()
    weights_RZ = torch.zeros_like(sums_RZ)
    missing_RZ = sums_RZ - across @ (sums_EZ / own_E1)
    step_RZ = missing_RZ / diagonal_R1
    size_Z = (missing_RZ * step_RZ).sum(0)
    enough_Z = _TOLERANCE**2 * size_Z
    for _ in range(_MAX_STEPS):
        if bool((size_Z <= enough_Z).all()):
            break
        moved_RZ = left @ step_RZ + penalty_R.unsqueeze(1) * step_RZ - across @ ((back @ step_RZ) / own_E1)
        length_Z = size_Z / (step_RZ * moved_RZ).sum(0).clamp_min(_TINY)
        weights_RZ += length_Z * step_RZ
        missing_RZ -= length_Z * moved_RZ
        before_Z, size_Z = size_Z, (missing_RZ.square() / diagonal_R1).sum(0)
        step_RZ = missing_RZ / diagonal_R1 + (size_Z / before_Z.clamp_min(_TINY)) * step_RZ
    return weights_RZ, back @ weights_RZ
