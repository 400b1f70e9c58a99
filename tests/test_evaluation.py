"""What is measured of an encoder on rows of a matrix."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score

from wotd.encoders import SemanticEncoder
from wotd.evaluation import encode_vectors, evaluate, row_errors
from wotd.metrics import normalized_mse

DIM, SIZES = 8, (4, 3)


def matrix(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, DIM)).astype(np.float32)


@pytest.fixture(scope="module")
def encoder() -> SemanticEncoder:
    torch.manual_seed(0)
    model = SemanticEncoder(DIM, SIZES, latent_dim=6, hidden=(8,))
    model.start(torch.from_numpy(matrix(200)), torch.Generator().manual_seed(0))
    return model.eval()


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wotd.evaluation._CHUNK_ROWS", 256)


class KnownCodes(SemanticEncoder):
    """Its codes are the first numbers of a row, and they decode to themselves."""

    def __init__(self) -> None:
        super().__init__(3, (4, 3), latent_dim=3)

    def encode(self, x_BD: torch.Tensor) -> torch.Tensor:
        return x_BD[:, :2].long()

    def decode(self, codes_BL: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.pad(codes_BL.float(), (0, 3 - codes_BL.shape[1]))


def test_known_codes_are_measured_exactly() -> None:
    vectors = np.array([[0, 1, 0], [0, 1, 1], [3, 2, 0], [3, 0, 1], [1, 1, 0], [9, 9, 9]], dtype=np.float32)
    labels = np.array([[0, 2], [1, 2], [3, -1], [3, -1], [-1, -1], [0, 0]])
    metrics = evaluate(
        KnownCodes(),
        vectors,
        np.arange(5),
        labels_NL=labels,
        level_names=("style", "era"),
    )
    assert metrics["passages"] == 5
    assert metrics["level_0/usage"] == 0.75
    assert metrics["level_0/dead"] == 1
    assert metrics["level_0/perplexity"] == pytest.approx(math.exp(-2 * 0.4 * math.log(0.4) - 0.2 * math.log(0.2)))
    assert metrics["codes"] == 4
    assert metrics["collisions/rate"] == pytest.approx(1 / 5)
    assert metrics["collisions/floor"] == 0
    assert metrics["agreement/style/accuracy"] == 0.75
    assert metrics["agreement/style/balanced"] == pytest.approx(2 / 3)
    assert metrics["agreement/style/within_one"] == 1
    assert metrics["agreement/style/majority"] == 0.5
    assert metrics["agreement/era/accuracy"] == 0
    assert metrics["agreement/era/majority"] == 1
    x = vectors[:5]
    for depth, kept in ((1, [1, 0, 0]), (2, [1, 1, 0])):
        decoded = x * np.array(kept)
        expected = 1 - r2_score(x, decoded, multioutput="variance_weighted")
        assert metrics[f"nmse/depth_{depth}"] == pytest.approx(expected)
        lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(decoded, axis=1)
        cosines = np.divide((x * decoded).sum(1), lengths, where=lengths > 0, out=np.zeros(5))
        assert metrics[f"cosine/depth_{depth}"] == pytest.approx(cosines.mean(), rel=1e-5)
    assert metrics["nmse"] == metrics["nmse/depth_2"]
    assert metrics["cosine"] == metrics["cosine/depth_2"]


def test_chunks_and_memory_maps_change_nothing(
    encoder: SemanticEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "x.npy", matrix(700).astype(np.float16))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    rows = np.arange(0, 700, 2)
    chunked = evaluate(encoder, mapped, rows)
    monkeypatch.setattr("wotd.evaluation._CHUNK_ROWS", 10**6)
    whole = evaluate(encoder, np.asarray(mapped), rows)
    assert chunked == pytest.approx(whole, rel=1e-6)
    x = torch.from_numpy(mapped[rows].astype(np.float32))
    assert np.array_equal(encode_vectors(encoder, mapped, rows), encoder.encode(x).numpy())
    assert whole["nmse"] == pytest.approx(normalized_mse(x, encoder.decode(encoder.encode(x))), rel=1e-5)


def test_errors_of_rows_are_over_the_variance_of_the_training_data(encoder: SemanticEncoder) -> None:
    vectors, rows = matrix(300, 3), np.arange(300)
    codes = encode_vectors(encoder, vectors, rows)
    decoded = encoder.decode(torch.from_numpy(codes)).numpy()
    expected = ((decoded - vectors) ** 2).mean(1) / float(encoder.scale) ** 2
    np.testing.assert_allclose(row_errors(encoder, vectors, rows, codes), expected, rtol=1e-4)
    trained = matrix(200)
    codes = encode_vectors(encoder, trained, np.arange(200))
    errors = row_errors(encoder, trained, np.arange(200), codes)
    assert errors.mean() == pytest.approx(evaluate(encoder, trained, np.arange(200))["nmse"], rel=1e-4)


@pytest.mark.parametrize("rows", [0, 1, 3, 7])
@pytest.mark.parametrize("row", range(5))
def test_rows_that_are_none_or_equal_measure_only_what_they_can(encoder: SemanticEncoder, row: int, rows: int) -> None:
    metrics = evaluate(encoder, matrix(5), np.full(rows, row))
    assert metrics.keys() == evaluate(encoder, matrix(50), np.arange(50)).keys()
    assert metrics["passages"] == rows
    assert math.isnan(metrics["nmse"])
    assert math.isnan(metrics["nmse/depth_1"])
    assert math.isnan(metrics["cosine"]) == (rows == 0)
    assert math.isnan(metrics["level_0/perplexity"]) == (rows == 0)


def test_levels_without_a_known_label_have_no_agreement(encoder: SemanticEncoder) -> None:
    labels = np.stack([np.zeros(50), np.full(50, -1)], 1).astype(np.int64)
    metrics = evaluate(encoder, matrix(50), np.arange(50), labels_NL=labels, level_names=("style", "era"))
    assert "agreement/style/accuracy" in metrics
    assert not any(name.startswith("agreement/era") for name in metrics)
    assert "agreement/level_0/accuracy" in evaluate(encoder, matrix(50), np.arange(50), labels_NL=labels)
