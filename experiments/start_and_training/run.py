"""Does training improve on the closed-form start, and how far is either from simple baselines?

python experiments/start_and_training/run.py                          synthetic corpus, MiniLM
python experiments/start_and_training/run.py --vectors vectors.npy    vectors of your own
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from wotd.data.splits import split_rows
from wotd.data.vectors import open_vectors
from wotd.embeddings import EmbeddingCache, SentenceTransformerEmbedder
from wotd.metrics import normalized_mse
from wotd.pipeline import load_checkpoint, train_wotd_pipeline
from wotd.providers.literature.synthetic import Synthetic

HERE = Path(__file__).resolve().parent
LEVEL_SIZES = {"8·8·8·5": [8, 8, 8, 5], "4 × 256": [256, 256, 256, 256]}
TEST_FRACTION = VAL_FRACTION = 0.1


def synthetic_vectors(folder: Path) -> Path:
    """MiniLM vectors of the default synthetic corpus, from the cache where it has them."""
    texts = [text for work in Synthetic().works() for text in work.passages()]
    path = folder / "synthetic.npy"
    np.save(path, EmbeddingCache().embed(SentenceTransformerEmbedder("minilm"), texts).vectors)
    return path


def residual_kmeans(train: NDArray[np.float32], test: NDArray[np.float32], sizes: list[int], seed: int) -> float:
    """Test nMSE of scikit-learn's k-means, level by level on the residuals."""
    left_train, left_test = train - train.mean(0), test - train.mean(0)
    for size in sizes:
        means = KMeans(size, n_init=1, random_state=seed).fit(left_train)
        left_train = left_train - means.cluster_centers_[means.labels_]
        left_test = left_test - means.cluster_centers_[means.predict(left_test)]
    return normalized_mse(torch.from_numpy(test), torch.from_numpy(test - left_test))


def random_codes(train: NDArray[np.float32], test: NDArray[np.float32], sizes: list[int], seed: int) -> float:
    """Test nMSE where a row's codes are drawn, and a codeword is the mean of the rows that drew it."""
    generator = np.random.default_rng(seed)
    left_train, left_test = train - train.mean(0), test - train.mean(0)
    for size in sizes:
        drawn, tried = generator.integers(size, size=len(train)), generator.integers(size, size=len(test))
        means = np.stack([left_train[drawn == code].mean(0) for code in range(size)])
        left_train, left_test = left_train - means[drawn], left_test - means[tried]
    return normalized_mse(torch.from_numpy(test), torch.from_numpy(test - left_test))


def ours(vectors: Path, sizes: list[int], seed: int, epochs: int) -> Iterator[tuple[str, float, float | None]]:
    """Test nMSE of the closed-form start, and that and the seconds of the trained model it became."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        results = train_wotd_pipeline(
            ["+experiment=deep", f"data.vectors='{vectors}'", f"model.level_sizes={sizes}", f"seed={seed}",
             f"trainer.max_epochs={epochs}", "~callbacks.progress", "logger=csv"],
            folder,
        )  # fmt: skip
        seconds = time.perf_counter() - started
        encoder, _ = load_checkpoint(Path(folder) / "checkpoints" / "start.ckpt")
        test = torch.from_numpy(sides(vectors, seed)[1])
        yield "closed-form start", normalized_mse(test, encoder.decode(encoder.encode(test))), None
        yield "trained", results.metrics["test/nmse"], seconds


def sides(vectors: Path, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Training and test rows, as the pipeline splits them."""
    matrix = open_vectors(vectors)
    side = split_rows(len(matrix), val_fraction=VAL_FRACTION, test_fraction=TEST_FRACTION, seed=seed)
    return matrix[side == 0].astype(np.float32), matrix[side == 2].astype(np.float32)


def measure(vectors: Path, seeds: list[int], epochs: int) -> list[dict[str, object]]:
    """One row per level sizes, method and seed."""
    rows: list[dict[str, object]] = []
    for name, sizes in LEVEL_SIZES.items():
        for seed in seeds:
            train, test = sides(vectors, seed)
            for method, function in (("random codes", random_codes), ("residual k-means", residual_kmeans)):
                start = time.perf_counter()
                nmse = function(train, test, sizes, seed)
                rows.append({"levels": name, "method": method, "seed": seed, "test_nmse": nmse,
                             "seconds": time.perf_counter() - start})  # fmt: skip
            rows += [
                {"levels": name, "method": method, "seed": seed, "test_nmse": nmse, "seconds": seconds}
                for method, nmse, seconds in ours(vectors, sizes, seed, epochs)
            ]
            for row in rows[-4:]:
                print(json.dumps(row, ensure_ascii=False), flush=True)
    return rows


def table(rows: list[dict[str, object]]) -> str:
    """Mean and spread over seeds, as Markdown."""
    lines = ["| levels | method | test nMSE, mean (min to max) |", "|---|---|---|"]
    for key in dict.fromkeys((row["levels"], row["method"]) for row in rows):
        values = [float(str(row["test_nmse"])) for row in rows if (row["levels"], row["method"]) == key]
        lines.append(
            f"| {key[0]} | {key[1]} | {statistics.mean(values):.4f} ({min(values):.4f} to {max(values):.4f}) |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, print the table, keep the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path, help="an .npy file, N×D; default: the synthetic corpus through MiniLM")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--output", type=Path, default=HERE / "results.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        vectors = arguments.vectors.resolve() if arguments.vectors else synthetic_vectors(Path(folder))
        rows = measure(vectors, arguments.seeds, arguments.epochs)
    arguments.output.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
