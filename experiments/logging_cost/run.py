"""What monitoring costs: the recipe trained with all of it and with none, in turns, in one process.

What a run does after training (report, examples, projector) is not training and is told apart.
Writes OUT/results.json and prints the least of each: what else the machine does can only add to it.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from experiments.runs import Results, arguments, corpus
from wotd.pipeline import train_wotd_pipeline

MONITORS = ("codebook_usage", "label_agreement", "learning_rate", "throughput", "pictures")
KINDS = {"all": (), "none": ("~logger", *(f"~callbacks.{name}" for name in MONITORS))}


def main() -> None:
    """Measure what is not measured yet, and print."""
    asked = arguments(__doc__).parse_args()
    with corpus(asked) as (recipe, about), tempfile.TemporaryDirectory() as scratch:
        results = Results.open(asked.output, about)
        recipe = [override for override in recipe if override != "~logger"]
        train_wotd_pipeline([*recipe, "trainer.max_epochs=0"], Path(scratch) / "cache")  # embeds, once for all
        for seed in asked.seeds:
            for kind, overrides in KINDS.items():
                if results.has(kind=kind, seed=seed):
                    continue
                begun = time.perf_counter()
                done = train_wotd_pipeline(
                    [*recipe, "~callbacks.early_stopping", *overrides, f"seed={seed}"], Path(scratch) / f"{kind}_{seed}"
                )
                run = time.perf_counter() - begun
                counts = {name: done.counts[name] for name in ("train", "epochs", "steps")}
                results.add({"kind": kind, "seed": seed, "training": done.seconds["training"], "run": run, **counts})
        results.write()
    for part in ("training", "run"):
        seconds = {kind: min(row[part] for row in results.rows if row["kind"] == kind) for kind in KINDS}
        added = 100 * (seconds["all"] / seconds["none"] - 1)
        print(f"{part}: {seconds['all']:.1f} s with, {seconds['none']:.1f} s without; monitoring adds {added:.1f}%")


if __name__ == "__main__":
    main()
