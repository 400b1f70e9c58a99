"""The model card says what the run gave, in words, numbers and pictures."""

from __future__ import annotations

import numpy as np
import pytest
from made_artifacts import TAXONOMY, invented_corpora

from wotd.encoders import SemanticEncoder
from wotd.model_card import write_model_card
from wotd.taxonomy import Overflow

RESULTS = {
    "counts": {"passages": 36, "works": 4, "train": 28, "val": 4, "test": 4},
    "metrics": {"train/nmse": 0.5, "test/nmse": 0.625, "test/agreement/kind/accuracy": 0.75, "test/nmse/depth_1": 0.9}
    | {f"{side}/nmse/depth_{depth}": 1 / depth for side in ("train", "val", "test") for depth in (1, 2)},
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
    assert ("| kind: agrees with label |  |  | 0.750 |" in card) is named
    assert "- house: 5 works" in card
    assert "| works | its language is de | 2 |" in card
    assert "| passages | shorter than 20 words | 7 |" in card
    for name in ("codebook_usage", "distortion_by_depth"):
        assert f"plots/{name}.png" in card
        assert (tmp_path / "plots" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
