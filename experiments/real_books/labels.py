"""How far do the labels of a side go together, and with its authors?

python experiments/real_books/labels.py --artifacts outputs/books/artifacts

Prints the adjusted mutual information of each pair over the passages of each side: 0 is chance, 1 says that one decides
the other.
"""

from __future__ import annotations

import argparse
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyarrow import parquet
from sklearn.metrics import adjusted_mutual_info_score

from wotd.artifacts import CODES, Artifacts


def read(folder: Path) -> tuple[NDArray[np.str_], dict[str, NDArray[np.int64]]]:
    """The side of each passage, and by name its labels and the number of its author, -1 where unknown."""
    artifacts = Artifacts.open(folder)
    table = parquet.read_table(folder / CODES, columns=["corpus", "split", "label"]).to_pydict()
    works = artifacts.semantic_ids()["corpora"]
    _, authors_N = np.unique([str(works[corpus]["author"]) for corpus in table["corpus"]], return_inverse=True)
    labels_NL = np.array([[-1 if label is None else label for label in row] for row in table["label"]])
    assert artifacts.taxonomy is not None
    named = [(level.name, index) for index, level in enumerate(artifacts.taxonomy.levels) if not level.ranked]
    return np.array(table["split"]), {**{name: labels_NL[:, index] for name, index in named}, "author": authors_N}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--artifacts", type=Path, required=True, help="of a run on works with authors")
    sides_N, columns = read(parser.parse_args().artifacts)
    sides = [side for side in ("train", "val", "test") if side in sides_N]
    print(f"| | {' | '.join(sides)} |\n|---{'|---' * len(sides)}|")
    for one, other in combinations(columns, 2):
        cells = []
        for side in sides:
            known_N = (sides_N == side) & (columns[one] >= 0) & (columns[other] >= 0)
            cells.append(f"{adjusted_mutual_info_score(columns[one][known_N], columns[other][known_N]):.3f}")
        print(f"| {one} and {other} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
