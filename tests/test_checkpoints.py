"""Which checkpoints a run may go on from: what they learned from must be what it learns from."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from wotd.checkpoints import load_checkpoint, refuse_misfit
from wotd.embeddings import Embedder, Stylometry
from wotd.encoders import SemanticEncoder
from wotd.errors import ConfigurationError, TrainingError

ENCODER = SemanticEncoder(4, [2], latent_dim=2, hidden=())


def provenance(features: Embedder | None = None, version: int = 1) -> dict[str, Any]:
    """What checkpoints carry of embedding model and features."""
    fingerprint = features and {**features.fingerprint.to_mapping(), "features": [f"version {version}"]}
    return {
        "embedding": {"fingerprint": {"model": "tiny"}},
        "features": features and {"fingerprint": fingerprint},
    }


def checkpoint(folder: Path, carried: dict[str, Any]) -> Path:
    torch.save({"loops": {}, "wotd": {"encoder": ENCODER.config, **carried}}, folder / "last.ckpt")
    return folder / "last.ckpt"


@pytest.mark.parametrize("features", [None, Stylometry()])
def test_the_same_features_or_none_go_on(tmp_path: Path, features: Embedder | None) -> None:
    refuse_misfit(checkpoint(tmp_path, provenance(features)), ENCODER, provenance(features))


def test_a_checkpoint_older_than_features_goes_on_without_them(tmp_path: Path) -> None:
    old = {"embedding": provenance()["embedding"]}
    refuse_misfit(checkpoint(tmp_path, old), ENCODER, provenance())


@pytest.mark.parametrize(
    ("there", "here", "sentence"),
    [
        (provenance(), provenance(Stylometry()), "the features none, not stylometry, version 1"),
        (provenance(Stylometry()), provenance(), "the features stylometry, version 1, not none"),
        (provenance(Stylometry(), 2), provenance(Stylometry()), "stylometry, version 2, not stylometry, version 1"),
    ],
)
def test_other_features_are_refused(tmp_path: Path, there: dict, here: dict, sentence: str) -> None:
    path = checkpoint(tmp_path, there)
    with pytest.raises(ConfigurationError, match=f"^ckpt_path is {path}, which learned with .*{sentence}"):
        refuse_misfit(path, ENCODER, here)


def test_archives_that_unpack_are_no_checkpoints(tmp_path: Path) -> None:
    encoder = SemanticEncoder(6, (4, 3), latent_dim=4, hidden=())
    state = {f"model.{name}": value for name, value in encoder.state_dict().items()}
    torch.save({"state_dict": state, "wotd": {"encoder": encoder.config}}, tmp_path / "sound.ckpt")
    assert load_checkpoint(tmp_path / "sound.ckpt")[0].level_sizes == (4, 3)
    with zipfile.ZipFile(tmp_path / "sound.ckpt") as sound, zipfile.ZipFile(tmp_path / "packed.ckpt", "w") as packed:
        for name in sound.namelist():
            packed.writestr(name, sound.read(name), zipfile.ZIP_DEFLATED)
    with pytest.raises(TrainingError, match="not one of wotd's checkpoints"):
        load_checkpoint(tmp_path / "packed.ckpt")


def test_weights_that_repeat_one_number_are_no_weights(tmp_path: Path) -> None:
    encoder = SemanticEncoder(6, (4, 3), latent_dim=4, hidden=())
    state = {f"model.{name}": torch.zeros(()).expand(value.shape) for name, value in encoder.state_dict().items()}
    torch.save({"state_dict": state, "wotd": {"encoder": encoder.config}}, tmp_path / "x.ckpt")
    with pytest.raises(TrainingError, match="repeats its numbers"):
        load_checkpoint(tmp_path / "x.ckpt")
