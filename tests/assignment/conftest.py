"""Small models to assign with, and windows of few rows, so that small files have several."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from invented_works import invented_works
from made_artifacts import make_text_artifacts, make_vector_artifacts

from wotd import SemanticIDModel
from wotd.embeddings import SentenceTransformerEmbedder

DIMENSION = 6


@pytest.fixture(scope="session")
def by_text(tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> SemanticIDModel:
    """A model of texts, by a network that pads them."""
    embedder = SentenceTransformerEmbedder(str(tiny_model_path), device="cpu")
    folder = make_text_artifacts(tmp_path_factory.mktemp("assignment") / "texts", embedder)
    return SemanticIDModel.load(folder)


@pytest.fixture(scope="session")
def by_vector(tmp_path_factory: pytest.TempPathFactory) -> SemanticIDModel:
    """A model of bare vectors."""
    return SemanticIDModel.load(make_vector_artifacts(tmp_path_factory.mktemp("assignment") / "vectors"))


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> int:
    """Windows of so many rows."""
    for module in ("inputs", "shards"):
        monkeypatch.setattr(f"wotd.assignment.{module}.WINDOW", 8)
    return 8


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Seventy-two texts of different lengths."""
    return [str(row["text"])[: 20 + 7 * number] for number, row in enumerate(invented_works(3))]


@pytest.fixture(scope="session")
def vectors() -> np.ndarray:
    """Thirty of them, float32."""
    return np.random.default_rng(3).normal(size=(30, DIMENSION)).astype(np.float32)
