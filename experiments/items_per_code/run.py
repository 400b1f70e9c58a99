"""How many items does a code need, so that later levels say something of items that were not learned from?

Residual k-means on ever more rows, judged level by level on rows held out. Shape letters: N rows, D embedding.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wotd.quantization.kmeans import assign, kmeans

LEVELS = 4
SIZES = (64, 256)
ITEMS_PER_CODE = (2, 5, 10, 20, 40, 80)
SEEDS = (0, 1, 2)


def errors(learned_ND: Tensor, held_out_ND: Tensor, size: int, seed: int) -> list[float]:
    """Error of the held-out rows over their variance (nMSE), after each level."""
    generator = torch.Generator().manual_seed(seed)
    mean_D, variance = learned_ND.mean(0), (held_out_ND - held_out_ND.mean(0)).square().mean()
    learned_ND, held_out_ND = learned_ND - mean_D, held_out_ND - mean_D
    found = []
    for _ in range(LEVELS):
        codewords_KD = kmeans(learned_ND, size, generator, iterations=10)
        learned_ND = learned_ND - codewords_KD[assign(learned_ND, codewords_KD)]
        held_out_ND = held_out_ND - codewords_KD[assign(held_out_ND, codewords_KD)]
        found.append(float(held_out_ND.square().mean() / variance))
    return found


def measured(vectors_ND: NDArray[np.floating], held_out_ND: NDArray[np.floating]) -> list[dict[str, object]]:
    """A row for each size, number of items and seed; other seeds learn from other rows."""
    held_out = torch.from_numpy(held_out_ND.astype(np.float32))
    rows: list[dict[str, object]] = []
    for size in SIZES:
        for each in ITEMS_PER_CODE:
            for seed in SEEDS:
                order = np.random.default_rng(seed).permutation(len(vectors_ND))[: size * each]
                learned = torch.from_numpy(vectors_ND[order].astype(np.float32))
                nmse = [round(error, 4) for error in errors(learned, held_out, size, seed)]
                rows.append({"size": size, "items_per_code": each, "items": len(learned), "seed": seed, "nmse": nmse})
                print(json.dumps(rows[-1]), flush=True)
    return rows


def main() -> None:
    """Measure and write ``results.json`` beside this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vectors", required=True, help="an .npy file of N×D vectors to learn from")
    parser.add_argument("--held-out", required=True, help="an .npy file of vectors to judge on")
    options = parser.parse_args()
    rows = measured(np.load(options.vectors, mmap_mode="r"), np.load(options.held_out, mmap_mode="r"))
    lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
    (Path(__file__).parent / "results.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
