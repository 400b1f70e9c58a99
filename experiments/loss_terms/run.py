"""What does each term of the loss do for named IDs of unseen authors?

python -m experiments.loss_terms.run --root BOOKS --output OUT      a folder of Standard Ebooks

The recipe with all its terms, with each of them off in turn, and its closed-form start alone; the same again at a
learning rate that lets gradients have more of a say. Seeds and splits are the same for all. Writes OUT/results.json,
OUT/table.md and OUT/differences.png; goes on where it was stopped.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from experiments.runs import Results, Row, Setting, arguments, choice_of_settings, corpus, measure
from experiments.tables import NAMED, differences, plot, settings_of, table, values

TERMS = ("reconstruction", "commitment", "entropy", "diversity", "alignment")
ALL, START = "all terms", "closed-form start"
PLOT = "differences.png"
RATES = {"": None, ", rate × 20": 0.001}
"""What stands behind the name of a setting → its learning rate; None: the recipe's, 0.00005."""

COLUMNS = {
    **NAMED,
    "variation: perplexity": "metrics:test/level_3/perplexity",
    "collisions": "metrics:test/collisions/rate",
    "nMSE, training side": "metrics:train/nmse",
}


def settings() -> list[Setting]:
    """No training by gradient at all; at each rate the recipe, and each term off."""
    found = [Setting(START, ["trainer.max_epochs=0"])]
    for suffix, rate in RATES.items():
        at = [] if rate is None else [f"model.optimizer.learning_rate={rate}"]
        off = [Setting(f"without {term}{suffix}", [f"model.losses.{term}=0", *at]) for term in TERMS]
        found += [Setting(f"{ALL}{suffix}", at), *off]
    return found


def report(results: Row) -> str:
    """Means with their spread, and differences from all terms at the same rate, seed by seed."""
    rows = results["rows"]
    sections = [table(rows, COLUMNS)]
    for suffix in RATES:
        others = tuple(other for other in RATES if other and other != suffix)
        of_rate = [
            row for row in rows if row["setting"].endswith((suffix, START)) and not row["setting"].endswith(others)
        ]
        sections.append(
            f"Less all terms{suffix}, under the same seed:\n\n{differences(of_rate, ALL + suffix, COLUMNS)}"
        )
    kept = Counter(row["setting"] for row in rows if row["start_kept"])
    said = ", ".join(f"{name} ({count} of {len(values(rows, name, 'seed'))})" for name, count in kept.items())
    sections.append(f"No epoch was better than the start, which was kept: {said or 'never'}.")
    return "\n\n".join(sections) + "\n"


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
    asked = settings_of(results["rows"])
    ends = {name: next((suffix for suffix in RATES if suffix and name.endswith(suffix)), "") for name in asked}
    less = {name: ALL + suffix for name, suffix in ends.items() if name != ALL + suffix}
    plot(
        results["rows"], {f"{heading}, less all terms": where for heading, where in NAMED.items()}, output / PLOT, less
    )
    print(report(results))


if __name__ == "__main__":
    main()
