"""Do batches take less time and converge more steadily than a loop over single samples?

python -m experiments.batching.run --root BOOKS --output OUT      a folder of Standard Ebooks

The recipe with batches of 128 and of 1, the latter also at a learning rate divided by the root of 128 (what Adam wants
of so much smaller a batch), and a bare Python loop over samples without a trainer. All start in closed form from
the same rows, and make the same number of passes over them. Seconds are those of the CPU, or of a GPU's wall clock.
Writes OUT/results.json, OUT/table.md and OUT/loss.png.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import stdev

import numpy as np
import torch
from matplotlib import pyplot as plt

from experiments.runs import Results, Row, arguments, corpus, train
from experiments.tables import markdown, settings_of, spread, values
from experiments.trace import Trace, seconds_so_far
from wotd.assembly import build_data_module, build_module, build_taxonomy
from wotd.callbacks import CosineWarmup
from wotd.configuration import compose
from wotd.data.batches import BatchSampler
from wotd.data.splits import TEST, TRAIN, VAL
from wotd.evaluation import evaluate
from wotd.progress import track

BATCH, EPOCHS = 128, 6
PASSES = ("~callbacks.early_stopping", f"trainer.max_epochs={EPOCHS}")
ROOT = BATCH**0.5
BATCHES, SINGLE, SLOWER, LOOP = (
    f"batches of {BATCH}",
    "batches of 1",
    f"batches of 1, learning rate / {ROOT:.1f}",
    "loop over samples",
)
COLUMNS = {
    "s a pass": ("seconds_a_pass", ".2f"),
    "rows / s": ("rate", ".0f"),
    "val/loss, start": ("start", ".4f"),
    "val/loss, least": ("least", ".4f"),
    "val/loss, end": ("end", ".4f"),
    "s of steps to the batches' least": ("seconds_to_reach", ".1f"),
    "val/loss, roughness": ("roughness", ".4f"),
    "train/loss, roughness": ("step_roughness", ".4f"),
    "test nMSE": ("test_nmse", ".3f"),
}


def rate_of_recipe() -> float:
    """The peak learning rate."""
    return float(compose(["+experiment=minilm"]).model.optimizer.learning_rate)


def piped(overrides: Sequence[str], seed: int, size: int) -> Row:
    """What a run of the pipeline did."""
    done = train([*overrides, *PASSES, f"data.batch_size={size}", Trace.OVERRIDE], seed)
    return {
        "validation": [Trace.start, *Trace.validation],
        "seconds": list(Trace.seconds),
        "rows": len(Trace.losses[0]) * size,
        "step_roughness": roughness_of_steps(Trace.losses, size),
        "test_nmse": done.metrics["test/nmse"],
    }


def looped(overrides: Sequence[str], seed: int) -> Row:
    """What a loop does that takes one row after the other, with the module's own terms and nothing around them."""
    config = compose([*overrides, f"seed={seed}", f"data.seed={seed}"])
    taxonomy = build_taxonomy(config)
    data = build_data_module(config, taxonomy)
    data.setup()
    torch.manual_seed(seed)
    module = build_module(config, data.dimension, taxonomy, feature_dim=data.feature_dim)
    rows, held_out = data.dataset(TRAIN), data.dataset(VAL)
    module.start(rows, held_out)
    settings = config.model.optimizer
    optimizer = torch.optim.AdamW(
        module.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    schedule, step = CosineWarmup(), 0
    validation, seconds, losses = [module.validation_loss(held_out)], [], []
    order = BatchSampler(len(rows), 1, shuffle=True, seed=seed)  # the same order as the pipeline's
    for epoch in range(EPOCHS):
        module.train()
        order.set_epoch(epoch)
        started, found = seconds_so_far(), []
        for index in order:
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * schedule.factor(step, EPOCHS * len(rows))
            terms, _ = module.terms(rows[index])
            loss = terms.weighted(module.losses).total()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()
            found.append(loss.item())
            step += 1
        seconds.append(seconds_so_far() - started)
        losses.append(found)
        module.eval()
        module.refit(rows, held_out)
        validation.append(module.validation_loss(held_out))
    measured = evaluate(module.model, data.vectors, data.rows(TEST))
    return {
        "validation": validation,
        "seconds": seconds,
        "rows": len(rows),
        "step_roughness": roughness_of_steps(losses, 1),
        "test_nmse": measured["nmse"],
    }


def roughness_of_steps(losses: Sequence[Sequence[float]], size: int) -> float:
    """How much the training loss of the last pass jumps about, of means over as many rows as a batch has."""
    a_mean = BATCH // size
    last = np.asarray(losses[-1])
    last = last[: max(1, len(last) // a_mean) * a_mean]
    means = [float(part.mean()) for part in np.array_split(last, max(1, len(last) // a_mean))]
    return stdev(means) if len(means) > 1 else 0.0


def with_figures(row: Row, target: float) -> Row:
    """A row with what follows from it; ``target`` is the least loss of the batches under that seed."""
    validation, seconds = row["validation"], row["seconds"]
    reached = next((epoch for epoch, loss in enumerate(validation) if loss <= target), None)
    return row | {
        "seconds_a_pass": min(seconds),
        "rate": row["rows"] / min(seconds),
        "start": validation[0],
        "least": min(validation),
        "end": validation[-1],
        "seconds_to_reach": None if reached is None else sum(seconds[:reached]),
        "roughness": stdev(after - before for before, after in pairwise(validation[1:])),
    }


def complete(rows: list[Row]) -> list[Row]:
    """All rows with what follows from them."""
    targets = {row["seed"]: min(row["validation"]) for row in rows if row["setting"] == BATCHES}
    return [with_figures(row, targets[row["seed"]]) for row in rows]


def report(results: Row) -> str:
    """Means with their spread; how many seeds came down to what batches reached."""
    whole = complete(results["rows"])
    lines = {}
    for name in settings_of(whole):
        cells = []
        for where, form in COLUMNS.values():
            found = [value for value in values(whole, name, where) if value == value]
            seeds = len(values(whole, name, where))
            cells.append(spread(found, form) + ("" if len(found) == seeds else f" ({len(found)} of {seeds} did)"))
        lines[name] = cells
    return markdown(list(COLUMNS), lines) + "\n"


def draw(rows: list[Row], path: Path) -> None:
    """Validation loss after each pass less that of the start, against passes and against seconds of steps."""
    drawing, panels = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
    for number, name in enumerate(settings_of(rows)):
        for index, row in enumerate(row for row in rows if row["setting"] == name):
            gained = np.asarray(row["validation"]) - row["validation"][0]
            passed = np.concatenate([[0], np.cumsum(row["seconds"])])
            style = {"color": f"C{number}", "marker": "o", "markersize": 3, "label": name if index == 0 else None}
            panels[0].plot(range(len(gained)), gained, **style)
            panels[1].plot(passed, gained, **style)
    panels[0].set(xlabel="passes over the training rows", ylabel="val/loss less that of the start")
    panels[1].set(xlabel="seconds of steps", xscale="symlog")
    drawing.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize="small")
    drawing.savefig(path, dpi=110)
    plt.close(drawing)


def main() -> None:
    """Train, print, write."""
    asked = arguments(__doc__, passages=8).parse_args()
    with corpus(asked) as (recipe, about):
        results = Results.open(asked.output, about)
        slower = f"model.optimizer.learning_rate={rate_of_recipe() / ROOT:.3g}"
        runs = {
            BATCHES: lambda seed: piped(recipe, seed, BATCH),
            SINGLE: lambda seed: piped(recipe, seed, 1),
            SLOWER: lambda seed: piped([*recipe, slower], seed, 1),
            LOOP: lambda seed: looped(recipe, seed),
        }
        for seed, name in track([(seed, name) for seed in asked.seeds for name in runs], "runs", unit="runs"):
            if not results.has(setting=name, seed=seed):
                results.add({"setting": name, "seed": seed, **runs[name](seed)})
    write(results.write(), asked.output)


def write(results: Row, output: Path) -> None:
    """The table and the plot of results."""
    (output / "table.md").write_text(report(results), encoding="utf-8")
    draw(results["rows"], output / "loss.png")
    print(report(results))


if __name__ == "__main__":
    main()
