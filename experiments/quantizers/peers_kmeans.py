"""scikit-learn's k-means: level by level on residuals, or as a tree with a codebook for every path.

Shape letters: N rows, D embedding, L levels, K codes of a level, P paths (prefixes of codes).
"""

from __future__ import annotations

import math

import numpy as np
from contract import Task, UnsuitedError
from numpy.typing import NDArray
from sklearn.cluster import KMeans


class ResidualKMeans:
    """k-means on what the levels before left over; codewords add up."""

    decodes_prefixes, uncounted_cpu_seconds = True, 0.0

    def __init__(self, task: Task, *, rounds: int = 300) -> None:
        """Fit level by level, with so many rounds of k-means at most (scikit-learn's default: 300)."""
        self.level_sizes = task.level_sizes
        self.mean_D = task.vectors.mean(0)
        self.levels: list[KMeans] = []
        residuals_ND = task.vectors - self.mean_D
        for size in self.level_sizes:
            level = KMeans(size, n_init=1, max_iter=rounds, random_state=task.seed).fit(residuals_ND)
            residuals_ND = residuals_ND - level.cluster_centers_[level.labels_]
            self.levels.append(level)

    def encode(self, x_ND: NDArray[np.float32]) -> NDArray[np.int64]:
        """One index per level, N×L."""
        residuals_ND, codes = x_ND - self.mean_D, []
        for level in self.levels:
            codes.append(level.predict(residuals_ND).astype(np.int64))
            residuals_ND = residuals_ND - level.cluster_centers_[codes[-1]]
        return np.stack(codes, 1)

    def decode(self, codes_NL: NDArray[np.int64]) -> NDArray[np.float32]:
        """The sum of the codewords given."""
        codewords = [level.cluster_centers_[codes_N] for level, codes_N in zip(self.levels, codes_NL.T, strict=False)]
        return self.mean_D + np.sum(codewords, axis=0)


class TreeKMeans:
    """k-means among the rows of every path; a codeword is a mean, shrunk to the one above it."""

    decodes_prefixes, uncounted_cpu_seconds = True, 0.0

    def __init__(self, task: Task, *, shrinkage: float = 0.0) -> None:
        """Fit the tree.

        Args:
            task: what to fit.
            shrinkage: rows s that the codeword above counts for: a mean of n rows is moved to
                parent + (mean - parent) · n / (n + s).
        """
        self.level_sizes = task.level_sizes
        paths, rows = math.prod(self.level_sizes), len(task.vectors)
        if paths > rows:
            raise UnsuitedError(f"a tree of {paths:,} codes has more leaves than there are rows ({rows:,})")
        path_N = np.zeros(rows, dtype=np.int64)
        parent_PD = task.vectors.mean(0, keepdims=True)
        self.levels: list[NDArray[np.float32]] = []
        for size in self.level_sizes:
            codewords_PKD = np.full((len(parent_PD), size, task.vectors.shape[1]), np.inf, dtype=np.float32)
            codes_N = np.zeros(rows, dtype=np.int64)
            for path in np.unique(path_N):
                here = np.flatnonzero(path_N == path)
                means = KMeans(min(size, len(here)), n_init=1, random_state=task.seed).fit(task.vectors[here])
                weight_K1 = np.bincount(means.labels_, minlength=means.n_clusters)[:, None].astype(np.float32)
                weight_K1 = weight_K1 / (weight_K1 + shrinkage).clip(min=1)
                codewords_PKD[path, : means.n_clusters] = (
                    parent_PD[path] + (means.cluster_centers_ - parent_PD[path]) * weight_K1
                )
                codes_N[here] = means.labels_
            self.levels.append(codewords_PKD)
            path_N = path_N * size + codes_N
            parent_PD = codewords_PKD.reshape(-1, codewords_PKD.shape[2])

    def encode(self, x_ND: NDArray[np.float32]) -> NDArray[np.int64]:
        """One index per level, N×L."""
        path_N, codes = np.zeros(len(x_ND), dtype=np.int64), []
        for codewords_PKD in self.levels:
            codes_N = np.zeros(len(x_ND), dtype=np.int64)
            order = np.argsort(path_N, kind="stable")
            paths, first = np.unique(path_N[order], return_index=True)
            for path, here in zip(paths, np.split(order, first[1:]), strict=True):
                codewords_KD = codewords_PKD[path][np.isfinite(codewords_PKD[path, :, 0])]
                codes_N[here] = ((codewords_KD**2).sum(1) - 2 * x_ND[here] @ codewords_KD.T).argmin(1)
            codes.append(codes_N)
            path_N = path_N * codewords_PKD.shape[1] + codes_N
        return np.stack(codes, 1)

    def decode(self, codes_NL: NDArray[np.int64]) -> NDArray[np.float32]:
        """The codeword at the end of each path, which may be a prefix."""
        path_N = np.zeros(len(codes_NL), dtype=np.int64)
        for size, codes_N in zip(self.level_sizes, codes_NL.T[:-1], strict=False):
            path_N = path_N * size + codes_N
        return self.levels[codes_NL.shape[1] - 1][path_N, codes_NL[:, -1]]
