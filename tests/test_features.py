"""Artifacts that see features beside the embedding: rows, codes, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_artifacts import make_text_artifacts
from pipeline_runs import on_works

from wotd.artifacts import CONFIG, Artifacts
from wotd.embeddings import SentenceTransformerEmbedder, Stylometry
from wotd.errors import ArtifactError, EmbeddingError, VectorsError
from wotd.inference import SemanticIDModel
from wotd.pipeline import train_wotd_pipeline

TEXTS = ["the old house by the sea", "She read the letter; and then?", "wind and rain"]
WIDTH = 32
FEATURES = Stylometry().dimension


@pytest.fixture(scope="module")
def plain(tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    embedder = SentenceTransformerEmbedder(str(tiny_model_path), device="cpu")
    return make_text_artifacts(tmp_path_factory.mktemp("plain") / "artifacts", embedder)


@pytest.fixture(scope="module")
def made(tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    embedder = SentenceTransformerEmbedder(str(tiny_model_path), device="cpu")
    return make_text_artifacts(tmp_path_factory.mktemp("made") / "artifacts", embedder, features=Stylometry())


@pytest.fixture
def featured(made: Path, tmp_path: Path) -> Path:
    """Artifacts whose first level sees features beside the embedding; a test may spoil them."""
    return shutil.copytree(made, tmp_path / "featured")


def reconfigured(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    config = json.loads((folder / CONFIG).read_text())
    change(config)
    (folder / CONFIG).write_text(json.dumps(config))
    return folder


def test_a_text_becomes_its_embedding_with_its_features_beside_it(featured: Path) -> None:
    model = SemanticIDModel.load(featured)
    rows = model.embed(TEXTS)
    assert rows.shape == (3, WIDTH + FEATURES)
    np.testing.assert_array_equal(rows[:, :WIDTH], model.embedder.embed(TEXTS))
    np.testing.assert_array_equal(rows[:, WIDTH:], Stylometry().embed(TEXTS))


def test_errors_and_distances_are_those_of_the_embedding(featured: Path) -> None:
    model = SemanticIDModel.load(featured)
    encoded, neighbors = model.encode(TEXTS), model.neighbors(TEXTS[0], 5)
    assert [each.code for each in encoded] == model.encode_vectors(model.embed(TEXTS)).tolist()
    decoded = model.decode(np.array([each.code for each in encoded]))
    assert decoded.shape == (3, WIDTH)
    errors = np.square(decoded - model.embedder.embed(TEXTS)).mean(1) / float(model.encoder.scale) ** 2
    np.testing.assert_allclose([each.error for each in encoded], errors, rtol=1e-3, atol=1e-6)
    distances = [neighbor.distance for neighbor in neighbors]
    assert distances == sorted(distances)
    nearest = model.decode(np.array([[int(index) for index in neighbors[0].id.split("-")]]))[0]
    assert distances[0] == pytest.approx(np.square(nearest - model.embedder.embed(TEXTS[:1])[0]).sum(), rel=1e-3)


def test_features_decide_what_taught_levels_say(featured: Path) -> None:
    """With those of other texts, confidence in the taught level is another; what a code stands for is not."""
    model = SemanticIDModel.load(featured)
    rows = torch.from_numpy(model.embed(TEXTS))
    exchanged = torch.cat([rows[:, :WIDTH], rows[:, WIDTH:].roll(1, 0)], 1)
    taught, _ = model.encoder.level_distances(rows)
    other, _ = model.encoder.level_distances(exchanged)
    assert not torch.allclose(taught, other)
    assert torch.equal(model.encoder.latents(rows), model.encoder.latents(exchanged))


def test_vectors_without_features_are_refused(featured: Path) -> None:
    model = SemanticIDModel.load(featured)
    with pytest.raises(VectorsError, match=rf"shape \(2, {WIDTH}\); expected N×{WIDTH + FEATURES}"):
        model.encode_vectors(np.ones((2, WIDTH), np.float32))


def test_features_of_another_version_are_refused(featured: Path) -> None:
    reconfigured(featured, lambda config: config["features"]["settings"].update(version=2))
    with pytest.raises(EmbeddingError, match=r"features\.version is 2; this wotd computes version 1"):
        SemanticIDModel.load(featured).embed(TEXTS)


def test_features_with_another_fingerprint_are_refused(featured: Path) -> None:
    reconfigured(featured, lambda config: config["features"]["fingerprint"].update(configuration_sha256="0" * 64))
    with pytest.raises(EmbeddingError, match=r"stylometry is not as it was .* configuration: sha256"):
        SemanticIDModel.load(featured).embed(TEXTS)


def test_features_with_other_values_are_refused(featured: Path) -> None:
    reconfigured(featured, lambda config: config["features"]["probe"][0].__setitem__(3, 0.5))
    with pytest.raises(EmbeddingError, match="probe vector is off by"):
        SemanticIDModel.load(featured).embed(TEXTS)


def test_an_encoder_of_another_width_is_refused(featured: Path) -> None:
    reconfigured(featured, lambda config: config.update(features=None))
    with pytest.raises(ArtifactError, match=rf"features of a text are 0, the encoder expects {FEATURES}"):
        SemanticIDModel.load(featured).embed(TEXTS)
    reconfigured(featured, lambda config: config["encoder"].update(feature_dim=3))
    with pytest.raises(ArtifactError, match=r"encoder\.safetensors does not fit config\.json"):
        SemanticIDModel.load(featured)


def test_artifacts_without_features_have_none(plain: Path) -> None:
    model = SemanticIDModel.load(plain)
    assert model.features is None
    np.testing.assert_array_equal(model.embed(TEXTS), model.embedder.embed(TEXTS))


def test_the_shell_tells_rows_from_embeddings(
    featured: Path,
    tiny_model_path: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from wotd.cli import run

    texts, vectors, codes = tmp_path / "texts.txt", tmp_path / "E.npy", tmp_path / "codes.npy"
    texts.write_text("\n".join(TEXTS), encoding="utf-8")
    embed = ["embed", "--input", str(texts), "--output", str(vectors)]
    assert run([*embed, "--model", str(tiny_model_path)]) == 0
    assert np.load(vectors).shape == (3, WIDTH), "a model alone has no features"
    refused = f"--vectors has vectors of length {WIDTH}; these artifacts expect {WIDTH + FEATURES}, of which the last"
    for command in (["encode", "--output", str(codes)], ["evaluate"]):
        capsys.readouterr()
        assert run([*command, "--artifacts", str(featured), "--vectors", str(vectors)]) == 1
        assert refused in capsys.readouterr().err

    monkeypatch.setattr("wotd.cli.embed._TEXTS_AT_ONCE", 2)
    assert run([*embed, "--artifacts", str(featured)]) == 0
    np.testing.assert_allclose(np.load(vectors), SemanticIDModel.load(featured).embed(TEXTS), atol=1e-6)
    assert run(["encode", "--artifacts", str(featured), "--vectors", str(vectors), "--output", str(codes)]) == 0
    assert np.load(codes).tolist() == [each.code for each in SemanticIDModel.load(featured).encode(TEXTS)]


def test_the_shell_assigns_anew_where_features_differ(
    featured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import pyarrow.parquet as pq

    from wotd.cli import run

    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(TEXTS), encoding="utf-8")
    arguments = ["assign", "--artifacts", str(featured), "--input", str(texts), "--output", str(tmp_path / "ids")]
    assert run(arguments) == 0
    (target,) = (tmp_path / "ids").iterdir()
    origin = json.loads(pq.read_metadata(target).metadata[b"wotd.origin"])
    assert origin["features"] == Stylometry().fingerprint.digest
    assert run(arguments) == 0
    other = {b"wotd.origin": json.dumps({**origin, "features": "0" * 64}).encode()}
    pq.write_table(pq.read_table(target).replace_schema_metadata(other), target)
    assert run(arguments) == 1
    assert "exists, but not from this texts.txt with these artifacts" in capsys.readouterr().err


def test_a_run_with_features_gives_texts_the_codes_it_stored(tmp_path: Path) -> None:
    results = train_wotd_pipeline(on_works(tmp_path), tmp_path / "run")
    artifacts = Artifacts.open(results.artifacts)
    assert (artifacts.feature_dim, artifacts.row_dim) == (FEATURES, 16 + FEATURES)
    stored = artifacts.codes().select(["text", "code"]).to_pylist()[::7]
    encoded = SemanticIDModel.load(results.artifacts).encode([row["text"] for row in stored])
    assert [each.code for each in encoded] == [row["code"] for row in stored]
    assert all(each.out_of_domain is not None for each in encoded)
    again = train_wotd_pipeline(on_works(tmp_path, "features=none"), tmp_path / "without")
    assert Artifacts.open(again.artifacts).feature_dim == 0


def test_inspect_names_them(featured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from wotd.cli import run

    assert run(["inspect", "--artifacts", str(featured), "--format", "json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["features"] == {
        "kind": "stylometry",
        "dimension": FEATURES,
        "fingerprint": Stylometry().fingerprint.digest,
    }
    assert facts["dimension"] == WIDTH
