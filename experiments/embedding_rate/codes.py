"""How many codes change if artifacts are used with another backend than they were made with?

python experiments/embedding_rate/codes.py --artifacts A
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from wotd import SemanticIDModel

ARITHMETIC = (
    ("torch", "float32"),
    ("torch", "bfloat16"),
    ("onnx", "float32"),
    ("onnx", "int8"),
    ("openvino", "bfloat16"),
    ("openvino", "int8"),
)


def main() -> None:
    """Encode stored passages anew with each and compare with their stored codes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--artifacts", type=Path, required=True)
    parser.add_argument("--passages", type=int, default=1_000)
    arguments = parser.parse_args()
    table = pq.read_table(arguments.artifacts / "codes.parquet", columns=["text", "code"])
    rows = np.random.default_rng(0).permutation(len(table))[: arguments.passages]
    texts, stored = table["text"].take(rows).to_pylist(), np.array(table["code"].take(rows).to_pylist())
    levels = stored.shape[1]
    print("| | " + " | ".join(f"level {level}" for level in range(levels)) + " | whole code |")
    print("|---|" + "---|" * (levels + 1))
    for backend, precision in ARITHMETIC:
        model = SemanticIDModel.load(arguments.artifacts, backend=backend, precision=precision)
        codes = np.array([encoded.code for encoded in model.encode(texts)])
        same = codes == stored
        shares = [*same.mean(axis=0), same.all(axis=1).mean()]
        print(f"| {backend} {precision} | " + " | ".join(f"{share:.3f}" for share in shares) + " |", flush=True)


if __name__ == "__main__":
    main()
