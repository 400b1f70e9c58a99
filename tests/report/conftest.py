"""What the tests of reports share."""

from __future__ import annotations

from pathlib import Path

import pytest

from wotd.embeddings import SentenceTransformerEmbedder


@pytest.fixture(scope="session")
def embedder(tiny_model_path: Path) -> SentenceTransformerEmbedder:
    """A tiny embedding model."""
    return SentenceTransformerEmbedder(str(tiny_model_path), device="cpu")
