"""The walk down the levels along one code, which tells all distances on the way, with their gradients.

Shape letters: B batch, L levels, K codes of a level, P points of a level, Z latent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from wotd.quantization.search import CodewordSearch


def walk(
    search: CodewordSearch,
    latents_BZ: Tensor,
    codes_BL: Tensor | None = None,
    *,
    surprise: Sequence[Tensor | None] = (),
    weight: float = 1.0,
) -> tuple[Tensor, tuple[Tensor, ...], Tensor]:
    """Go along codes that are given, or greedily.

    Args:
        search: the codewords, for latents.
        latents_BZ: rows; distances have their gradients.
        codes_BL: codes to go along; None to take the cheapest at each level, as the search counts.
        surprise: per level B×K, or None, what saying a code costs beside the distance.
        weight: of squared distances.

    Returns:
        codes, B×L; per level B×K, squared distances to what each code would make of the codes
        before it; and B, the squared distance to what the whole code stands for.
    """
    codes_BL, left_B, *distances = _Walk.apply(  # type: ignore[no-untyped-call]
        latents_BZ, search, codes_BL, surprise, weight
    )
    return codes_BL, tuple(distances), left_B


class _Walk(torch.autograd.Function):
    """The gradient is one product, where a graph of all the small steps would be felt in training."""

    @staticmethod
    def forward(
        ctx: Any,
        latents_BZ: Tensor,
        search: CodewordSearch,
        given_BL: Tensor | None,
        surprise: Sequence[Tensor | None],
        weight: float,
    ) -> tuple[Tensor, ...]:
        """Codes, the distance of the whole code, and the distances of each level."""
        distance_B1 = squares_B1 = latents_BZ.square().sum(1, keepdim=True)
        rows_B = torch.arange(len(latents_BZ), device=latents_BZ.device)
        numbers_B = torch.zeros_like(rows_B)
        chosen: list[Tensor] = []
        distances: list[Tensor] = []
        prefixes: list[Tensor] = []
        for level, size in enumerate(search.level_sizes):
            if level < search.tables:
                prefixes.append(numbers_B)
                distance_BK = search.children(level, latents_BZ)[rows_B, numbers_B].add_(squares_B1)
            else:
                distance_BK = search.cross(level, numbers_B, chosen[search.tables :])
                distance_BK.add_(search.distances(level, latents_BZ)).add_(distance_B1)
            said_BK = surprise[level] if level < len(surprise) else None
            if given_BL is not None:
                codes_B = given_BL[:, level]
            elif said_BK is None:
                codes_B = distance_BK.argmin(1)
            else:
                codes_B = said_BK.add(distance_BK, alpha=weight).argmin(1)
            if level < search.tables:
                numbers_B = numbers_B * size + codes_B
            distance_B1 = distance_BK.gather(1, codes_B.unsqueeze(1))
            chosen.append(codes_B)
            distances.append(distance_BK.clamp_min_(0))
        codes_BL = torch.stack(chosen, 1)
        ctx.save_for_backward(latents_BZ, codes_BL, *prefixes)
        ctx.search = search
        ctx.mark_non_differentiable(codes_BL)
        ctx.set_materialize_grads(False)
        return codes_BL, distance_B1.squeeze(1).clamp_min(0), *distances

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        """Of the latents: for each distance twice the latent, less twice the points it was measured to."""
        latents_BZ, codes_BL, *prefixes = ctx.saved_tensors
        search: CodewordSearch = ctx.search
        _, left_B, *told = gradients
        rows_B = torch.arange(len(latents_BZ), device=latents_BZ.device)
        before_B = torch.zeros_like(latents_BZ[:, 0]) if left_B is None else left_B
        squares_B = torch.zeros_like(before_B)
        products_BZ = torch.zeros_like(latents_BZ)
        for level in reversed(range(len(told))):
            size, told_BK = search.level_sizes[level], told[level]
            gradient_BK = latents_BZ.new_zeros(len(latents_BZ), size) if told_BK is None else told_BK
            gradient_BK = gradient_BK.scatter_add(1, codes_BL[:, level : level + 1], before_B.unsqueeze(1))
            before_B = gradient_BK.sum(1)  # of the distance that this level adds to
            points = search.points[level]
            if level < search.tables:  # which is none, but that of the latent itself
                squares_B = squares_B + before_B
                before_B = torch.zeros_like(before_B)
                if level:
                    children_BPK = gradient_BK.new_zeros(len(rows_B), len(points) // size, size)
                    children_BPK[rows_B, prefixes[level]] = gradient_BK
                    gradient_BK = children_BPK.flatten(1)
            products_BZ.addmm_(gradient_BK, points[:, : latents_BZ.shape[1]])
        return 2 * (latents_BZ * squares_B.unsqueeze(1) - products_BZ), None, None, None, None
