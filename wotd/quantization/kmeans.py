"""k-means: where free levels start.

Shape letters: N rows, K codes, Z latent.
"""

from __future__ import annotations

import torch
from torch import Tensor

from wotd.errors import TrainingError
from wotd.quantization.products import squared_distances

_CHUNK_ROWS = 8192
_SEED_ROWS_PER_CODE = 32
"""Rows, at most, that seeds are drawn among, for each of them; every seed costs a look at all these rows."""


def assign(vectors_NZ: Tensor, points_KZ: Tensor) -> Tensor:
    """The nearest point of each row, in chunks so that memory stays flat; int64 of length N."""
    return torch.cat([squared_distances(chunk, points_KZ).argmin(1) for chunk in torch.split(vectors_NZ, _CHUNK_ROWS)])


def kmeans(vectors_NZ: Tensor, size: int, generator: torch.Generator, *, iterations: int = 20) -> Tensor:
    """Centroids (K×Z) of Lloyd's algorithm from a k-means++ start.

    A cluster that empties restarts at the row that is worst served.

    Source: D. Arthur, S. Vassilvitskii, "k-means++: the advantages of careful seeding" (2007).

    Raises:
        TrainingError: if there are fewer vectors than clusters.
    """
    if len(vectors_NZ) < size:
        raise TrainingError(
            f"there are {len(vectors_NZ)} training vectors for a level of {size} codes; k-means needs at least one "
            f"vector per code: give more vectors, or lower model.level_sizes."
        )
    centroids_KZ = _seeds(_sample(vectors_NZ, size * _SEED_ROWS_PER_CODE, generator), size, generator)
    codes_N: Tensor | None = None
    for _ in range(iterations):
        previous, codes_N = codes_N, assign(vectors_NZ, centroids_KZ)
        if previous is not None and torch.equal(previous, codes_N):
            break
        centroids_KZ, counts_K = means(vectors_NZ, codes_N, size)
        empty = (counts_K == 0).nonzero().flatten()
        if len(empty):
            errors_N = (vectors_NZ - centroids_KZ[codes_N]).square().sum(1)
            centroids_KZ[empty] = vectors_NZ[errors_N.topk(len(empty)).indices]
    return centroids_KZ


def means(vectors_NZ: Tensor, codes_N: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Mean of the vectors of each code (zeros where it has none), K×Z, and how many it has."""
    counts_K = torch.bincount(codes_N, minlength=size)
    sums_KZ = vectors_NZ.new_zeros(size, vectors_NZ.shape[1]).index_add_(0, codes_N, vectors_NZ)
    return sums_KZ / counts_K.clamp_min(1).unsqueeze(1), counts_K


def _sample(vectors_NZ: Tensor, rows: int, generator: torch.Generator) -> Tensor:
    if len(vectors_NZ) <= rows:
        return vectors_NZ
    return vectors_NZ[torch.randperm(len(vectors_NZ), generator=generator)[:rows].to(vectors_NZ.device)]


def _seeds(vectors_NZ: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """k-means++: each next seed is drawn with probability proportional to its squared distance."""
    first = int(torch.randint(len(vectors_NZ), (1,), generator=generator))
    seeds = [first]
    squares_N = vectors_NZ.square().sum(1)
    nearest_N = torch.full_like(squares_N, torch.inf)
    draws = torch.rand(size, generator=generator, dtype=torch.float64)
    for index in range(1, size):
        seed = vectors_NZ[seeds[-1]]
        distance_N = (squares_N - 2 * (vectors_NZ @ seed) + seed.square().sum()).clamp_min(0)
        nearest_N = torch.minimum(nearest_N, distance_N)
        nearest_N[seeds[-1]] = 0
        cumulative_N = nearest_N.double().cumsum(0)
        target = draws[index].to(cumulative_N.device) * cumulative_N[-1]
        seeds.append(min(int(torch.searchsorted(cumulative_N, target)), len(vectors_NZ) - 1))
    return vectors_NZ[seeds].clone()
