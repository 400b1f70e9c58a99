"""One level's codewords: assignment, k-means start, moving averages, revival of dead codes.

Shape letters: N rows, B batch, K codes, Z latent.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wotd.errors import ConfigurationError, TrainingError
from wotd.quantization.products import squared_distances

_CHUNK_ROWS = 8192
_TRACE = 2.0**-20
"""How much a codeword's place counts in its next one, in even shares; a power of two, so that it adds no rounding."""


class Codebook(nn.Module):
    """K codewords that follow, by exponential moving averages, the vectors assigned to them.

    All that decides behaviour is a buffer and travels with the ``state_dict``: the codewords, the
    sums and counts they are averages of, and whether they were started.

    Source: A. van den Oord et al., "Neural Discrete Representation Learning" (2017), appendix A.1.
    """

    embed_KZ: Tensor
    embed_avg_KZ: Tensor
    cluster_size_K: Tensor
    initialised: Tensor

    def __init__(self, size: int, dim: int, *, decay: float = 0.99, revive_below: float = 0.02) -> None:
        """Make an unstarted codebook.

        Args:
            size: K, how many codewords.
            dim: Z, their length.
            decay: share of the running sums that a batch leaves in place, in [0, 1).
            revive_below: a code is dead when its running count falls below this share of an even
                share of the batch; 0 never revives.

        Raises:
            ConfigurationError: if a number is out of range.
        """
        super().__init__()
        if not 0 <= decay < 1:
            raise ConfigurationError(f"model.quantizer.decay is {decay}; expected 0 or more and less than 1.")
        if not 0 <= revive_below < 1:
            raise ConfigurationError(
                f"model.quantizer.revive_below is {revive_below}; expected 0 or more and less than 1."
            )
        self.size, self.dim, self.decay, self.revive_below = size, dim, decay, revive_below
        self.register_buffer("embed_KZ", torch.zeros(size, dim))
        self.register_buffer("embed_avg_KZ", torch.zeros(size, dim))
        self.register_buffer("cluster_size_K", torch.zeros(size))
        self.register_buffer("initialised", torch.tensor(False))

    def distances(self, vectors_BZ: Tensor) -> Tensor:
        """Squared Euclidean distances to all codewords, B×K, not below zero."""
        # The gradient needs the codewords as they were; the batch moves them in place before it comes.
        return squared_distances(vectors_BZ, self.embed_KZ.clone() if self.training else self.embed_KZ)

    def lookup(self, codes_B: Tensor) -> Tensor:
        """The codewords of the codes, B×Z."""
        return nn.functional.embedding(codes_B, self.embed_KZ)

    @torch.no_grad()
    def start(self, vectors_NZ: Tensor, generator: torch.Generator, *, iterations: int = 20) -> None:
        """Start at the k-means solution of the vectors.

        Raises:
            TrainingError: if there are fewer vectors than codes.
        """
        centroids_KZ = kmeans(vectors_NZ, self.size, generator, iterations=iterations)
        self._set(centroids_KZ, assign(vectors_NZ, centroids_KZ))

    @torch.no_grad()
    def start_from_codes(self, vectors_NZ: Tensor, codes_N: Tensor) -> None:
        """Start each codeword at the mean of the vectors to which something else gave its code.

        The codeword of a code that no vector has starts at the mean of all.
        """
        counts_K = torch.bincount(codes_N, minlength=self.size)
        sums_KZ = torch.zeros_like(self.embed_KZ).index_add_(0, codes_N, vectors_NZ)
        means_KZ = sums_KZ / counts_K.clamp_min(1).unsqueeze(1)
        self._set(torch.where((counts_K > 0).unsqueeze(1), means_KZ, vectors_NZ.mean(0)), codes_N)

    def _set(self, codewords_KZ: Tensor, codes_N: Tensor) -> None:
        """Adopt codewords, with the counts of an average batch so that the averages start settled."""
        self.embed_KZ.copy_(codewords_KZ)
        share_K = torch.bincount(codes_N, minlength=self.size).to(codewords_KZ.dtype) / max(1, len(codes_N))
        self.cluster_size_K.copy_((share_K * self.size).clamp_min(1.0 / self.size))
        self.embed_avg_KZ.copy_(self.embed_KZ * self.cluster_size_K.unsqueeze(1))
        self.initialised.fill_(True)

    @torch.no_grad()
    def permute(self, permutation_K: Tensor) -> None:
        """Rename the codes: code k is called ``permutation_K[k]`` from now on, with all that belongs to it.

        Raises:
            ConfigurationError: if it is no permutation of the codes.
        """
        permutation_K = permutation_K.to(self.embed_KZ.device)
        if permutation_K.sort().values.tolist() != list(range(self.size)):
            raise ConfigurationError(
                f"permutation is {permutation_K.tolist()}; expected each of 0 to {self.size - 1} once."
            )
        for state_K in (self.embed_KZ, self.embed_avg_KZ, self.cluster_size_K):
            state_K[permutation_K] = state_K.clone()

    @torch.no_grad()
    def update(self, vectors_BZ: Tensor, codes_B: Tensor) -> None:
        """Let the codewords follow a batch: sums and counts decay and take in the batch.

        Counts are kept per even share (a code that gets B/K of every batch has count 1), so they do
        not depend on the batch size. Under distributed training the sums are those of all processes.
        """
        ones_B = torch.ones(len(codes_B), dtype=self.embed_KZ.dtype, device=codes_B.device)
        counts_K = torch.zeros_like(self.cluster_size_K).index_add_(0, codes_B, ones_B)
        sums_KZ = torch.zeros_like(self.embed_avg_KZ).index_add_(0, codes_B, vectors_BZ.to(self.embed_KZ.dtype))
        if _distributed():
            torch.distributed.all_reduce(counts_K)
            torch.distributed.all_reduce(sums_KZ)
        elif not len(codes_B):
            return
        share = (1 - self.decay) * self.size / counts_K.sum().clamp_min(1)
        self.cluster_size_K.mul_(self.decay).add_(counts_K.mul_(share))
        self.embed_avg_KZ.mul_(self.decay).add_(sums_KZ.mul_(share))
        # A trace of where it was keeps a codeword that is no longer said from becoming 0 over 0.
        self.embed_KZ.mul_(_TRACE).add_(self.embed_avg_KZ).div_((self.cluster_size_K + _TRACE).unsqueeze(1))

    @torch.no_grad()
    def revive(self, vectors_BZ: Tensor) -> int:
        """Move dead codewords onto rows of the batch, each onto another one; returns how many were moved.

        Codeword, running sum and running count are all reset: a codeword moved alone would be
        pulled back by its old sum with the next update. Under distributed training the rows are
        those of one process.
        """
        dead_N = (self.cluster_size_K < self.revive_below).nonzero().flatten()
        if not len(dead_N):  # for all processes alike, since they share the counts
            return 0
        rows = torch.randperm(len(vectors_BZ), device=vectors_BZ.device)[: len(dead_N)]
        fresh_NZ = vectors_BZ[rows].to(self.embed_KZ.dtype)
        if _distributed():
            fresh_NZ = _longest_of_all(fresh_NZ)
        dead_N = dead_N[: len(fresh_NZ)]
        self.embed_KZ[dead_N] = fresh_NZ
        self.embed_avg_KZ[dead_N] = fresh_NZ
        self.cluster_size_K[dead_N] = 1.0
        return len(dead_N)


def assign(vectors_NZ: Tensor, codewords_KZ: Tensor) -> Tensor:
    """The nearest codeword of each row, in chunks so that memory stays flat; int64 of length N."""
    return torch.cat(
        [squared_distances(chunk, codewords_KZ).argmin(1) for chunk in torch.split(vectors_NZ, _CHUNK_ROWS)]
    )


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
    centroids_KZ = _seeds(vectors_NZ, size, generator)
    codes_N: Tensor | None = None
    for _ in range(iterations):
        previous, codes_N = codes_N, assign(vectors_NZ, centroids_KZ)
        if previous is not None and torch.equal(previous, codes_N):
            break
        counts_K = torch.bincount(codes_N, minlength=size)
        sums_KZ = torch.zeros_like(centroids_KZ).index_add_(0, codes_N, vectors_NZ)
        centroids_KZ = sums_KZ / counts_K.clamp_min(1).unsqueeze(1)
        empty = (counts_K == 0).nonzero().flatten()
        if len(empty):
            errors_N = (vectors_NZ - centroids_KZ[codes_N]).square().sum(1)
            centroids_KZ[empty] = vectors_NZ[errors_N.topk(len(empty)).indices]
    return centroids_KZ


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


def _distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def _longest_of_all(rows_NZ: Tensor) -> Tensor:
    """The rows of the process that has most of them, the same on all; one without rows takes part too."""
    lengths = torch.zeros(torch.distributed.get_world_size(), dtype=torch.int64, device=rows_NZ.device)
    lengths[torch.distributed.get_rank()] = len(rows_NZ)
    torch.distributed.all_reduce(lengths)
    source = int(lengths.argmax())
    if source != torch.distributed.get_rank():
        rows_NZ = rows_NZ.new_empty(int(lengths[source]), rows_NZ.shape[1])
    torch.distributed.broadcast(rows_NZ, source)
    return rows_NZ
