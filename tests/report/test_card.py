"""The model card says what a run gave, in words, numbers and pictures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from reported_runs import METRICS, RUN, config_of, with_texts, with_vectors

from wotd.embeddings import Embedder
from wotd.report.card import write_card
from wotd.report.findings import Findings


def card_of(folder: Path, **config: object) -> str:
    write_card(Findings.of(folder, {**config_of(folder), **config}))
    return (folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("named", [True, False])
def test_the_card_and_its_plots(tmp_path: Path, embedder: Embedder, named: bool) -> None:
    folder = with_texts(tmp_path / "a", embedder)
    (folder / "training_config.yaml").write_text("seed: 17\n")
    card = card_of(folder, named=named)
    assert "(4 · 3; 3.6 bits) over `" in card
    assert "learned from 36 passages of 4 works" in card
    assert "| nMSE (squared error / variance) | 0.500 |  | 0.625 |" in card
    assert ("| kind: Gini of its codes |  |  | 0.375 |" in card) is named
    assert "| kind: code equals label |  |  | 0.750 |" in card
    assert "| kind: … probe of the embeddings |  |  | 0.875 |" in card
    assert "(mean margin of the AMI) |  |  | 0.250 |" in card
    assert "by shared prefix" not in card, "nothing was measured"
    assert "| house | 5 |" in card
    assert "`rank` has codes (3)" in card
    assert "| works | its language is de | 2 |" in card
    assert "| passages | shorter than 20 &#124; words | 7 |" in card
    assert "| training | 1.5 |" in card
    assert "| taxonomy | places, version 1 |" in card
    assert "```yaml\nseed: 17\n```" in card
    plots = {path.stem for path in (folder / "plots").iterdir()}
    assert plots >= {
        "codebook_usage",
        "distortion_by_depth",
        "hierarchy",
        "label_information",
        "reliability",
        "frontier",
    }
    for name in plots:
        assert f"(plots/{name}.png)" in card
        assert (folder / "plots" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_without_labels_the_card_does_not_speak_of_them(tmp_path: Path) -> None:
    folder = with_vectors(tmp_path / "a")
    card = card_of(folder)
    assert "learned from 36 rows (28 train, 4 val, 4 test, drawn at random)" in card
    assert "wotd encode --artifacts FOLDER --vectors VECTORS.npy" in card
    assert "a text" not in card
    assert "| … by shared prefix |  |  | 0.125 |" in card
    assert "## Labels" not in card
    assert sorted(path.stem for path in (folder / "plots").iterdir()) == ["codebook_usage", "hierarchy"]


def front_matter(folder: Path, **config: object) -> dict[str, object]:
    _, written, rest = card_of(folder, **config).split("---\n", 2)
    assert rest.startswith("\n# Semantic IDs\n")
    return yaml.safe_load(written)


def test_what_model_hubs_read(tmp_path: Path, embedder: Embedder) -> None:
    folder = with_texts(tmp_path / "a", embedder)
    tags = ["semantic-ids", "vector-quantization", "literature"]
    assert front_matter(folder) == {"library_name": "wotd", "tags": tags}, "no work says its language or licence"
    stated(folder, language=["en-GB", "en", "la", "en"], licence=["CC0-1.0"] * 4)
    model = {"fingerprint": {"model": "sentence-transformers/all-MiniLM-L6-v2"}}
    assert front_matter(folder, embedding=model) == {
        "library_name": "wotd",
        "tags": tags,
        "language": ["en", "la"],
        "license": "cc0-1.0",
        "base_model": "sentence-transformers/all-MiniLM-L6-v2",
    }
    stated(folder, language=["en", "en", "en", None], licence=["MIT", "MIT", "Apache-2.0", "MIT"])
    assert front_matter(folder) == {"library_name": "wotd", "tags": tags}
    stated(folder, language=["english: yes"] * 4, licence=["Public domain in the USA."] * 4)
    assert front_matter(folder) == {"library_name": "wotd", "tags": tags}
    assert front_matter(with_vectors(tmp_path / "b"))["tags"] == tags[:2]


def stated(folder: Path, **facts: list[str | None]) -> None:
    """Let the works state these, one each."""
    file = folder / "semantic_ids.json"
    data = json.loads(file.read_text())
    for number, work in enumerate(data["corpora"].values()):
        said = {name: values[number] for name, values in facts.items()}
        work["facts"] = {name: {"value": value, "origin": "stated"} for name, value in said.items() if value}
    file.write_text(json.dumps(data))


def test_a_card_that_is_written_again_is_the_same(tmp_path: Path, embedder: Embedder) -> None:
    folder = with_texts(tmp_path / "a", embedder, {**RUN, "metrics": METRICS})
    assert card_of(folder) == card_of(folder)
