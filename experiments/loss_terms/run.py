"""What does each term of the loss do for named IDs of unseen authors?

python -m experiments.loss_terms.run --root BOOKS --output OUT      a folder of Standard Ebooks

The recipe with all its terms, with each of them off in turn, and its closed-form start alone; the same seeds and
splits for all. Writes OUT/results.json, OUT/table.md and OUT/differences.png; goes on where it was stopped.
"""

from __future__ import annotations

from pathlib import Path

from experiments.runs import Results, Row, Setting, arguments, choice_of_settings, corpus, measure
from experiments.tables import NAMED, differences, plot, table

TERMS = ("reconstruction", "commitment", "entropy", "diversity", "alignment")
ALL = "all terms"
COLUMNS = {
    **NAMED,
    "variation: perplexity": "metrics:test/level_3/perplexity",
    "collisions": "metrics:test/collisions/rate",
    "nMSE, training side": "metrics:train/nmse",
}


def settings() -> list[Setting]:
    """The recipe, each term off, and no training by gradient at all."""
    off = [Setting(f"without {term}", [f"model.losses.{term}=0"]) for term in TERMS]
    return [Setting(ALL), *off, Setting("closed-form start", ["trainer.max_epochs=0"])]


def report(results: Row) -> str:
    """Means with their spread, and differences from all terms, seed by seed."""
    rows = results["rows"]
    return f"{table(rows, COLUMNS)}\n\nLess all terms, under the same seed:\n\n{differences(rows, ALL, COLUMNS)}\n"


def main() -> None:
    """Train, print, write."""
    parser = arguments(__doc__)
    choice_of_settings(parser)
    asked = parser.parse_args()
    with corpus(asked) as (recipe, about):
        results = Results.open(asked.output, about)
        write(measure(results, recipe, settings(), asked), asked.output)


def write(results: Row, output: Path) -> None:
    """The table and the plot of results."""
    (output / "table.md").write_text(report(results), encoding="utf-8")
    plot(results["rows"], NAMED, output / "differences.png")
    print(report(results))


if __name__ == "__main__":
    main()
