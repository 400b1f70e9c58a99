"""From a provider, or from a file of vectors, to batches: the LightningDataModule of every recipe."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from wotd.data.batches import BatchSampler, EmbeddingBatch, EmbeddingDataset, ResumableLoader
from wotd.data.splits import SPLIT_NAMES, TEST, TRAIN, VAL, SplitBy, split_passages, split_rows
from wotd.data.vectors import open_vectors
from wotd.embeddings.cache import EmbeddingCache
from wotd.embeddings.embedder import Embedder
from wotd.embeddings.views import TextView
from wotd.errors import ConfigurationError
from wotd.providers.base import Provider
from wotd.providers.corpora import Corpora, collect
from wotd.taxonomy import UNKNOWN_CODE, Taxonomy

logger = logging.getLogger(__name__)

_COMPARED_VECTORS = 4096
_EVALUATION_ROWS = 1024
"""Rows of a batch, at least, where nothing is learned from it."""


class WOTDDataModule(lightning.LightningDataModule):
    """Corpora, their labels and cached embeddings, split by author and served as whole tensors.

    Attributes set by :meth:`setup`:
        corpora: works and passages; None for bare vectors.
        vectors: N×(D+F), in the order of the passages, features right of the embedding; memory-mapped
            where the user gave them.
        labels: int64 N×levels, -1 where unknown; N×0 for bare vectors.
        sides: int8 N, 0 train, 1 val, 2 test.
        embedded: how many passages were embedded now, and how many the cache already had.
        seconds: durations of reading, splitting and embedding.
    """

    corpora: Corpora | None
    vectors: NDArray[np.floating]
    labels: NDArray[np.int64]
    sides: NDArray[np.int8]

    def __init__(
        self,
        provider: Provider | None = None,
        embedder: Embedder | None = None,
        taxonomy: Taxonomy | None = None,
        features: Embedder | None = None,
        *,
        vectors: str | None = None,
        batch_size: int = 128,
        split_by: str = "author",
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        cache_dir: str | None = None,
        seed: int = 0,
        published: Mapping[str, Sequence[int | None]] | None = None,
        strict: bool = False,
    ) -> None:
        """Take the parts; nothing is read before :meth:`setup`.

        Args:
            provider: where texts come from; not needed with ``vectors``.
            embedder: what embeds them; not needed with ``vectors``.
            taxonomy: what labels them; not needed with ``vectors``.
            features: what else is seen of them beside their embedding; None for nothing.
            vectors: an ``.npy`` file of N×D vectors to learn from instead of texts.
            batch_size: rows of a batch, per process.
            split_by: ``author``, ``work`` or ``passage``: what stays whole on one side.
            val_fraction: share of passages for validation.
            test_fraction: share of passages for testing.
            cache_dir: where embeddings are cached; by default ``WOTD_CACHE`` or the platform's place.
            seed: decides split and order of batches.
            published: labels that must not move, by corpus ID.
            strict: whether a cell with more works than codes is an error.

        Raises:
            ConfigurationError: if a number is out of range or ``split_by`` unknown.
        """
        super().__init__()
        if batch_size < 1:
            raise ConfigurationError(f"data.batch_size is {batch_size}; expected 1 or more.")
        for name, fraction in (("val_fraction", val_fraction), ("test_fraction", test_fraction)):
            if not 0 <= fraction < 1:
                raise ConfigurationError(f"data.{name} is {fraction}; expected 0 or more and less than 1.")
        if val_fraction == 0 or val_fraction + test_fraction >= 1:
            raise ConfigurationError(
                f"data.val_fraction is {val_fraction} and data.test_fraction {test_fraction}; expected a val_fraction "
                f"above 0, since early stopping needs one, and a sum below 1."
            )
        if seed < 0:
            raise ConfigurationError(f"data.seed is {seed}; expected 0 or more.")
        if split_by not in list(SplitBy):
            raise ConfigurationError(f"data.split_by is '{split_by}'; expected one of {', '.join(SplitBy)}.")
        self.provider, self.embedder, self.taxonomy, self.features = provider, embedder, taxonomy, features
        self.vectors_path, self.batch_size, self.split_by = vectors, batch_size, SplitBy(split_by)
        self.val_fraction, self.test_fraction, self.seed = val_fraction, test_fraction, seed
        self.cache_dir, self.published, self.strict = cache_dir, published, strict
        self.embedded = {"computed": 0, "found": 0}
        self.seconds: dict[str, float] = {}
        self._ready = False

    def setup(self, stage: str | None = None) -> None:
        """Read, label, split and embed, once; several processes share the embedding through the cache."""
        del stage
        if self._ready:
            return
        if self.vectors_path:
            self._setup_vectors()
        else:
            self._setup_texts()
        counts = " · ".join(f"{len(self.rows(side))} {name}" for side, name in enumerate(SPLIT_NAMES))
        logger.info("split by %s: %s", "row" if self.corpora is None else self.split_by, counts)
        self._ready = True

    def _setup_vectors(self) -> None:
        self.corpora = None
        self.vectors = open_vectors(str(self.vectors_path))
        logger.info("%s: %d vectors of length %d", self.vectors_path, *self.vectors.shape)
        self.labels = np.empty((len(self.vectors), 0), dtype=np.int64)
        self.sides = split_rows(
            len(self.vectors), val_fraction=self.val_fraction, test_fraction=self.test_fraction, seed=self.seed
        )

    def _setup_texts(self) -> None:
        if self.provider is None or self.embedder is None or self.taxonomy is None:
            raise ConfigurationError("there is nothing to learn from: set provider and embedding, or data.vectors.")
        if not self.embedder.needs_fit:
            _ = self.embedder.fingerprint  # a model that cannot be had is found out before works are read
        with self._timed("reading"):
            self.corpora = collect(self.provider, self.taxonomy, published=self.published, strict=self.strict)
        logger.info("%s: %d passages of %d works", self.provider.name, len(self.corpora.texts), len(self.corpora.works))
        with self._timed("splitting"):
            self.sides = split_passages(
                self.corpora,
                by=self.split_by,
                val_fraction=self.val_fraction,
                test_fraction=self.test_fraction,
                seed=self.seed,
            )
        with self._timed("embedding"):
            if self.embedder.needs_fit:
                self.embedder.fit([self.corpora.texts[row] for row in self.rows(TRAIN)])
            view = TextView(self.embedder, self.features)
            cached = view.cached(EmbeddingCache(self.cache_dir), self.corpora.texts)
            self.embedder.close()  # its memory, on a GPU too, is the training's now
        self.vectors = cached.vectors
        self.embedded = {"computed": cached.computed, "found": cached.found}
        logger.info(
            "%s: %d texts embedded, %d found in the cache",
            self.embedder.fingerprint.model, cached.computed, cached.found,
        )  # fmt: skip
        self.labels = self.corpora.labels.copy()
        for index, level in enumerate(self.taxonomy.levels):
            if level.ranked:  # a rank says nothing of the text, so no level is taught it
                self.labels[:, index] = UNKNOWN_CODE

    def state_dict(self) -> dict[str, Any]:
        """What the rows are, for checkpoints to keep."""
        return dict(self._state)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Compare the rows with those that a checkpoint learned from.

        Raises:
            ConfigurationError: if they are others.
        """
        if state_dict != self._state:
            what = "vectors" if self.corpora is None else "texts"
            raise ConfigurationError(
                f"ckpt_path goes on from a run on other data: its {what}, their labels or their split have changed "
                f"({state_dict.get('rows')} rows then, {len(self.sides)} now); give it what it had, or start anew."
            )

    @cached_property
    def _state(self) -> dict[str, Any]:
        digest = hashlib.sha256()
        if self.corpora is None:  # perhaps more of them than anybody wants to read for this
            some = np.unique(np.linspace(0, len(self.vectors) - 1, _COMPARED_VECTORS, dtype=np.int64))
            digest.update(f"{self.vectors.shape} {self.vectors.dtype}".encode())
            digest.update(np.asarray(self.vectors[some]).tobytes())
        else:
            for text in self.corpora.texts:
                digest.update(hashlib.sha256(text.encode()).digest())
        for part in (self.labels, self.sides):
            digest.update(part.tobytes())
        return {"rows": len(self.sides), "sha256": digest.hexdigest()}

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start

    def rows(self, side: int) -> NDArray[np.int64]:
        """Indices of the passages on a side, ascending."""
        return np.flatnonzero(self.sides == side)

    @property
    def dimension(self) -> int:
        """D, the width of the embedding."""
        return int(self.vectors.shape[1]) - self.feature_dim

    @property
    def feature_dim(self) -> int:
        """F, how many features stand right of the embedding."""
        return 0 if self.corpora is None or self.features is None else self.features.dimension

    def dataset(self, side: int) -> EmbeddingDataset:
        """The passages of a side, answered for many indices at a time."""
        return EmbeddingDataset(self.vectors, self.labels, self.rows(side))

    def transfer_batch_to_device(
        self, batch: EmbeddingBatch, device: torch.device, dataloader_idx: int
    ) -> EmbeddingBatch:
        """Move two tensors; Lightning's own way through any collection costs more than a small step's losses."""
        del dataloader_idx
        return EmbeddingBatch(
            batch.embeddings.to(device, non_blocking=True), batch.labels.to(device, non_blocking=True)
        )

    def _sampler(self, rows: int, batch_size: int, *, shuffle: bool) -> BatchSampler:
        trainer = self.trainer
        return BatchSampler(
            rows,
            batch_size,
            shuffle=shuffle,
            seed=self.seed,
            rank=trainer.global_rank if trainer else 0,
            world_size=trainer.world_size if trainer else 1,
        )

    def train_dataloader(self) -> ResumableLoader:
        """Shuffled batches of the training side."""
        dataset = self.dataset(TRAIN)
        return ResumableLoader(dataset, self._sampler(len(dataset), self.batch_size, shuffle=True))

    def _in_order(self, side: int) -> DataLoader[EmbeddingBatch]:
        dataset = self.dataset(side)
        sampler = self._sampler(len(dataset), max(self.batch_size, _EVALUATION_ROWS), shuffle=False)
        return DataLoader(dataset, sampler=sampler, batch_size=None)

    def val_dataloader(self) -> DataLoader[EmbeddingBatch]:
        """Batches of the validation side, in order."""
        return self._in_order(VAL)

    def test_dataloader(self) -> DataLoader[EmbeddingBatch]:
        """Batches of the test side, in order."""
        return self._in_order(TEST)
