"""Latents in clusters, and generators: what the tests of quantization share."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor

CLUSTERS = 40


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows(number: int, dim: int, seed: int = 0) -> Tensor:
    return torch.randn(number, dim, generator=seeded(seed))


def clustered(number: int, dim: int, seed: int = 0, *, spread: float = 1.0) -> Tensor:
    """Rows about the same centres whatever the seed, centred on nought; ``spread`` of theirs about their centre."""
    centres = rows(CLUSTERS, dim, 99)
    generator = seeded(seed)
    chosen = torch.randint(CLUSTERS, (number,), generator=generator)
    return centres[chosen] - centres.mean(0) + spread * torch.randn(number, dim, generator=generator)


def nmse(x: Tensor, stands_for: Tensor) -> float:
    """Squared error over that of the mean alone."""
    return float((x - stands_for).square().sum() / (x - x.mean(0)).square().sum())


def residual_kmeans_nmse(train: Tensor, unseen: Tensor, level_sizes: tuple[int, ...], seed: int) -> float:
    """What plain residual k-means leaves of unseen rows: scikit-learn's, level after level, coded greedily."""
    left, unseen_left = train.numpy(), unseen.numpy()
    for size in level_sizes:
        level = KMeans(size, n_init=1, random_state=seed).fit(left)
        left = left - level.cluster_centers_[level.labels_]
        unseen_left = unseen_left - level.cluster_centers_[level.predict(unseen_left)]
    return float((unseen_left**2).sum() / ((unseen.numpy() - np.mean(unseen.numpy(), 0)) ** 2).sum())
