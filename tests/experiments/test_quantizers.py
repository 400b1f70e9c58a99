"""The comparison of quantizers runs on tiny vectors, and its methods are what they say."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

for name in ("faiss", "vector_quantize_pytorch"):
    pytest.importorskip(name, reason=f"{name} is not installed; the extra `bench` brings it")

FOLDER = Path(__file__).resolve().parents[2] / "experiments" / "quantizers"
DIMENSION, CLUSTERS = 24, 12


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    """Clustered vectors in files, and the cluster of each held-out row."""
    folder, generator = tmp_path_factory.mktemp("vectors"), np.random.default_rng(0)
    centres = generator.normal(size=(CLUSTERS, DIMENSION))
    drawn = {"train": generator.integers(CLUSTERS, size=400), "val": generator.integers(CLUSTERS, size=80)}
    for side, cluster in drawn.items():
        noise = 0.3 * generator.normal(size=(len(cluster), DIMENSION))
        np.save(folder / f"{side}.npy", (centres[cluster] + noise).astype(np.float16))
    np.savez(folder / "groups.npz", author_val=drawn["val"], work_val=drawn["val"])
    return folder


@pytest.fixture
def experiment(monkeypatch):
    """Imports a module of the experiment as its scripts do."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def run(vectors, output, *arguments):
    return subprocess.run(
        [sys.executable, str(FOLDER / "run.py"), "--train", vectors / "train.npy", "--val", vectors / "val.npy",
         "--groups", vectors / "groups.npz", "--output", output, *arguments],
        capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.mark.slow
def test_one_command_writes_rows_a_table_and_plots(vectors, tmp_path):
    done = run(vectors, tmp_path, "--level-sizes", "8,5", "--seeds", "0", "--methods", "residual_kmeans,faiss_lsq",
               "--ours", "small=trainer.max_epochs=1 model.hidden=[16]")  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert [row["method"] for row in rows] == ["residual_kmeans", "faiss_lsq", "wotd_small"]
    for row in rows:
        assert 0 < row["nmse"] < 1
        assert row["fit_cpu_seconds"] > 0
        assert row["encoded_per_cpu_second"] > 0
        assert row["nmi_author"] == row["nmi_work"] > 0.3
        assert row["level_sizes_used"] == ([8, 8] if row["method"] == "faiss_lsq" else [8, 5])
        if row["nmse_by_depth"]:
            assert row["nmse_by_depth"][-1] == pytest.approx(row["nmse"])
    table = (tmp_path / "table.md").read_text()
    assert all(label in table for label in ("| residual k-means |", "| faiss LSQ (2 × 8) |", "| wotd, small |"))
    assert {path.name for path in tmp_path.glob("*.png")} == {
        "distortion_by_bits.png", "distortion_by_fit_time.png", "distortion_by_rate.png"
    }  # fmt: skip


def test_what_cannot_be_measured_is_said_with_its_reason(vectors, tmp_path):
    done = run(vectors, tmp_path, "--level-sizes", "32,32", "--seeds", "0,1", "--methods", "tree_kmeans")
    assert done.returncode == 0, done.stderr
    assert "tree k-means: not measured; a tree of 1,024 codes has more leaves" in (tmp_path / "table.md").read_text()


def test_a_method_that_fails_ends_with_status_1_and_its_reason(vectors, tmp_path):
    done = run(vectors, tmp_path, "--level-sizes", "500", "--seeds", "0", "--methods", "residual_kmeans")
    assert done.returncode == 1
    assert "n_samples=400 should be >= n_clusters=500" in (tmp_path / "table.md").read_text()


@pytest.mark.parametrize(("argument", "value"), [("--methods", "no_such"), ("--ours", "nameless")])
def test_wrong_arguments_are_named(vectors, tmp_path, argument, value):
    done = run(vectors, tmp_path, "--level-sizes", "8,5", argument, value)
    assert done.returncode == 2
    assert argument in done.stderr
    assert value in done.stderr


PEERS = [
    ("peers_faiss:residual", {"beam": 2, "refine": True}, (8, 5)),
    ("peers_faiss:lsq", {}, (8, 8)),
    ("peers_faiss:product", {"rotate": True}, (16, 16)),
    ("peers_kmeans:ResidualKMeans", {}, (8, 5)),
    ("peers_kmeans:TreeKMeans", {"shrinkage": 2.0}, (8, 5)),
    ("peers_torch:residual_vq", {"epochs": 2}, (8, 5)),
    ("peers_torch:autoencoder", {"kind": "residual_vq", "epochs": 2}, (8, 5)),
    ("peers_torch:autoencoder", {"kind": "residual_fsq", "epochs": 2}, (256, 256)),
    ("peers_torch:autoencoder", {"kind": "fsq", "epochs": 2}, (8, 5)),
    ("peers_torch:autoencoder", {"kind": "fsq", "epochs": 2}, (256, 256)),
]


@pytest.mark.parametrize(("target", "options", "level_sizes"), PEERS, ids=lambda value: str(value))
def test_codes_lie_within_their_levels_and_come_again_with_the_seed(vectors, experiment, target, options, level_sizes):
    method = experiment("methods").Method("any", target, options)
    tasks = [experiment("contract").Task(vectors / "train.npy", level_sizes, seed=1) for _ in range(2)]
    val_ND = np.load(vectors / "val.npy").astype(np.float32)
    first, second = (method.fit(task) for task in tasks)
    codes_NL = first.encode(val_ND)
    assert codes_NL.shape == (len(val_ND), len(level_sizes))
    assert codes_NL.dtype == np.int64
    assert (codes_NL >= 0).all()
    assert (codes_NL < first.level_sizes).all()
    assert np.array_equal(codes_NL, second.encode(val_ND))
    assert first.decode(codes_NL).shape == val_ND.shape


def test_a_faiss_sum_of_codewords_is_what_faiss_decodes(vectors, experiment):
    faiss = experiment("faiss")
    fitted = experiment("peers_faiss").residual(
        experiment("contract").Task(vectors / "train.npy", (8, 16), seed=0), beam=2
    )
    val_ND = np.load(vectors / "val.npy").astype(np.float32)
    codes_NL = fitted.encode(val_ND)
    packed = faiss.pack_bitstrings(codes_NL.astype(np.int32), fitted.bits)
    np.testing.assert_allclose(fitted.decode(codes_NL), fitted.quantizer.decode(packed), atol=1e-5)


def test_a_network_decodes_its_codes_to_what_it_said_forward(vectors, experiment):
    torch, peers = experiment("torch"), experiment("peers_torch")
    task = experiment("contract").Task(vectors / "train.npy", (8, 5), seed=0)
    latents = torch.randn(30, 128, generator=torch.Generator().manual_seed(0))
    for bottleneck in (
        peers.ResidualVectors(128, task.level_sizes, decay=0.9, revive_below=0.0),
        peers.Scalars(128, task.level_sizes),
        peers.Scalars(128, (256, 256)),
        peers.ResidualScalars(128, (256, 256)),
    ):
        with torch.no_grad():
            bottleneck(latents)
            quantized, codes, _ = bottleneck.eval()(latents)
            torch.testing.assert_close(bottleneck.decode(codes), quantized, atol=1e-5, rtol=1e-5)


def test_an_unshrunk_tree_says_the_mean_of_each_path(vectors, experiment):
    task = experiment("contract").Task(vectors / "train.npy", (4, 3), seed=0)
    tree = experiment("peers_kmeans").TreeKMeans(task)
    codes_NL = tree.encode(task.vectors)
    for path in np.unique(codes_NL, axis=0):
        here = (codes_NL == path).all(1)
        np.testing.assert_allclose(tree.decode(path[None])[0], task.vectors[here].mean(0), atol=0.05)
    assert (
        np.abs(tree.decode(codes_NL[:, :1]) - task.vectors).mean() > np.abs(tree.decode(codes_NL) - task.vectors).mean()
    )


@pytest.mark.nightly
def test_training_speed_is_measured_of_all_loops(tmp_path):
    done = subprocess.run(
        [sys.executable, str(FOLDER / "training_speed.py"), "--rows", "400", "--batch-sizes", "64", "--repeats", "1",
         "--output", tmp_path],
        capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rates = json.loads((tmp_path / "training_speed.json").read_text())["64"]
    assert list(rates) == [
        "bare loop", "bare loop, our networks", "wotd", "vector-quantize-pytorch under Lightning"
    ]  # fmt: skip
    assert all(rate > 0 for values in rates.values() for rate in values)
    assert "| 64 |" in done.stdout
