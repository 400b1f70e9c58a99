"""Trained artifacts for tests of what uses them: one folder from texts, one from bare vectors.

Loaded as a plugin, so that one session trains each of them once.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from invented_works import invented_works


@pytest.fixture(scope="session")
def text_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on invented works with named levels; its artifacts are in ``artifacts/``."""
    from wotd.pipeline import train_wotd_pipeline

    root = tmp_path_factory.mktemp("text_run")
    works = root / "works.jsonl"
    works.write_text("".join(json.dumps(row) + "\n" for row in invented_works()), encoding="utf-8")
    overrides = [
        "+experiment=lsa",
        "embedding.dimension=16",
        "provider=files",
        f"provider.root={works}",
        "provider.passages=keep",
        "trainer.max_epochs=2",
        "model.latent_dim=8",
        "model.hidden=[16]",
    ]
    return train_wotd_pipeline(overrides, root / "run").output_dir


@pytest.fixture(scope="session")
def text_artifacts(text_run: Path) -> Path:
    """Artifacts of invented works, named levels, embedded with lsa; texts kept."""
    return text_run / "artifacts"


@pytest.fixture(scope="session")
def vector_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on 300 clustered vectors of length 12, three levels of four codes."""
    from wotd.pipeline import train_wotd_pipeline

    root = tmp_path_factory.mktemp("vector_run")
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(10, 12))
    vectors = centres[generator.integers(10, size=300)] + 0.3 * generator.normal(size=(300, 12))
    np.save(root / "vectors.npy", vectors.astype(np.float32))
    overrides = [
        "+experiment=deep",
        f"data.vectors={root / 'vectors.npy'}",
        "model.level_sizes=[4,4,4]",
        "model.latent_dim=8",
        "model.hidden=[16]",
        "trainer.max_epochs=2",
    ]
    return train_wotd_pipeline(overrides, root / "run").output_dir


@pytest.fixture(scope="session")
def vector_artifacts(vector_run: Path) -> Path:
    """Artifacts of bare vectors of length 12; codes of three levels of four."""
    return vector_run / "artifacts"
