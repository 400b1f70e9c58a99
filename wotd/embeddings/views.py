"""What a model sees of a text: its embedding and, where wanted, features beside it.

Shape letters: N texts, D embedding, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wotd.embeddings.base import Embedder, Vectors
from wotd.embeddings.cache import CachedEmbeddings, EmbeddingCache


@dataclass(frozen=True)
class TextView:
    """An embedding model and features; each keeps a fingerprint and a cache of its own."""

    embedder: Embedder
    features: Embedder | None = None
    """None: the embedding is all that is seen."""

    @property
    def feature_dim(self) -> int:
        """F; 0 without features."""
        return 0 if self.features is None else self.features.dimension

    @property
    def dimension(self) -> int:
        """D+F."""
        return self.embedder.dimension + self.feature_dim

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Rows of the texts in their order, float32 N×(D+F): the embedding, then the features as they are.

        Raises:
            EmbeddingError: if an item is no string, or the embedding model is not available.
        """
        vectors_ND = self.embedder.embed(texts)
        return vectors_ND if self.features is None else _beside(vectors_ND, self.features.embed(texts))

    def cached(
        self,
        cache: EmbeddingCache,
        texts: Sequence[str],
        *,
        description: str = "embedding",
        total: int | None = None,
    ) -> CachedEmbeddings:
        """As :meth:`embed`, through the cache; the counts are those of the embedding model.

        Args:
            cache: looked into, and added to.
            texts: N of them.
            description: stands before the progress bar.
            total: of how many texts these are a part.

        Raises:
            EmbeddingError: likewise, or if the disk is full.
        """
        found = cache.embed(self.embedder, texts, description=description, total=total)
        if self.features is None:
            return found
        features = cache.embed(self.features, texts, description="features", total=total)
        return CachedEmbeddings(_beside(found.vectors, features.vectors), found.computed, found.found)


def _beside(vectors_ND: Vectors, features_NF: Vectors) -> Vectors:
    return np.concatenate([vectors_ND, features_NF], axis=1, dtype=np.float32)
