"""Artifact folders with the results of a run that never was, for what is written about runs."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from made_artifacts import make_text_artifacts, make_vector_artifacts

from wotd.artifacts import RESULTS
from wotd.embeddings import Embedder

SIDES = ("train", "val", "test")
METRICS = (
    {"train/nmse": 0.5, "test/nmse": 0.625, "test/agreement/kind/accuracy": 0.75, "test/agreement/kind/majority": 0.25}
    | {f"{side}/nmse/depth_{depth}": 1 / depth for side in SIDES for depth in (1, 2)}
    | {f"test/ami/level_{level}/kind": 0.5 - 0.25 * level for level in (0, 1)}
    | {"test/ami/diagonal_dominance": 0.25, "test/calibration/kind/ece": 0.125, "test/probe/kind/accuracy": 0.875}
    | {f"test/calibration/kind/bin_11/{part}": 0.75 for part in ("confidence", "accuracy", "share")}
    | {"test/recall/prefix": math.nan, "test/level_0/gini": 0.375}
)
RUN: dict[str, Any] = {
    "counts": {"passages": 36, "works": 4, "train": 28, "val": 4, "test": 4},
    "seconds": {"training": 1.5, "total": 2.25},
    "metrics": METRICS,
    "dropped": {"works": {"its language is de": 2}, "passages": {"shorter than 20 | words": 7}},
    "full_cells": [{"cell": [1], "works": 5}],
    "frontier": {"weight": 2.5, "points": [{"weight": w, "nmse": 0.9 - w / 50, "kind": 0.5} for w in (0.5, 2.5, 9.0)]},
}


def with_texts(folder: Path, embedder: Embedder, results: dict[str, Any] = RUN, *, texts: bool = True) -> Path:
    """Named levels of the invented works."""
    return _told(make_text_artifacts(folder, embedder, texts=texts), results)


def with_vectors(folder: Path) -> Path:
    """Free levels of bare vectors."""
    results = {
        **RUN,
        "counts": {**RUN["counts"], "works": 0},
        "metrics": {"test/nmse": 0.5, "test/recall/prefix": 0.125},
    }
    return _told(make_vector_artifacts(folder), {**results, "full_cells": [], "frontier": {}})


def _told(folder: Path, results: dict[str, Any]) -> Path:
    (folder / RESULTS).write_text(json.dumps(results), encoding="utf-8")
    return folder


def config_of(folder: Path) -> dict[str, Any]:
    """What the artifacts say of themselves."""
    found: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return found
