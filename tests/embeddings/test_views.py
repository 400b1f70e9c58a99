"""An embedding and features side by side, each cached for itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from fake_embedder import DIMENSION, FakeEmbedder, expected

from wotd.embeddings import EmbeddingCache, Stylometry, TextView

TEXTS = ["one sea", "two ships, and a lamp.", "one sea"]


def test_without_features_it_is_the_embedding(tmp_path: Path) -> None:
    view = TextView(FakeEmbedder())
    assert view.feature_dim == 0
    np.testing.assert_array_equal(view.embed(TEXTS), expected(TEXTS))
    np.testing.assert_array_equal(view.cached(EmbeddingCache(tmp_path), TEXTS).vectors, expected(TEXTS))


def test_features_stand_right_of_the_embedding(tmp_path: Path) -> None:
    view = TextView(FakeEmbedder(), Stylometry())
    features = Stylometry().embed(TEXTS)
    assert view.feature_dim == features.shape[1]
    rows = view.embed(TEXTS)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows[:, :DIMENSION], expected(TEXTS))
    np.testing.assert_array_equal(rows[:, DIMENSION:], features)
    np.testing.assert_array_equal(view.cached(EmbeddingCache(tmp_path), TEXTS).vectors, rows)
    assert view.embed([]).shape == (0, DIMENSION + view.feature_dim)


def test_features_that_are_switched_on_embed_nothing_anew(tmp_path: Path) -> None:
    cache, embedder = EmbeddingCache(tmp_path), FakeEmbedder()
    assert TextView(embedder).cached(cache, TEXTS).computed == 2
    with_features = TextView(embedder, Stylometry()).cached(cache, TEXTS)
    assert (with_features.computed, with_features.found) == (0, 2)
    assert len(embedder.seen) == 2
