"""What monitoring costs: the same training with all of it and with none, in turns, in one process.

Both train on the vectors of invented works, with labels, and log to TensorBoard or to nothing. What a run does after
training (report, examples, projector) is not training and is told apart. Writes OUT/results.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from wotd.pipeline import train_wotd_pipeline

MONITORS = ("codebook_usage", "label_agreement", "learning_rate", "throughput", "pictures")
BARE = ("~logger", *(f"~callbacks.{name}" for name in MONITORS))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="folder of results.json")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each kind")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--works", type=int, default=400, help="invented works, some fifty passages each")
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    common = [
        "+experiment=lsa",
        f"provider.n_works={options.works}",
        f"trainer.max_epochs={options.epochs}",
        "~callbacks.early_stopping",
        "callbacks.progress.refresh_rate=0",
    ]
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(-1, options.repeats):  # the first pair fills the cache and is not counted
            for kind, overrides in (("all", ()), ("none", BARE)):
                begun = time.perf_counter()
                done = train_wotd_pipeline([*common, *overrides], Path(folder) / f"{kind}_{repeat}")
                whole = time.perf_counter() - begun
                if repeat >= 0:
                    rows.append({"kind": kind, "repeat": repeat, "training": done.seconds["training"], "run": whole})
                counts = done.counts
    medians = {
        kind: {
            what: statistics.median(row[what] for row in rows if row["kind"] == kind) for what in ("training", "run")
        }
        for kind in ("all", "none")
    }
    cost = medians["all"]["training"] / medians["none"]["training"] - 1
    results = {
        "about": {
            "machine": platform.processor() or platform.machine(),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "rows": counts["train"],
            "steps": counts["steps"],
            "epochs": options.epochs,
        },
        "medians": medians,
        "cost_of_training": cost,
        "rows": rows,
    }
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    for kind, seconds in medians.items():
        print(f"{kind:>5}: training {seconds['training']:.2f} s, whole run {seconds['run']:.2f} s")
    print(f"monitoring adds {100 * cost:.1f}% to training")


if __name__ == "__main__":
    main()
