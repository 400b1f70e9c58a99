"""Codes and codewords found together, in turns, each row coded by codewords that it had no part in.

Shape letters: N rows, L levels, M indicators, K codes of a level, Z latent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from wotd.quantization.codewords import Codewords
from wotd.quantization.ridge import CodewordRidge, NormalEquations

FOLDS = 2
"""Parts of the data of which each is coded by the codewords of the others."""

Coder = Callable[[Codewords, Tensor], Tensor]
"""Gives the rows of those indices (int64 n) their codes (n×L) under codewords."""


def fit_codewords(
    ridge: CodewordRidge,
    latents_NZ: Tensor,
    codes_NL: Tensor,
    code: Coder,
    generator: torch.Generator,
    *,
    rounds: int,
    movable: tuple[int, ...] = (),
    revive_below: float = 0.0,
    on_round: Callable[[], object] = lambda: None,
) -> Codewords:
    """Go from codes to codewords, and so many rounds on.

    A round deals the rows into folds anew and codes each fold by codewords fitted to the other folds.
    A row that helped to shape a codeword lies nearer to it than unseen rows do, and codewords fitted
    to such codes fit them ever more closely and unseen rows no better; codes that are given without
    that advantage are those that unseen rows will have.

    Source: the alternation is that of A. Babenko, V. Lempitsky (2014); the folds are cross-fitting, as in
    V. Chernozhukov et al., "Double/debiased machine learning" (2018), applied to it.

    Args:
        ridge: the regression.
        latents_NZ: rows to fit to.
        codes_NL: codes to begin with.
        code: the search for codes.
        generator: decides the folds.
        rounds: how often codes are given anew; 0 fits codewords to the codes as they are.
        movable: levels whose dead codes may move.
        revive_below: a code is dead that has less than this share of an even share of the rows.
        on_round: is called after each round, to show progress.
    """
    for _ in range(rounds):
        order_N = torch.randperm(len(latents_NZ), generator=generator).to(latents_NZ.device)
        folds = order_N.tensor_split(FOLDS)
        equations = [ridge.equations(latents_NZ[rows], codes_NL[rows]) for rows in folds]
        revived = revived_codewords(ridge, equations, latents_NZ, codes_NL, movable, revive_below)
        renewed_NL = torch.empty_like(codes_NL)
        for fold, rows in enumerate(folds):
            others = NormalEquations.added([each for other, each in enumerate(equations) if other != fold])
            weights_MZ = ridge.solve(others)
            for indicator, weight_Z in revived.items():
                weights_MZ[indicator] = weight_Z
            renewed_NL[rows] = code(ridge.codewords(weights_MZ), rows)
        codes_NL = renewed_NL
        on_round()
    return ridge.codewords(ridge.solve(ridge.equations(latents_NZ, codes_NL)))


def revived_codewords(
    ridge: CodewordRidge,
    equations: Sequence[NormalEquations],
    latents_NZ: Tensor,
    codes_NL: Tensor,
    levels: tuple[int, ...],
    below: float,
) -> dict[int, Tensor]:
    """New codewords for dead codes, by their indicator: what the worst served rows would have needed there.

    Moving a codeword revives nothing while codes stay as they are: the next fit has no rows for it and
    shrinks it back to nothing. So the moved codewords are to be used to give codes anew.
    """
    moved: dict[int, Tensor] = {}
    if not below:
        return moved
    dead = [
        (level, int(code))
        for level in levels
        for code in (torch.bincount(codes_NL[:, level], minlength=ridge.level_sizes[level])
                     < below * len(codes_NL) / ridge.level_sizes[level]).nonzero()
    ]  # fmt: skip
    if not dead:
        return moved
    weights_MZ = ridge.solve(NormalEquations.added(equations))
    missing_NZ = latents_NZ - ridge.codewords(weights_MZ).decode(codes_NL)
    worst = missing_NZ.square().sum(1).topk(min(len(dead), len(missing_NZ))).indices
    for (level, code), row in zip(dead, worst.tolist(), strict=False):
        said = weights_MZ[ridge.first[level] + int(codes_NL[row, level])]
        moved[ridge.first[level] + code] = said + missing_NZ[row]
    return moved
