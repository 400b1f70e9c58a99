"""What is measured of an encoder on rows of a matrix."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score

from wotd.encoders import SemanticEncoder
from wotd.evaluation import encode_vectors, evaluate, evaluate_churn, fit_probes, frontier
from wotd.metrics import normalized_mse
from wotd.taxonomy import Taxonomy

DIM, SIZES = 8, (4, 3)
TAXONOMY = Taxonomy.from_mapping(
    {
        "name": "two",
        "version": 1,
        "levels": [
            {"name": "style", "fact": "genres", "rule": "first_match", "codes": [{"name": c} for c in "abcd"]},
            {"name": "era", "fact": "year", "rule": "edges", "edges": [1500, 1800], "codes": ["old", "new", "newest"]},
        ],
    }
)


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

    def encode_with_confidence(self, x_BD: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.encode(x_BD), torch.full((len(x_BD), 2), 0.9)

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
        taxonomy=TAXONOMY,
        named=True,
        works_N=np.array([5, 5, 7, 7, 9, 9]),
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
    assert metrics["agreement/style/macro_f1"] == pytest.approx((2 / 3 + 0 + 1) / 3)
    assert metrics["agreement/style/majority"] == 0.5
    assert metrics["agreement/style/by_work"] == 1
    assert metrics["calibration/style/ece"] == pytest.approx(0.9 - 0.75)
    assert metrics["calibration/style/bin_13/accuracy"] == 0.75
    assert metrics["calibration/style/bin_13/share"] == 1
    assert metrics["agreement/era/accuracy"] == 0
    assert metrics["agreement/era/majority"] == 1
    assert metrics["agreement/era/mean_absolute_error"] == 1
    assert metrics["agreement/era/within_one"] == 1
    assert "agreement/style/within_one" not in metrics, "styles are in no order"
    assert metrics["level_0/gini"] == pytest.approx((-3 * 0 - 1 * 1 + 1 * 2 + 3 * 2) / (4 * 5))
    assert metrics["level_0/conditional_entropy"] == pytest.approx(-0.8 * math.log2(0.4) - 0.2 * math.log2(0.2))
    assert metrics["level_1/conditional_entropy"] == pytest.approx(0.4), "only the two of code 3 differ: one bit"
    assert metrics["consistency/depth_1"] == 1, "a work of one passage does not count"
    assert metrics["consistency/depth_2"] == 0.75
    assert math.isnan(metrics["recall/prefix"]), "of five rows all are neighbours"
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
    labels = np.stack([np.arange(50) % 2, np.full(50, -1)], 1).astype(np.int64)
    metrics = evaluate(encoder, matrix(50), np.arange(50), labels_NL=labels, taxonomy=TAXONOMY, named=True)
    assert {"agreement/style/accuracy", "calibration/style/ece", "ami/level_1/style"} <= metrics.keys()
    assert not any("era" in name for name in metrics)


def test_codes_with_names_of_their_own_agree_with_no_label_but_tell_of_it(encoder: SemanticEncoder) -> None:
    x, rows = matrix(50), np.arange(50)
    labels = np.stack([encode_vectors(encoder, x, rows)[:, 1], np.full(50, -1)], 1)
    metrics = evaluate(encoder, x, rows, labels_NL=labels, taxonomy=TAXONOMY)
    assert metrics["ami/level_1/style"] == pytest.approx(1)
    assert metrics["ami/level_0/style"] < 0.5
    assert not any(name.startswith(("agreement", "calibration", "ami/diagonal")) for name in metrics)


def test_ranks_are_labels_of_works_and_not_of_texts(encoder: SemanticEncoder) -> None:
    ranked = Taxonomy.from_mapping(
        {
            **TAXONOMY.to_mapping(),
            "levels": [TAXONOMY.to_mapping()["levels"][0], {"name": "r", "rule": "rank", "size": 3}],
        }
    )
    x, rows = matrix(50), np.arange(50)
    labels = np.stack([rows % 2, rows % 3], 1)
    probes = fit_probes(x, rows, labels, ranked)
    metrics = evaluate(encoder, x, rows, labels_NL=labels, taxonomy=ranked, named=True, probes=probes)
    assert list(probes) == ["style"]
    assert not any("/r" in name for name in metrics if name.startswith(("agreement", "ami", "probe", "calibration")))


def test_probes_tell_labels_of_rows_they_have_not_seen(
    encoder: SemanticEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wotd.evaluation.PROBE_ROWS", 40)
    x = matrix(400)
    labels = np.stack([(x[:, 0] > 0).astype(np.int64), np.full(400, -1)], 1)
    probes = fit_probes(x, np.arange(200), labels, TAXONOMY)
    assert list(probes) == ["style"], "of the other level nothing is known"
    assert probes["style"]["logisticregression"].n_features_in_ == DIM
    works, unseen = np.arange(400) // 4, np.arange(200, 400)
    metrics = evaluate(encoder, x, unseen, labels_NL=labels, taxonomy=TAXONOMY, works_N=works, probes=probes)
    expected = np.mean(probes["style"].predict(x[200:]) == labels[200:, 0])
    assert metrics["probe/style/accuracy"] == pytest.approx(expected)
    assert metrics["probe/style/accuracy"] > 0.8
    assert metrics["probe/style/macro_f1"] == pytest.approx(expected, abs=0.05)
    assert 0 <= metrics["probe/style/by_work"] <= 1
    assert not any(name.startswith("probe/era") for name in metrics)


def test_columns_beside_the_embedding_are_not_reconstructed_but_probed() -> None:
    vectors = np.array([[0, 1, 0], [0, 1, 1], [3, 2, 0], [3, 0, 1], [1, 1, 0]], dtype=np.float32)
    vectors = np.tile(vectors, (4, 1)) + np.arange(20, dtype=np.float32)[:, None] * np.array([0, 0, 1], np.float32)
    features = 100 * (np.arange(20, dtype=np.float32)[:, None] % 2)
    wide, rows = np.hstack([vectors, features]), np.arange(20)
    labels = np.stack([rows % 2, np.full(20, -1)], 1)
    probes = fit_probes(wide, rows, labels, TAXONOMY)
    metrics = evaluate(KnownCodes(), wide, rows, labels_NL=labels, taxonomy=TAXONOMY, probes=probes)
    narrow = evaluate(KnownCodes(), vectors, rows, labels_NL=labels, taxonomy=TAXONOMY)
    assert metrics["probe/style/accuracy"] == 1
    assert {name: value for name, value in metrics.items() if not name.startswith("probe/")} == narrow


def test_samples_are_spread_over_all_rows(encoder: SemanticEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    x = matrix(100)
    twice = np.repeat(np.arange(100), 2)
    monkeypatch.setattr("wotd.evaluation.NEIGHBOR_ROWS", 100)
    sampled, every = evaluate(encoder, x, twice), evaluate(encoder, x, np.arange(100))
    for name in ("recall/prefix", "recall/reconstruction"):
        assert sampled[name] == every[name]
    monkeypatch.setattr("wotd.evaluation.QUERY_ROWS", 5)
    assert evaluate(encoder, x, np.arange(100))["recall/prefix"] != every["recall/prefix"]


def test_labels_give_way_as_reconstruction_weighs_more() -> None:
    torch.manual_seed(0)
    x = matrix(600, seed=3)
    labels = np.stack([np.arange(600) % 4, np.full(600, -1)], 1)
    x[:, 0] += labels[:, 0]
    model = SemanticEncoder(DIM, SIZES, latent_dim=6, hidden=(), quantizer_options={"taught": [0]})
    model.start(torch.from_numpy(x), torch.Generator().manual_seed(0), torch.from_numpy(labels))
    model.eval()
    before, own = encode_vectors(model, x, np.arange(600)), model.quantizer.reconstruction_weight
    points = frontier(model, x, np.arange(600), labels, TAXONOMY)
    weights = [point["weight"] for point in points]
    assert weights == sorted(set(weights))
    assert set(points[0]) == {"weight", "nmse", "style"}, "no label of the other level is known"
    assert points[0]["nmse"] > points[-1]["nmse"]
    assert points[0]["style"] > points[-1]["style"]
    ours = next(point for point in points if point["weight"] == own)
    measured = evaluate(model, x, np.arange(600), labels_NL=labels, taxonomy=TAXONOMY, named=True)
    assert ours["nmse"] == pytest.approx(measured["nmse"])
    assert ours["style"] == measured["agreement/style/accuracy"]
    np.testing.assert_array_equal(encode_vectors(model, x, np.arange(600)), before)


def test_there_is_no_frontier_without_taught_levels_or_rows(encoder: SemanticEncoder) -> None:
    labels = np.zeros((50, 2), np.int64)
    assert frontier(encoder, matrix(50), np.arange(50), labels, TAXONOMY) == []


def test_churn_is_named_by_level_and_depth() -> None:
    old = np.array([[0, 1], [0, 2], [1, 1], [3, 0]])
    new = np.array([[1, 1], [1, 2], [0, 2], [3, 0]])
    matched = evaluate_churn(new, old, SIZES)
    assert matched == {
        "churn/passages": 4, "churn/whole": 0.25, "churn/level_0": 0, "churn/level_1": 0.25,
        "churn/depth_1": 0, "churn/depth_2": 0.25,
    }  # fmt: skip
    assert evaluate_churn(new, old, SIZES, fixed_levels=[0])["churn/level_0"] == 0.75
