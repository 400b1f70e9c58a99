"""How much faster does `torch.compile` make training, and what does it cost?

python -m experiments.compiling.run --root BOOKS --output OUT      a folder of Standard Ebooks

The recipe with ``model.compile`` off and on, in turn, as often as there are seeds; a rate is the fastest epoch's after
the first one. Nothing that is compiled is kept between runs. Seconds are those of the CPU, or of a GPU's wall clock.
Writes OUT/results.json, OUT/table.md and OUT/rate.png.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

import torch

from experiments.runs import Results, Row, arguments, corpus, numbers, train
from experiments.tables import markdown, plot, settings_of, signed, spread, values
from experiments.trace import Trace
from wotd.progress import track

BATCH_SIZES = (128,)
EPOCHS = 6
COMPILED = ", compiled"
WITHOUT_STOPPING = ("~callbacks.early_stopping", f"trainer.max_epochs={EPOCHS}")
COLUMNS = {
    "rows / s of the steps": "rate",
    "first step, s": "first_step",
    "training, s": "training",
    "… of that in steps, s": "steps",
}


def measured(overrides: Sequence[str], seed: int, size: int) -> Row:
    """Rate, first step and durations of a run with batches of that size, which compiles anew what it compiles."""
    torch.compiler.reset()
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, TORCHINDUCTOR_CACHE_DIR=folder):
        os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # so that compilers are called by this process, and counted
        done = train([*overrides, Trace.OVERRIDE], seed)
    rates = [size * len(losses) / seconds for losses, seconds in zip(Trace.losses, Trace.seconds, strict=True)]
    return {
        "rate": max(rates[1:]),
        "rates": rates,
        "first_step": Trace.first_step,
        "steps": sum(Trace.seconds),
        "training": Trace.whole,
        "metrics": {name: done.metrics[name] for name in ("test/nmse", "val/nmse")},
    }


def report(results: Row) -> str:
    """Figures by setting, and what compiling changed: of the best run of each, and of each pair."""
    rows = results["rows"]
    lines = {}
    for name in settings_of(rows):
        rate, first, *others = (values(rows, name, where) for where in COLUMNS.values())
        cells = [spread(rate, ".0f"), f"{min(first):.2f} to {max(first):.2f}"]
        lines[name] = [*cells, *(spread(each, ".1f") for each in others)]
    gains = {}
    for name in settings_of(rows):
        if name.endswith(COMPILED):
            continue
        off, on = (values(rows, each, "rate") for each in (name, name + COMPILED))
        total_off, total_on = (values(rows, each, "training") for each in (name, name + COMPILED))
        gains[name] = [
            f"{100 * (max(on) / max(off) - 1):+.0f} %",
            signed([100 * (mine / theirs - 1) for mine, theirs in zip(on, off, strict=False)], "+.0f") + " %",
            signed([mine - theirs for mine, theirs in zip(total_on, total_off, strict=False)], "+.1f") + " s",
        ]
    headings = ["rate, best run of each", "rate, run by run", "whole training"]
    return f"{markdown(COLUMNS, lines)}\n\nCompiled against not:\n\n{markdown(headings, gains)}\n"


def name_of(size: int, compiled: bool) -> str:
    """A line of the table."""
    return f"batches of {size}{COMPILED if compiled else ''}"


def main() -> None:
    """Train in turn, print, write."""
    parser = arguments(__doc__)
    parser.add_argument("--batch-sizes", type=numbers, default=list(BATCH_SIZES))
    asked = parser.parse_args()
    with corpus(asked) as (recipe, about):
        results = Results.open(asked.output, about)
        turns = [(s, n, c) for s in asked.seeds for n in asked.batch_sizes for c in (False, True)]
        for seed, size, compiled in track(turns, "runs", unit="runs"):
            if results.has(setting=name_of(size, compiled), seed=seed):
                continue
            overrides = [
                *recipe,
                *WITHOUT_STOPPING,
                f"data.batch_size={size}",
                f"model.compile={str(compiled).lower()}",
            ]
            results.add({"setting": name_of(size, compiled), "seed": seed, **measured(overrides, seed, size)})
    write(results.write(), asked.output)


def write(results: Row, output: Path) -> None:
    """The table and the plot of results."""
    (output / "table.md").write_text(report(results), encoding="utf-8")
    plot(results["rows"], {"rows / s of the steps": "rate", "training, s": "training"}, output / "rate.png")
    print(report(results))


if __name__ == "__main__":
    main()
