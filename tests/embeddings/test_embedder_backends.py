"""The embedder with other backends and number formats: on record, measured, refused where it strays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wotd.embeddings import EmbeddingCache, SentenceTransformerEmbedder, load_embedder, verify_embedder
from wotd.embeddings.embedder import CALIBRATION_FILE
from wotd.embeddings.verification import LEAST_COSINES, Fidelity, described
from wotd.errors import EmbeddingError

TEXTS = [f"{'the cold sea and the dark wind ' * (n % 7)} rain {n}" for n in range(60)]
PAIRS = [("onnx", "float32"), ("openvino", "float32"), ("onnx", "int8"), ("openvino", "int8")]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WOTD_CACHE", str(tmp_path / "cache"))


def tiny(path: Path, **settings: object) -> SentenceTransformerEmbedder:
    return SentenceTransformerEmbedder(str(path), **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(("backend", "precision"), PAIRS)
def test_other_arithmetic_is_on_record_and_near(tiny_model_path: Path, backend: str, precision: str) -> None:
    plain = tiny(tiny_model_path, device="cpu")
    other = tiny(tiny_model_path, backend=backend, precision=precision)
    assert other.fingerprint.digest != plain.fingerprint.digest, "each has a cache of its own"
    assert other.fingerprint.arithmetic == f"{backend} {precision}"
    assert other.fingerprint.differences(plain.fingerprint) == []
    vectors = other.embed(TEXTS)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert Fidelity.between(vectors, plain.embed(TEXTS)).least_cosine >= LEAST_COSINES[precision]
    recorded = described(other)["fidelity"]
    assert recorded["least_cosine"] >= LEAST_COSINES[precision]
    verify_embedder(other, plain.fingerprint, plain.probe())
    verify_embedder(plain, other.fingerprint, other.probe())


def test_ranges_of_int8_travel_with_artifacts(
    tiny_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tiny(tiny_model_path, backend="onnx", precision="int8")
    assert here.save_state(tmp_path) == [CALIBRATION_FILE]
    assert len(here.fingerprint.calibration_sha256) == 64
    monkeypatch.setenv("WOTD_CACHE", str(tmp_path / "elsewhere"))
    there = load_embedder(here.settings(), tmp_path)
    assert there.fingerprint == here.fingerprint
    np.testing.assert_array_equal(there.embed(TEXTS), here.embed(TEXTS))
    again = tiny(tiny_model_path, backend="onnx", precision="int8")
    assert again.fingerprint == here.fingerprint, "one model has one calibration"


def test_float32_has_no_state(tiny_model_path: Path, tmp_path: Path) -> None:
    assert tiny(tiny_model_path, backend="onnx").save_state(tmp_path) == []
    assert tiny(tiny_model_path).fingerprint.calibration_sha256 == ""


def test_later_nothing_is_loaded_to_know_the_fingerprint(
    tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tiny(tiny_model_path, backend="onnx", precision="int8").fingerprint
    monkeypatch.setattr("wotd.embeddings.network._loaded", lambda plan: pytest.fail("a network was loaded"))
    assert tiny(tiny_model_path, backend="onnx", precision="int8").fingerprint == first


def test_workers_may_use_another_backend(tiny_model_path: Path) -> None:
    alone = tiny(tiny_model_path, backend="onnx", precision="int8")
    several = tiny(tiny_model_path, backend="onnx", precision="int8", workers=2)
    try:
        np.testing.assert_allclose(several.embed(TEXTS), alone.embed(TEXTS), atol=1e-6)
    finally:
        several.close()


def test_the_cache_keeps_each_arithmetic_apart(tiny_model_path: Path, tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path / "cache")
    assert cache.embed(tiny(tiny_model_path), TEXTS).computed == len(TEXTS)
    assert cache.embed(tiny(tiny_model_path, backend="onnx"), TEXTS).computed == len(TEXTS)
    assert cache.embed(tiny(tiny_model_path, backend="onnx"), TEXTS).computed == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"backend": "jax"}, r"embedding\.backend is 'jax'; expected one of torch, onnx, openvino"),
        ({"precision": "int8"}, r"embedding\.precision is 'int8'"),
        ({"backend": "onnx", "precision": "float16"}, r"embedding\.precision is 'float16'"),
    ],
)
def test_what_does_not_go_together_is_refused_at_once(arguments: dict[str, str], sentence: str) -> None:
    with pytest.raises(EmbeddingError, match=sentence):
        SentenceTransformerEmbedder("minilm", **arguments)  # type: ignore[arg-type]
