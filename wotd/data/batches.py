"""Whole-tensor batches: one index look-up a batch, no per-sample collation, shared out over processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler


class EmbeddingBatch(NamedTuple):
    """Embeddings (float32 B×D) and labels (int64 B×L, -1 where unknown; B×0 where there are none)."""

    embeddings: Tensor
    labels: Tensor


class EmbeddingDataset(Dataset[EmbeddingBatch]):
    """Rows of a matrix, which may be memory-mapped, answered for many indices at a time."""

    def __init__(self, vectors_ND: NDArray[np.floating], labels_NL: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
        """Serve these rows of the matrix and of its labels."""
        self.vectors, self.rows = vectors_ND, rows
        self.labels = torch.from_numpy(np.ascontiguousarray(labels_NL[rows]))
        # float32 in memory is copied once; a memory map or half precision is read batch by batch.
        in_memory = not isinstance(vectors_ND, np.memmap) and vectors_ND.dtype == np.float32
        self._embeddings = torch.from_numpy(np.ascontiguousarray(vectors_ND[rows])) if in_memory else None

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.rows)

    def __getitem__(self, indices: Sequence[int] | Tensor) -> EmbeddingBatch:
        """The batch of these indices."""
        index = torch.as_tensor(indices)
        if self._embeddings is not None:
            return EmbeddingBatch(self._embeddings[index], self.labels[index])
        chosen = np.asarray(self.vectors[self.rows[index.numpy()]], dtype=np.float32)
        return EmbeddingBatch(torch.from_numpy(chosen), self.labels[index])


class BatchSampler(Sampler[Tensor]):
    """Index tensors of batches; seeded by epoch, and every process gets equally many.

    In training, rows are shuffled and the last short batch of all processes together is dropped
    unless it is the only one; otherwise every row comes exactly once.
    """

    def __init__(
        self, rows: int, batch_size: int, *, shuffle: bool, seed: int = 0, rank: int = 0, world_size: int = 1
    ) -> None:
        """Sample ``batch_size`` rows a batch for the process ``rank`` of ``world_size``."""
        self.rows, self.batch_size, self.shuffle, self.seed = rows, batch_size, shuffle, seed
        self.rank, self.world_size, self.epoch = rank, world_size, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of that epoch; Lightning calls it."""
        self.epoch = epoch

    def _own(self) -> Tensor:
        if not self.shuffle:
            return torch.arange(self.rank, self.rows, self.world_size)
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(self.rows, generator=generator)
        even = self.rows // self.world_size * self.world_size
        return order[self.rank : even : self.world_size]

    def __len__(self) -> int:
        """Batches a process gets per epoch."""
        if not self.shuffle:
            return -(-len(range(self.rank, self.rows, self.world_size)) // self.batch_size)
        own = self.rows // self.world_size
        return max(1, own // self.batch_size)

    def __iter__(self) -> Iterator[Tensor]:
        """The batches of this epoch."""
        return iter(torch.split(self._own(), self.batch_size)[: len(self)])
