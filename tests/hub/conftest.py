"""Small artifacts to send around, and a cache folder of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_artifacts import make_text_artifacts, make_vector_artifacts

from wotd.embeddings import SentenceTransformerEmbedder


@pytest.fixture(scope="session")
def vectors_sent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifacts of bare vectors."""
    return make_vector_artifacts(tmp_path_factory.mktemp("sent") / "vectors")


@pytest.fixture(scope="session")
def texts_sent(tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifacts that keep texts."""
    embedder = SentenceTransformerEmbedder(str(tiny_model_path), device="cpu")
    return make_text_artifacts(tmp_path_factory.mktemp("sent") / "texts", embedder)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder of wotd."""
    monkeypatch.setenv("WOTD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
