"""Rows of a study as a Markdown table and as a plot: means over seeds with their spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

Row = Mapping[str, Any]
Columns = Mapping[str, str]
"""Heading of a column → where its figure is in a row, such as ``metrics:test/nmse``."""

mpl.use("Agg")

NAMED = {
    "nMSE": "metrics:test/nmse",
    "style": "metrics:test/agreement/style/accuracy",
    "complexity": "metrics:test/agreement/complexity/accuracy",
    "era": "metrics:test/agreement/era/accuracy",
}
"""What most studies ask of named IDs: error of unseen authors' passages, and whether codes equal labels."""


def figure(row: Row, where: str) -> float:
    """The figure at that place of a row; NaN where there is none."""
    part, _, name = where.partition(":")
    value = row[part].get(name) if name else row[part]
    return float("nan") if value is None else float(value)


def settings_of(rows: Sequence[Row]) -> list[str]:
    """Names of the settings, in order of appearance."""
    return list(dict.fromkeys(row["setting"] for row in rows))


def values(rows: Sequence[Row], setting: str, where: str) -> list[float]:
    """A figure of a setting under each seed, in order of seed."""
    chosen = sorted((row for row in rows if row["setting"] == setting), key=lambda row: row["seed"])
    return [figure(row, where) for row in chosen]


def spread(found: Sequence[float], form: str = ".3f") -> str:
    """Mean and standard deviation; the value alone where there is one."""
    if len(found) < 2:
        return format(found[0], form) if found else "–"
    return f"{mean(found):{form}} ± {stdev(found):{form}}"


def table(rows: Sequence[Row], columns: Columns, form: str = ".3f") -> str:
    """A line a setting."""
    return markdown(
        columns,
        {name: [spread(values(rows, name, each), form) for each in columns.values()] for name in settings_of(rows)},
    )


def differences(rows: Sequence[Row], base: str, columns: Columns, form: str = "+.3f") -> str:
    """A line for each other setting: what it has more than the base under the same seed, so on the same split."""
    lines = {}
    for name in settings_of(rows):
        if name != base:
            pairs = [(values(rows, name, each), values(rows, base, each)) for each in columns.values()]
            lines[name] = [
                signed([mine - theirs for mine, theirs in zip(ours, bases, strict=False)], form)
                for ours, bases in pairs
            ]
    return markdown(columns, lines)


def signed(found: Sequence[float], form: str) -> str:
    """Mean with its sign and standard deviation without one."""
    if len(found) < 2:
        return spread(found, form)
    return f"{mean(found):{form}} ± {stdev(found):{form.lstrip('+')}}"


def markdown(columns: Sequence[str] | Columns, lines: Mapping[str, Sequence[str]]) -> str:
    """A table with a line for each name."""
    rows = [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    rows += [f"| {name} | {' | '.join(cells)} |" for name, cells in lines.items()]
    return "\n".join(rows).replace("-0.000 ", "0.000 ").replace("+0.000 ", "0.000 ")


def plot(rows: Sequence[Row], columns: Columns, path: Path, less: Mapping[str, str] | None = None) -> None:
    """A panel for each column: a dot for each seed, a bar at the mean, settings from top to bottom.

    ``less`` names the setting that is subtracted from each, seed by seed; those it does not name are left out.
    """
    names = settings_of(rows) if less is None else list(less)
    wide = min(4, len(columns))
    high = -(-len(columns) // wide)
    size = (2.6 * wide + 1.5, (0.33 * len(names) + 1.2) * high)
    drawing, panels = plt.subplots(high, wide, figsize=size, layout="constrained", sharey=True, squeeze=False)
    for axes, (heading, where) in zip(panels.flat, columns.items(), strict=False):
        for place, name in enumerate(names):
            found = values(rows, name, where)
            if less is not None:
                found = [own - base for own, base in zip(found, values(rows, less[name], where), strict=False)]
            axes.plot(found, [place] * len(found), "o", color="tab:blue", fillstyle="none", markersize=5)
            if found:  # a study that goes on may not have come to this setting yet
                axes.plot([mean(found)], [place], "|", color="black", markersize=14)
        axes.set(title=heading, yticks=range(len(names)), yticklabels=names)
        axes.grid(axis="x", alpha=0.3)
    panels[0][0].invert_yaxis()
    drawing.savefig(path, dpi=110)
    plt.close(drawing)
