"""The embedder with other backends and number formats: on record, measured, refused where it strays."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from wotd.embeddings import EmbeddingCache, SentenceTransformerEmbedder, load_embedder, verify_embedder
from wotd.embeddings.backends import Calibration
from wotd.embeddings.backends.calibration import Ranges
from wotd.embeddings.embedder import CALIBRATION_FILE
from wotd.embeddings.verification import LEAST_COSINES, SAME_COSINES, Fidelity, described
from wotd.errors import EmbeddingError

TEXTS = [f"{'the cold sea and the dark wind ' * (n % 7)} rain {n}" for n in range(60)]
PAIRS = [("onnx", "float32"), ("openvino", "float32"), ("onnx", "int8"), ("openvino", "int8")]


@pytest.fixture(scope="module")
def halves(tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The model with its weights stored in fewer digits."""
    folders = {name: tmp_path_factory.mktemp("half") / name for name in ("bfloat16", "float16")}
    for name, folder in folders.items():
        SentenceTransformer(str(tiny_model_path), device="cpu").to(dtype=getattr(torch, name)).save(str(folder))
    return folders


@pytest.fixture(scope="module")
def exported(tiny_model_path: Path, halves: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with nothing in it but the bodies of the models in float32: to export one takes seconds."""
    folder = tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WOTD_CACHE", str(folder))
        for path in (tiny_model_path, *halves.values()):
            tiny(path, backend="onnx").embed(["rain"])
    return folder


@pytest.fixture(autouse=True)
def _own_cache(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(exported, tmp_path / "cache")
    monkeypatch.setenv("WOTD_CACHE", str(tmp_path / "cache"))


def tiny(path: Path, **settings: object) -> SentenceTransformerEmbedder:
    return SentenceTransformerEmbedder(str(path), **settings)  # type: ignore[arg-type]


def quartered(calibration: Calibration) -> Calibration:
    """Ranges that cut off most of what they are for."""
    layers = calibration.layers.items()
    return Calibration({name: Ranges(each.lowest / 4, each.highest / 4, each.halvings) for name, each in layers})


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


def test_the_ranges_of_artifacts_count_and_not_those_of_the_machine(tiny_model_path: Path, tmp_path: Path) -> None:
    here = tiny(tiny_model_path, backend="onnx", precision="int8")
    here.save_state(tmp_path)
    own = Calibration.load(tmp_path / CALIBRATION_FILE)
    quarter = quartered(own)
    quarter.save(tmp_path / CALIBRATION_FILE)
    there = load_embedder(here.settings(), tmp_path)
    assert there.fingerprint.calibration_sha256 == quarter.sha256 != own.sha256
    assert np.abs(there.embed(TEXTS) - here.embed(TEXTS)).max() > 1e-3


def test_the_ranges_on_record_are_those_that_compute(tiny_model_path: Path, tmp_path: Path) -> None:
    embedder = tiny(tiny_model_path, backend="onnx", precision="int8")
    recorded, expected = embedder.fingerprint, embedder.embed(TEXTS)
    again = tiny(tiny_model_path, backend="onnx", precision="int8")
    assert again.fingerprint == recorded
    (kept,) = (tmp_path / "cache" / "models").rglob("calibration.json")
    quartered(Calibration.load(kept)).save(kept)
    np.testing.assert_array_equal(again.embed(TEXTS), expected)


@pytest.mark.parametrize("stored", ["bfloat16", "float16"])
@pytest.mark.parametrize(("backend", "precision"), PAIRS)
def test_weights_that_are_stored_in_fewer_digits_compute_in_as_many_as_asked(
    halves: dict[str, Path], backend: str, precision: str, stored: str
) -> None:
    expected = tiny(halves[stored], device="cpu").embed(TEXTS)
    vectors = tiny(halves[stored], backend=backend, precision=precision).embed(TEXTS)
    assert Fidelity.between(vectors, expected).least_cosine >= LEAST_COSINES[precision]


def test_drift_within_one_arithmetic_is_held_to_more_than_another_one(tiny_model_path: Path) -> None:
    here = tiny(tiny_model_path, backend="onnx", precision="int8")
    noise = np.random.default_rng(0).normal(size=here.probe().shape).astype(np.float32)
    drifted = here.probe() + 0.02 * noise
    assert LEAST_COSINES["int8"] < Fidelity.between(here.probe(), drifted).least_cosine < SAME_COSINES["int8"]
    with pytest.raises(EmbeddingError, match=r"onnx int8 strays too far .* expected at least 0\.999"):
        verify_embedder(here, here.fingerprint, drifted)
    verify_embedder(here, tiny(tiny_model_path).fingerprint, drifted)


def test_float32_has_no_state(tiny_model_path: Path, tmp_path: Path) -> None:
    assert tiny(tiny_model_path, backend="onnx").save_state(tmp_path) == []
    assert tiny(tiny_model_path).fingerprint.calibration_sha256 == ""


def test_later_nothing_is_loaded_to_know_the_fingerprint(
    tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tiny(tiny_model_path, backend="onnx", precision="int8").fingerprint
    monkeypatch.setattr("wotd.embeddings.network._loaded", lambda plan: pytest.fail("a network was loaded"))
    assert tiny(tiny_model_path, backend="onnx", precision="int8").fingerprint == first


@pytest.mark.slow
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
