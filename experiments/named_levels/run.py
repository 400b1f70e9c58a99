"""Do named levels say what they are called, at what cost in reconstruction, and how sure are they rightly?

python experiments/named_levels/run.py --root BOOKS --output OUT      a folder of Standard Ebooks

Authors are whole on one side of a split; every figure is of authors that nothing was fitted to, and a
mean over the seeds' splits. Writes results.json, frontier.png and reliability.png, prints tables.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from books import LEVELS, Books, read_books, views
from matplotlib import pyplot as plt
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from torch import Tensor

from wotd.data.batches import EmbeddingDataset
from wotd.data.splits import assign_sides
from wotd.encoders import SemanticEncoder
from wotd.metrics.calibration import reliability
from wotd.metrics.probe import fit_probe
from wotd.module import SemanticIDModule
from wotd.progress import track
from wotd.quantization import HierarchicalVectorQuantizer
from wotd.quantization.kmeans import means
from wotd.quantization.products import squared_distances
from wotd.quantization.reading import LevelReading

LEVEL_SIZES = (8, 8, 8, 5)
MINILM = 384
WEIGHTS = (0.03, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 40.0)
"""Weights of reconstruction against label probabilities, along which the frontier is drawn."""


class NearestMean(LevelReading):
    """An ablation: a level says the label whose mean is nearest, in the latent rather than in a view of it."""

    def __init__(self, size: int, dim: int) -> None:
        """Look at the whole latent."""
        super().__init__(size, dim)
        self.view_MZ = torch.nn.Parameter(torch.eye(dim))
        self.keys_KM = torch.nn.Parameter(torch.zeros(size, dim))

    def start(self, latents_NZ: Tensor, labels_N: Tensor) -> float:
        """Take the means; the sharpness is that of a normal distribution with the variance around them."""
        known_N = labels_N >= 0
        keys_KM, _ = means(latents_NZ[known_N], labels_N[known_N], self.size)
        self.keys_KM.copy_(keys_KM)
        distances_NK = squared_distances(latents_NZ[known_N], keys_KM)
        return -float((2 * distances_NK.min(1).values.mean() / latents_NZ.shape[1]).log())


@dataclass(frozen=True)
class Split:
    """Rows of one seed's split, with what is asked of its test side."""

    x_NW: NDArray[np.float32]
    books: Books
    train: NDArray[np.int64]
    val: NDArray[np.int64]
    test: NDArray[np.int64]
    seed: int

    def labels(self, level: int) -> NDArray[np.int64]:
        """Labels of the test side."""
        labels_N: NDArray[np.int64] = self.books.labels_NL[self.test, level]
        return labels_N

    def agreement(self, level: int, said_N: NDArray[np.int64]) -> tuple[float, float]:
        """Share of test passages, and of test works by their commonest code, that agree with their label."""
        labels_N, works_N = self.labels(level), self.books.works_N[self.test]
        known_N = labels_N >= 0
        by_work = [
            np.bincount(said_N[works_N == work]).argmax() == labels_N[works_N == work][0]
            for work in np.unique(works_N[known_N])
        ]
        return float((said_N == labels_N)[known_N].mean()), float(np.mean(by_work))

    def nmse(self, decoded_ND: NDArray[np.float32]) -> float:
        """Error over variance of the test side's MiniLM vectors."""
        x_ND = self.x_NW[self.test, :MINILM]
        return float(((x_ND - decoded_ND) ** 2).sum() / ((x_ND - x_ND.mean(0)) ** 2).sum())


def split_of(x_NW: NDArray[np.float32], books: Books, seed: int) -> Split:
    """A split that keeps authors whole."""
    sides_N = assign_sides(books.authors_N, val_fraction=0.1, test_fraction=0.15, seed=seed)
    return Split(x_NW, books, *(np.flatnonzero(sides_N == side) for side in range(3)), seed)  # type: ignore[call-arg]


def start(split: Split, features: bool, nearest_mean: bool = False) -> SemanticEncoder:
    """The closed-form start of the recipe on the training side."""
    x_NW = split.x_NW if features else split.x_NW[:, :MINILM]
    taught = [0, 1, 2]
    encoder = SemanticEncoder(
        MINILM, LEVEL_SIZES, feature_dim=x_NW.shape[1] - MINILM, hidden=(),
        quantizer_options={"taught": taught, "beam": 16, "fit_beam": 8, "rounds": 4},
    )  # fmt: skip
    quantizer = encoder.quantizer
    assert isinstance(quantizer, HierarchicalVectorQuantizer)
    if nearest_mean:
        for level in taught:
            quantizer.readings[str(level)] = NearestMean(LEVEL_SIZES[level], quantizer.dim)
    module = SemanticIDModule(encoder, supervised=True, seed=split.seed)
    labels_NL = split.books.labels_NL.copy()
    labels_NL[:, 3] = -1
    module.start(EmbeddingDataset(x_NW, labels_NL, split.train), EmbeddingDataset(x_NW, labels_NL, split.val))
    return encoder.eval()


def measured(split: Split, encoder: SemanticEncoder) -> dict[str, float]:
    """Error and agreement of the test side."""
    x_BW = torch.from_numpy(split.x_NW[split.test, : encoder.width])
    codes_BL = encoder.encode(x_BW)
    row = {"nmse": split.nmse(encoder.decode(codes_BL).numpy())}
    for level, name in enumerate(LEVELS):
        row[name], row[f"{name} by work"] = split.agreement(level, codes_BL[:, level].numpy())
    return row


def probed(split: Split, features: bool) -> dict[str, float]:
    """The balanced logistic regression on the same inputs, and residual k-means of the same sizes."""
    x_NW = split.x_NW if features else split.x_NW[:, :MINILM]
    row = {}
    left_ND, test_ND = split.x_NW[split.train, :MINILM].copy(), split.x_NW[split.test, :MINILM]
    left_test_ND = test_ND.copy()
    for size in LEVEL_SIZES:
        kmeans = KMeans(size, n_init=3, random_state=split.seed).fit(left_ND)
        left_ND = left_ND - kmeans.cluster_centers_[kmeans.labels_]
        left_test_ND = left_test_ND - kmeans.cluster_centers_[kmeans.predict(left_test_ND)]
    row["nmse"] = split.nmse(test_ND - left_test_ND)
    for level, name in enumerate(LEVELS):
        probe = fit_probe(x_NW[split.train], split.books.labels_NL[split.train, level])
        assert probe is not None
        said_N = np.asarray(probe.predict(x_NW[split.test]))
        row[name], row[f"{name} by work"] = split.agreement(level, said_N)
    return row


@torch.no_grad()
def residual_levels(split: Split, features: bool) -> dict[str, float]:
    """Another ablation: each level reads, by discriminant analysis too, what the codes of earlier levels left over."""
    width = split.x_NW.shape[1] if features else MINILM
    train_NW, test_NW = (torch.from_numpy(split.x_NW[side, :width]) for side in (split.train, split.test))
    spread_W = train_NW.std(0)
    spread_W[:MINILM] = 1.0  # features in units of their spread, as levels see them otherwise
    left_NW, left_test_NW = ((x_NW - train_NW.mean(0)) / spread_W for x_NW in (train_NW, test_NW))
    row = {}
    for level, name in enumerate(LEVELS):
        size = LEVEL_SIZES[level]
        reading = LevelReading(size, width)
        reading.start(left_NW, torch.from_numpy(split.books.labels_NL[split.train, level]))
        said_N, said_test_N = (reading.distances(x_NW).argmin(1) for x_NW in (left_NW, left_test_NW))
        centres_KW, _ = means(left_NW, said_N, size)
        left_NW, left_test_NW = left_NW - centres_KW[said_N], left_test_NW - centres_KW[said_test_N]
        row[name], row[f"{name} by work"] = split.agreement(level, said_test_N.numpy())
    last = KMeans(LEVEL_SIZES[3], n_init=3, random_state=split.seed).fit(left_NW[:, :MINILM].numpy())
    left_test_ND = left_test_NW[:, :MINILM].numpy()
    left_test_ND = left_test_ND - last.cluster_centers_[last.predict(left_test_ND)]
    return {"nmse": split.nmse(test_NW[:, :MINILM].numpy() - left_test_ND), **row}


def confidences(split: Split, encoder: SemanticEncoder) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    """Per level, confidence of each test passage's code, and whether it is its label."""
    codes_BL, sure_BL = encoder.encode_with_confidence(torch.from_numpy(split.x_NW[split.test, : encoder.width]))
    found = {}
    for level, name in enumerate(LEVELS):
        known_N = split.labels(level) >= 0
        right_N = codes_BL[:, level].numpy() == split.labels(level)
        found[name] = sure_BL[:, level].numpy()[known_N], right_N[known_N]
    return found


def frontier(split: Split, encoder: SemanticEncoder) -> dict[float, dict[str, float]]:
    """What other weights of the reconstruction give, codewords fitted anew to the codes under each."""
    quantizer = encoder.quantizer
    assert isinstance(quantizer, HierarchicalVectorQuantizer)
    x_NW = torch.from_numpy(split.x_NW[split.train, : encoder.width])
    kept, rows = quantizer.reconstruction_weight, {}
    for weight in WEIGHTS:
        quantizer.reconstruction_weight = weight
        encoder.refit(x_NW, torch.Generator().manual_seed(split.seed), rounds=2)
        rows[weight] = measured(split, encoder)
    quantizer.reconstruction_weight = kept
    return rows


def mean_rows(rows: list[dict[str, float]]) -> dict[str, float]:
    """Means, column by column."""
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def draw_frontier(found: dict[str, dict[float, dict[str, float]]], probe: dict[str, float], path: Path) -> None:
    """Accuracy of each level against what reconstruction loses to residual k-means."""
    figure, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
    for axis, level in zip(axes, LEVELS, strict=True):
        for name, rows in found.items():
            losses = [row["nmse"] - probe["nmse"] for row in rows.values()]
            axis.plot(losses, [row[level] for row in rows.values()], marker="o", label=name)
        axis.axhline(probe[level], color="grey", linestyle="--", label="logistic regression, MiniLM + stylometry")
        axis.set(title=level, xlabel="nMSE above residual k-means", ylabel="accuracy, unseen authors")
    axes[0].legend(fontsize=8)
    figure.savefig(path, dpi=130)


def draw_reliability(pooled: dict[str, Any], path: Path) -> None:
    """Accuracy by confidence."""
    figure, axis = plt.subplots(figsize=(5, 5), layout="constrained")
    axis.plot([0, 1], [0, 1], color="grey", linestyle="--")
    for name, curve in pooled.items():
        enough = curve.counts > 50
        axis.plot(
            curve.confidence[enough],
            curve.accuracy[enough],
            marker="o",
            label=f"{name}, ECE {curve.expected_error:.3f}",
        )
    axis.set(xlabel="confidence", ylabel="share that is the label, unseen authors", xlim=(0, 1), ylim=(0, 1))
    axis.legend()
    figure.savefig(path, dpi=130)


def table(rows: dict[str, dict[str, float]]) -> None:
    """Print rows."""
    columns = list(next(iter(rows.values())))
    print("| |", " | ".join(columns), "|")
    print("|---|", "---|" * len(columns))
    for name, row in rows.items():
        print(f"| {name} |", " | ".join(f"{row[column]:.3f}" for column in columns), "|")
    print()


def main() -> None:
    """Measure, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="a folder of Standard Ebooks")
    parser.add_argument("--output", type=Path, required=True, help="a folder")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4, 5])
    arguments = parser.parse_args()
    mpl.use("Agg")
    books = read_books(arguments.root)
    x_NW = np.ascontiguousarray(views(books.texts).by_name["both"], dtype=np.float32)
    rows: dict[str, list[dict[str, float]]] = defaultdict(list)
    curves: dict[str, dict[float, list[dict[str, float]]]] = defaultdict(lambda: defaultdict(list))
    sure: dict[str, list[tuple[NDArray[Any], NDArray[Any]]]] = defaultdict(list)
    for seed in track(arguments.seeds, "splits", unit="splits"):
        split = split_of(x_NW, books, seed)
        for features in (True, False):
            kind = "MiniLM + stylometry" if features else "MiniLM"
            encoder = start(split, features)
            rows[f"codes, {kind}"].append(measured(split, encoder))
            rows[f"probe and residual k-means, {kind}"].append(probed(split, features))
            rows[f"each level on what is left over, {kind}"].append(residual_levels(split, features))
            if features:
                for name, found in confidences(split, encoder).items():
                    sure[name].append(found)
            for weight, row in frontier(split, encoder).items():
                curves[f"own view per level, {kind}"][weight].append(row)
        for weight, row in frontier(split, start(split, False, nearest_mean=True)).items():
            curves["nearest mean in the latent, MiniLM"][weight].append(row)
    means_by_name = {name: mean_rows(each) for name, each in rows.items()}
    found = {name: {weight: mean_rows(each) for weight, each in curve.items()} for name, curve in curves.items()}
    pooled = {
        name: reliability(np.concatenate([c for c, _ in each]), np.concatenate([r for _, r in each]))
        for name, each in sure.items()
    }
    ece = {
        name: {"pooled": pooled[name].expected_error, "by split": [reliability(c, r).expected_error for c, r in each]}
        for name, each in sure.items()
    }
    arguments.output.mkdir(parents=True, exist_ok=True)
    draw_frontier(
        found, means_by_name["probe and residual k-means, MiniLM + stylometry"], arguments.output / "frontier.png"
    )
    draw_reliability(pooled, arguments.output / "reliability.png")
    results = {"seeds": arguments.seeds, "rows": rows, "means": means_by_name, "frontier": found, "ece": ece}
    (arguments.output / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    table(means_by_name)
    for name, curve in found.items():
        print(name)
        table({f"weight {weight:g}": row for weight, row in curve.items()})
    for name, each in ece.items():
        print(f"ECE of {name}: {each['pooled']:.3f} pooled, {np.mean(each['by split']):.3f} mean of splits")


if __name__ == "__main__":
    main()
