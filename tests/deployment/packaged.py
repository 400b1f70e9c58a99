"""Artifacts of a small embedding model in a folder of its own, and their archive. Loaded as a plugin."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from invented_works import invented_works

from wotd.deployment.package import package
from wotd.encoded import EncodedText
from wotd.inference import SemanticIDModel

TEXTS = [
    "The rose, the lark\nand the moonlight.",
    'A "rocket" to a planet — über alles.',
    "It was a cold night, and the wind fell on the old house; no one said a word.",
]


class Packaged(NamedTuple):
    """An archive, and what it was made of."""

    archive: Path
    artifacts: Path
    embedding_model: Path
    expected: list[EncodedText]


@pytest.fixture(scope="session")
def packaged(tmp_path_factory: pytest.TempPathFactory, tiny_model_path: Path, wheel: Path) -> Packaged:
    """An archive with its embedding model, and what the artifacts say of the texts."""
    from wotd.pipeline import train_wotd_pipeline

    root = tmp_path_factory.mktemp("packaged")
    model = root / "embedding"
    shutil.copytree(tiny_model_path, model)
    rows = "".join(json.dumps(row) + "\n" for row in invented_works())
    (root / "works.jsonl").write_text(rows, encoding="utf-8")
    settings = {
        "experiment": "minilm",
        "embedding.model": str(model),
        "provider": "files",
        "provider.root": str(root / "works.jsonl"),
        "provider.passages": "keep",
        "model.latent_dim": 8,
        "model.hidden": [16],
        "trainer.max_epochs": 1,
        "logger": "csv",
    }
    artifacts = train_wotd_pipeline(settings, root / "run").artifacts
    package(artifacts, root / "model.tar.gz", embedding_model=True, wheel=wheel)
    return Packaged(root / "model.tar.gz", artifacts, model, SemanticIDModel.load(artifacts).encode(TEXTS))
