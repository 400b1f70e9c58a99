"""How many codes change with the seed, and how far do the figures move?

python -m experiments.seeds.run --root BOOKS --output OUT      a folder of Standard Ebooks

For named and for deep IDs, on each split of the authors, runs that differ in their seed alone; all but the first keep
to the first one's codes (``artifacts.align_to``). One is made twice under the same seed. ``--seeds`` are both those of
the splits and those of the runs. Writes OUT/results.json, OUT/table.md and OUT/churn.png, and keeps runs in OUT/runs.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from statistics import mean, stdev

import numpy as np
from matplotlib import pyplot as plt
from numpy.typing import NDArray

from experiments.runs import Results, Row, arguments, corpus, figures
from experiments.tables import NAMED, figure, markdown, spread
from wotd.artifacts import Artifacts
from wotd.evaluation import evaluate_churn
from wotd.metrics import churn
from wotd.pipeline import train_wotd_pipeline
from wotd.progress import track

DEEP = ("model=deep", "data.batch_size=512", "trainer.max_epochs=3", "features=none")
RECIPES: dict[str, Sequence[str]] = {"named": (), "deep": DEEP}
FEW_CODES = "model.level_sizes=[4,4,4,4]"
"""Deep levels that the few works of ``--check`` can fill."""

AGAIN = "again"
BETWEEN = {
    "nothing": "the same seed again",
    "seed": "another seed",
    "seed, aligned": "another seed, aligned",
    "seed, matched": "another seed, matched afterwards",
    "split": "other authors, matched afterwards",
}


def run_folder(output: Path, recipe: str, split: int, seed: int | str) -> Path:
    """Where a run is kept."""
    return output.resolve() / "runs" / f"{recipe}_split_{split}_seed_{seed}"


def train_all(results: Results, overrides: Sequence[str], asked_for: argparse.Namespace) -> None:
    """Every recipe, split and seed; the first seed's run comes before those that are aligned to it."""
    seeds, output = asked_for.seeds, asked_for.output
    first = seeds[0]
    asked: list[tuple[str, int, int | str]] = [
        (recipe, split, seed) for recipe in RECIPES for split in seeds for seed in seeds
    ]
    asked += [(recipe, first, AGAIN) for recipe in RECIPES]
    for recipe, split, seed in track(asked, "runs", unit="runs"):
        folder = run_folder(output, recipe, split, seed)
        if results.has(setting=recipe, split=split, seed=seed) and (folder / "artifacts").is_dir():
            continue
        aligned = [] if seed in (first, AGAIN) else [align_to(run_folder(output, recipe, split, first))]
        seeded = [f"data.seed={split}", f"seed={first if seed == AGAIN else seed}", "artifacts.texts=false"]
        few = [FEW_CODES] if asked_for.check and recipe == "deep" else []
        done = train_wotd_pipeline([*overrides, *RECIPES[recipe], *few, *seeded, *aligned], folder)
        results.rows = [r for r in results.rows if (r["setting"], r["split"], r["seed"]) != (recipe, split, seed)]
        found = done.alignment.get("churn")
        results.add({"setting": recipe, "split": split, "seed": seed, **figures(done), "churn": found})


def align_to(run: Path) -> str:
    """The override under which a run keeps to another one's codes."""
    return f"artifacts.align_to='{run / 'artifacts'}'"


def codes(run: Path) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Codes of all passages, in their order, and which of these training did not see."""
    table = Artifacts.open(run / "artifacts").codes(["code", "split"])
    return np.asarray(table["code"].to_pylist(), dtype=np.int64), np.asarray(table["split"].to_pylist()) != "train"


def pairs(rows: Sequence[Row], seeds: Sequence[int], output: Path) -> list[Row]:
    """Shares of passages whose code differs between two runs, by what the runs differ in."""
    found: list[Row] = []
    first = seeds[0]
    for row in rows:
        if row["churn"]:
            for name, when in (("seed", "before"), ("seed, aligned", "after")):
                shares = row["churn"][when]
                found.append(pair(row["setting"], name, shares["per_level"], shares["whole"], None))
    for recipe in RECIPES:
        level_sizes, fixed = levels(run_folder(output, recipe, first, first))
        known = {(s, n): codes(run_folder(output, recipe, s, n)) for s in seeds for n in seeds}
        (ours_NL, _), (again_NL, _) = known[first, first], codes(run_folder(output, recipe, first, AGAIN))
        same = churn(again_NL, ours_NL)
        found.append(pair(recipe, "nothing", same.per_level, same.whole, None))
        differing = {
            "seed, matched": [((s, a), (s, b)) for s in seeds for a, b in combinations(seeds, 2)],
            "split": [((a, first), (b, first)) for a, b in combinations(seeds, 2)],
        }
        for name, of_kind in differing.items():
            for one, other in of_kind:
                (one_NL, unseen_N), (other_NL, unseen_too_N) = known[one], known[other]
                both_N = unseen_N & unseen_too_N
                whole, unseen = (
                    evaluate_churn(one_NL[rows_N], other_NL[rows_N], level_sizes, fixed)
                    for rows_N in (np.ones(len(one_NL), bool), both_N)
                )
                per_level = [whole[f"churn/level_{level}"] for level in range(len(level_sizes))]
                found.append(pair(recipe, name, per_level, whole["churn/whole"], unseen["churn/whole"]))
    return found


def levels(run: Path) -> tuple[list[int], list[int]]:
    """Sizes of the levels, and which of them labels teach."""
    encoder = Artifacts.open(run / "artifacts").encoder()
    return list(encoder.level_sizes), list(encoder.quantizer.taught)


def pair(recipe: str, between: str, per_level: Sequence[float], whole: float, unseen: float | None) -> Row:
    """A row of two runs."""
    return {"setting": recipe, "between": between, "per_level": list(per_level), "whole": whole, "unseen": unseen}


def churn_table(rows: Sequence[Row], recipe: str) -> str:
    """Shares of passages by what two runs differ in; mean and spread over pairs."""
    lines = {}
    for between, title in BETWEEN.items():
        chosen = [row for row in rows if row["setting"] == recipe and row["between"] == between]
        by_level = zip(*(row["per_level"] for row in chosen), strict=True)
        unseen = [row["unseen"] for row in chosen if row["unseen"] is not None]
        cells = [spread(level) for level in by_level] + [spread([row["whole"] for row in chosen]), spread(unseen)]
        lines[f"{title} ({len(chosen)})"] = cells
    return markdown([*(f"level {n}" for n in range(len(cells) - 2)), "whole code", "… of unseen authors"], lines)


def spread_table(rows: Sequence[Row], seeds: Sequence[int]) -> str:
    """Named IDs on the test side: the mean, and how far it moves with the seed and with the split."""
    lines = {}
    for heading, where in NAMED.items():
        found = {
            split: [
                figure(r, where) for r in rows if (r["setting"], r["split"]) == ("named", split) and r["seed"] != AGAIN
            ]
            for split in seeds
        }
        within = [stdev(each) for each in found.values()]
        means = [mean(each) for each in found.values()]
        lines[heading] = [f"{mean(means):.3f}", f"{mean(within):.4f}", f"{stdev(means):.4f}"]
    return markdown(["mean", "deviation over seeds", "deviation over splits"], lines)


def report(results: Row) -> str:
    """All tables."""
    seeds = results["about"]["seeds"]
    sections = [f"{name.capitalize()} IDs:\n\n{churn_table(results['pairs'], name)}" for name in RECIPES]
    return "\n\n".join([*sections, f"Test side of named IDs:\n\n{spread_table(results['rows'], seeds)}"]) + "\n"


def draw(rows: Sequence[Row], path: Path) -> None:
    """A panel for each recipe: shares of passages, level by level, a dot for each pair."""
    drawing, panels = plt.subplots(1, len(RECIPES), figsize=(11, 4), layout="constrained", sharey=True)
    for axes, recipe in zip(panels, RECIPES, strict=True):
        for number, (between, title) in enumerate(BETWEEN.items()):
            chosen = [row for row in rows if row["setting"] == recipe and row["between"] == between]
            for index, row in enumerate(chosen):
                shares = [*row["per_level"], row["whole"]]
                places = [place + 0.12 * (number - 2) for place in range(len(shares))]
                axes.plot(places, shares, "o", color=f"C{number}", markersize=4, label=title if index == 0 else None)
        names = [*(f"level {level}" for level in range(len(shares) - 1)), "whole code"]
        axes.set(title=f"{recipe} IDs", xticks=range(len(shares)), xticklabels=names, ylabel="share that changes")
        axes.grid(axis="y", alpha=0.3)
    panels[0].legend(fontsize="small")
    drawing.savefig(path, dpi=110)
    plt.close(drawing)


def main() -> None:
    """Train, compare, print, write."""
    asked = arguments(__doc__).parse_args()
    with corpus(asked) as (recipe, about):
        results = Results.open(asked.output, {**about, "seeds": asked.seeds})
        train_all(results, recipe, asked)
    write(results.write(pairs=pairs(results.rows, asked.seeds, asked.output)), asked.output)


def write(results: Row, output: Path) -> None:
    """The table and the plot of results."""
    (output / "table.md").write_text(report(results), encoding="utf-8")
    draw(results["pairs"], output / "churn.png")
    print(report(results))


if __name__ == "__main__":
    main()
