"""Whole-tensor batches: one index look-up a batch, no per-sample collation, shared out over processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from wotd.errors import TrainingError

SHUFFLED_ROWS = 262_144
"""Rows that are shuffled with each other; of 384 numbers in half precision they are 200 MB."""

SHUFFLED_RUN = 2048
"""Neighbouring rows that come into play together; of 384 numbers in half precision they are 1.6 MB."""


class EmbeddingBatch(NamedTuple):
    """Embeddings (float32 B×D) and labels (int64 B×L, -1 where unknown; B×0 where there are none)."""

    embeddings: Tensor
    labels: Tensor


class EmbeddingDataset(Dataset[EmbeddingBatch]):
    """Rows of a matrix, which may be memory-mapped, answered for many indices at a time."""

    def __init__(self, vectors_ND: NDArray[np.floating], labels_NL: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
        """Serve these rows of the matrix, which is not copied, and of its labels."""
        self.vectors, self.rows = vectors_ND, rows
        self.labels = torch.from_numpy(np.ascontiguousarray(labels_NL[rows]))

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.rows)

    def __getitem__(self, indices: Sequence[int] | Tensor) -> EmbeddingBatch:
        """The batch of these indices."""
        index = torch.as_tensor(indices)
        embeddings = np.asarray(self.vectors[self.rows[index.numpy()]], dtype=np.float32)
        return EmbeddingBatch(torch.from_numpy(embeddings), self.labels[index])


class BatchSampler(Sampler[Tensor]):
    """Index tensors of batches, seeded by epoch and shared out over processes.

    The processes' batches of one step make one *common batch*: the process of rank r has its rows r, r + W, r + 2W …
    for W processes. So a run of W processes with batches of B rows sees what one process with batches of W·B sees.

    In training, rows are shuffled and all batches are full; an epoch leaves out the rows that would make one more,
    which differ from epoch to epoch. Without shuffling every row comes exactly once, in order. Both ways every
    process has equally many batches.

    Many rows are shuffled in two steps, so that a memory-mapped file is read from front to back of its pieces: runs
    of ``SHUFFLED_RUN`` neighbouring rows come in random order, and so many of them as make ``SHUFFLED_ROWS`` are
    shuffled row by row. Fewer rows than that are simply shuffled.
    """

    def __init__(
        self, rows: int, batch_size: int, *, shuffle: bool, seed: int = 0, rank: int = 0, world_size: int = 1
    ) -> None:
        """Sample ``batch_size`` rows a batch for the process ``rank`` of ``world_size``.

        Raises:
            TrainingError: if there are rows to shuffle, but fewer than processes.
        """
        if shuffle and rows < world_size:
            raise TrainingError(f"there are {rows} rows to train on for {world_size} processes; use fewer processes.")
        self.rows, self.batch_size, self.shuffle, self.seed = rows, batch_size, shuffle, seed
        self.rank, self.world_size, self.epoch = rank, world_size, 0
        self._given = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of that epoch; Lightning calls it."""
        if epoch != self.epoch:
            self.epoch, self._given = epoch, 0

    def state_dict(self) -> dict[str, int]:
        """The epoch, how many of its batches were given, and how many rows the common ones had."""
        return {"epoch": self.epoch, "given": self._given, "common": self._common}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Go on within that epoch after as many rows as were given, if need be in batches of another size."""
        self.epoch, self._given = state_dict["epoch"], self.given_of(state_dict)

    def given_of(self, state_dict: dict[str, int]) -> int:
        """How many batches of this size hold the rows that were given; never all of the epoch's.

        Where sizes differ, fewer rows than make one common batch are given once more, or one such batch is.
        """
        given, common = state_dict["given"], state_dict.get("common", self._common)
        return given if common == self._common else min(given * common // self._common, len(self) - 1)

    @property
    def _common(self) -> int:
        """Rows of a full common batch of shuffled rows."""
        return min(self.batch_size, max(1, self.rows // self.world_size)) * self.world_size

    def __len__(self) -> int:
        """Batches a process gets per epoch."""
        common = self.batch_size * self.world_size
        if self.shuffle:
            return max(1, self.rows // common)
        # What is left over for a last common batch may not suffice for a row each.
        full, rest = divmod(self.rows, common)
        return max(full + (rest >= self.world_size), min(1, self.rows))

    def __iter__(self) -> Iterator[Tensor]:
        """The batches of this epoch that were not given yet; after the last one, all of them again."""
        # A generator: the order is made with the first batch, since Lightning, going on from a
        # checkpoint, says the epoch only after it has asked for the iterator.
        if not self.shuffle:
            yield from self._in_order()
            return
        for batch in islice(self._shuffled(), self._given, None):
            self._given = (self._given + 1) % len(self)
            yield batch

    def _in_order(self) -> Iterator[Tensor]:
        if 0 < self.rows < self.world_size:  # a process without a row would have no loss to report
            yield torch.arange(self.rows)
            return
        common, number = self.batch_size * self.world_size, len(self)
        for batch in range(number):
            end = self.rows if batch == number - 1 else (batch + 1) * common
            yield torch.arange(batch * common + self.rank, end, self.world_size)

    def _shuffled(self) -> Iterator[Tensor]:
        common = self._common
        left = torch.empty(0, dtype=torch.int64)
        for rows in shuffled_rows(self.rows, self.seed * 1_000_003 + self.epoch):
            parts = torch.split(torch.cat([left, rows]), common)
            left = parts[-1] if len(parts[-1]) < common else left[:0]
            yield from (part[self.rank :: self.world_size] for part in parts if len(part) == common)


def shuffled_rows(count: int, seed: int) -> Iterator[Tensor]:
    """All rows below ``count`` in random order, some ``SHUFFLED_ROWS`` at a time; see :class:`BatchSampler`."""
    generator = torch.Generator().manual_seed(seed)
    if count <= SHUFFLED_ROWS:
        yield torch.randperm(count, generator=generator)
        return
    starts = SHUFFLED_RUN * torch.randperm(-(-count // SHUFFLED_RUN), generator=generator)
    for some in torch.split(starts, SHUFFLED_ROWS // SHUFFLED_RUN):
        rows = (some.unsqueeze(1) + torch.arange(SHUFFLED_RUN)).flatten()
        rows = rows[rows < count]
        yield rows[torch.randperm(len(rows), generator=generator)]


class ResumableLoader(DataLoader[EmbeddingBatch]):
    """A loader whose place within the epoch travels with the checkpoint."""

    sampler: BatchSampler

    def __init__(self, dataset: EmbeddingDataset, sampler: BatchSampler) -> None:
        """Hand the sampler's index tensors to the dataset, whole."""
        super().__init__(dataset, sampler=sampler, batch_size=None)

    def state_dict(self) -> dict[str, int]:
        """The place of the sampler."""
        return self.sampler.state_dict()

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Take the sampler to that place."""
        self.sampler.load_state_dict(state_dict)
