"""A run follows its embedding model, whatever its kind and width; nothing else of the config has to change."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_model import sentence_transformer_modules
from training_processes import Door

from wotd import SemanticIDModel
from wotd.pipeline import train_wotd_pipeline

pytest_plugins = ["training_door"]

SMALL = [
    "provider.n_works=24",
    "provider.passages_per_work=4",
    "trainer.max_epochs=1",
    "model.latent_dim=8",
    "model.hidden=[16]",
    "features=none",
]
WORDS = "the a of and to in was he she it his her sea rain house old night day light".split()  # noqa: SIM905
TEXT = "the rain fell on the sea and the old house"


@pytest.fixture(scope="module")
def static_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of word vectors of length 12."""
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    words = ["[UNK]", *WORDS]
    tokenizer = Tokenizer(WordLevel({word: place for place, word in enumerate(words)}, "[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    weights = np.random.default_rng(0).normal(size=(len(words), 12)).astype(np.float32)
    folder = tmp_path_factory.mktemp("static") / "words"
    SentenceTransformer(modules=[sentence_transformer_modules().StaticEmbedding(tokenizer, weights)]).save(str(folder))
    return folder


def test_a_static_model_trains_and_encodes(static_model: Path, tmp_path: Path) -> None:
    overrides = ["+experiment=minilm", "embedding=static", f"embedding.model={static_model}", *SMALL]
    artifacts = train_wotd_pipeline(overrides, tmp_path / "run").artifacts
    model = SemanticIDModel.load(artifacts)
    assert model.encoder.input_dim == 12
    assert model.artifacts.fingerprint is not None
    assert model.artifacts.fingerprint.pooling == "StaticEmbedding"
    assert model.encode(TEXT)[0].code == model.encode_vectors(model.embed([TEXT]))[0].tolist()


@pytest.mark.slow
def test_a_sweep_over_models_of_different_width_needs_no_other_change(
    door: Door, static_model: Path, tiny_model_path: Path, tmp_path: Path
) -> None:
    models = f"embedding.model={static_model},{tiny_model_path}"
    answer = door("-m", "+experiment=minilm", *SMALL, models, f"hydra.sweep.dir={tmp_path / 'sweep'}")
    assert answer.status == 0, answer.err[-3000:]
    widths = []
    for run in ("0", "1"):
        config = json.loads((tmp_path / "sweep" / run / "artifacts" / "config.json").read_text())
        assert config["embedding"]["dimension"] == config["encoder"]["input_dim"]
        widths.append(config["embedding"]["dimension"])
    assert widths == [12, 32]
