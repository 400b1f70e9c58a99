"""The model card says what the run gave, in words, numbers and pictures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from made_artifacts import TAXONOMY, invented_corpora

from wotd.encoders import SemanticEncoder
from wotd.model_card import write_model_card
from wotd.taxonomy import Overflow

RESULTS = {
    "counts": {"passages": 36, "works": 4, "train": 28, "val": 4, "test": 4},
    "metrics": {"train/nmse": 0.5, "test/nmse": 0.625, "test/agreement/kind/accuracy": 0.75, "test/nmse/depth_1": 0.9}
    | {f"{side}/nmse/depth_{depth}": 1 / depth for side in ("train", "val", "test") for depth in (1, 2)}
    | {f"test/ami/level_{level}/kind": 0.5 - 0.25 * level for level in (0, 1)}
    | {"test/ami/diagonal_dominance": 0.25, "test/calibration/kind/ece": 0.125, "test/probe/kind/accuracy": 0.875}
    | {f"test/calibration/kind/bin_11/{part}": 0.75 for part in ("confidence", "accuracy", "share")}
    | {"test/recall/prefix": math.nan, "test/level_0/gini": 0.375},
    "dropped": {"works": {"its language is de": 2}, "passages": {"shorter than 20 words": 7}},
}


@pytest.mark.parametrize("named", [True, False])
def test_the_card_and_its_plots(tmp_path, named):
    corpora = invented_corpora()
    corpora.overflows.append(Overflow((1,), 5, 3))
    encoder = SemanticEncoder(8, TAXONOMY.sizes, latent_dim=4, hidden=())
    codes = np.stack([np.arange(36) % size for size in TAXONOMY.sizes], 1)
    provenance = {"named": named, "embedding": None}
    write_model_card(tmp_path, RESULTS, encoder, provenance, codes, corpora, TAXONOMY, "seed: 0\n")
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "(4 · 3; 3.6 bits) over the user's own vectors, learned from 36 passages of 4 works" in card
    assert "| nMSE (squared error / variance) | 0.500 |  | 0.625 |" in card
    assert ("| kind: Gini of its codes |  |  | 0.375 |" in card) is named
    assert "| kind: code equals label |  |  | 0.750 |" in card
    assert "| kind: … probe of the embeddings |  |  | 0.875 |" in card
    assert "(mean margin of the AMI) |  |  | 0.250 |" in card
    assert "by shared prefix" not in card, "nothing was measured"
    assert "- house: 5 works" in card
    assert "| works | its language is de | 2 |" in card
    assert "| passages | shorter than 20 words | 7 |" in card
    for name in ("codebook_usage", "distortion_by_depth", "label_information", "reliability"):
        assert f"plots/{name}.png" in card
        assert (tmp_path / "plots" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_without_labels_the_card_does_not_speak_of_them(tmp_path):
    encoder = SemanticEncoder(8, (4, 3), latent_dim=4, hidden=())
    codes = np.stack([np.arange(36) % size for size in (4, 3)], 1)
    results = {**RESULTS, "metrics": {"test/nmse": 0.5, "test/recall/prefix": 0.125}}
    write_model_card(tmp_path, results, encoder, {"named": False, "embedding": None}, codes, None, None, "seed: 0\n")
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "| … by shared prefix |  |  | 0.125 |" in card
    assert "## Labels" not in card
    assert sorted(path.stem for path in (tmp_path / "plots").iterdir()) == ["codebook_usage", "distortion_by_depth"]


def test_bare_vectors_are_encoded_as_vectors(tmp_path):
    encoder = SemanticEncoder(8, (4, 3), latent_dim=4, hidden=())
    results = {**RESULTS, "counts": {**RESULTS["counts"], "works": 0}}
    codes = np.stack([np.arange(36) % size for size in (4, 3)], 1)
    write_model_card(tmp_path, results, encoder, {"named": False, "embedding": None}, codes, None, None, "seed: 0\n")
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "learned from 36 rows (" in card
    assert "wotd encode --artifacts FOLDER --vectors VECTORS.npy" in card
    assert "a text" not in card
