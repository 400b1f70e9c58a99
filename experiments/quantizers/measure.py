"""One method fitted and measured in a process of its own; :mod:`run` starts one for each row of the table.

Reads what to do as JSON from standard input and writes a JSON object to the file it names.
Shape letters: N rows, D embedding, L levels.
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from contract import Fitted, Task, UnsuitedError
from methods import Method
from numpy.typing import NDArray
from sklearn.metrics import normalized_mutual_info_score

from wotd.metrics import collisions, level_usage, neighbor_recall, normalized_mse

ENCODED_ROWS = 20_000
"""Rows, at least, over which encoding is timed; the held-out ones come again and again."""
ENCODE_REPEATS = 3
QUERIES = 5_000
"""Held-out rows, at most and evenly spread, whose neighbours are looked for."""


def measure(method: Method, task: Task, val_ND: NDArray[np.float32], groups: dict[str, Any]) -> dict[str, Any]:
    """Fit on the task, then measure on held-out rows.

    Args:
        method: what to fit.
        task: on what.
        val_ND: held-out rows.
        groups: for each held-out row the index of its ``author`` and of its ``work``, or nothing.
    """
    method.load()
    task.vectors  # noqa: B018  read before the clock starts
    before = time.process_time()
    fitted = method.fit(task)
    fit_cpu_seconds = time.process_time() - before - fitted.uncounted_cpu_seconds
    codes_NL = fitted.encode(val_ND)
    return {
        "level_sizes_used": list(fitted.level_sizes),
        "bits": sum(math.log2(size) for size in fitted.level_sizes),
        "fit_cpu_seconds": fit_cpu_seconds,
        "uncounted_cpu_seconds": fitted.uncounted_cpu_seconds,
        "encoded_per_cpu_second": encode_rate(fitted, val_ND),
        **distortion(fitted, val_ND, codes_NL),
        **use(fitted, codes_NL),
        **{
            f"nmi_{name}": float(normalized_mutual_info_score(group_N, codes_NL[:, 0]))
            for name, group_N in groups.items()
        },
    }


def distortion(fitted: Fitted, val_ND: NDArray[np.float32], codes_NL: NDArray[np.int64]) -> dict[str, Any]:
    """NMSE of whole codes and of prefixes, and how many true neighbours codes find again."""
    x_ND, decoded_ND = torch.from_numpy(val_ND), torch.from_numpy(fitted.decode(codes_NL))
    depths = range(1, codes_NL.shape[1] + 1) if fitted.decodes_prefixes else ()
    prefixes = [normalized_mse(x_ND, torch.from_numpy(fitted.decode(codes_NL[:, :depth]))) for depth in depths]
    count = min(len(val_ND), QUERIES)
    recall = neighbor_recall(x_ND, decoded_ND, codes_NL, np.arange(count) * len(val_ND) // count)
    return {
        "nmse": normalized_mse(x_ND, decoded_ND),
        "nmse_by_depth": prefixes or None,
        "recall_by_reconstruction": recall.reconstruction,
        "recall_by_prefix": recall.prefix,
    }


def use(fitted: Fitted, codes_NL: NDArray[np.int64]) -> dict[str, Any]:
    """Use of each level by the held-out rows, and how many of them share a code."""
    levels = [
        level_usage(torch.from_numpy(np.bincount(codes_N, minlength=size)))
        for codes_N, size in zip(codes_NL.T, fitted.level_sizes, strict=True)
    ]
    return {
        "usage": [level.usage for level in levels],
        "perplexity_share": [level.perplexity / size for level, size in zip(levels, fitted.level_sizes, strict=True)],
        "collisions": collisions(codes_NL, fitted.level_sizes).rate,
    }


def encode_rate(fitted: Fitted, val_ND: NDArray[np.float32]) -> float:
    """Vectors encoded per second of CPU time, the best of a few times."""
    tiled_ND = np.tile(val_ND, (-(-ENCODED_ROWS // len(val_ND)), 1))
    seconds = []
    for _ in range(ENCODE_REPEATS):
        before = time.process_time()
        fitted.encode(tiled_ND)
        seconds.append(time.process_time() - before)
    return len(tiled_ND) / min(seconds)


def main() -> None:
    """Measure what standard input asks for."""
    asked = json.load(sys.stdin)
    torch.set_num_threads(1)
    task = Task(Path(asked["train"]), tuple(asked["level_sizes"]), asked["seed"])
    val_ND = np.load(asked["val"]).astype(np.float32)
    groups = {}
    if asked["groups"]:
        with np.load(asked["groups"]) as indices:
            groups = {name: indices[f"{name}_val"] for name in ("author", "work")}
    try:
        result = measure(Method(**asked["method"]), task, val_ND, groups)
    except UnsuitedError as error:
        result = {"unsuited": str(error)}
    Path(asked["result"]).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
