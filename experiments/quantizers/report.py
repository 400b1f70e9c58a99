"""Rows of measurements as a Markdown table and as plots.

python experiments/quantizers/report.py OUT      draws them anew from OUT/results.json
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator

Rows = list[dict[str, Any]]

HEADINGS = (
    "method", "bits", "nMSE (least to most)", "fit, CPU s", "encoded per CPU s",
    "recall@10, reconstruction", "recall@10, prefix", "level-1 NMI, author / work",
    "usage by level, %", "perplexity / K by level, %", "collisions, %",
)  # fmt: skip


def write_report(rows: Rows, output: Path) -> str:
    """Write ``table.md`` and the plots; returns the table."""
    table = "\n\n".join(section(sizes, of_sizes) for sizes, of_sizes in by_sizes(rows).items())
    (output / "table.md").write_text(table + "\n", encoding="utf-8")
    if measured(rows):
        plot_bits(rows, output / "distortion_by_bits.png")
        plot_cost(rows, "fit_cpu_seconds", "fit, CPU seconds", output / "distortion_by_fit_time.png")
        plot_cost(rows, "encoded_per_cpu_second", "vectors encoded per CPU second", output / "distortion_by_rate.png")
    return table


def measured(rows: Rows) -> Rows:
    """Rows that hold figures."""
    return [row for row in rows if "nmse" in row]


def by_sizes(rows: Rows) -> dict[str, Rows]:
    """Rows by level sizes, these as text."""
    named: dict[str, Rows] = {}
    for row in rows:
        named.setdefault(sizes_text(row["level_sizes"]), []).append(row)
    return named


def sizes_text(level_sizes: list[int]) -> str:
    """``4 × 256`` or ``8·8·8·5``."""
    if len(set(level_sizes)) == 1:
        return f"{len(level_sizes)} × {level_sizes[0]}"
    return "·".join(map(str, level_sizes))


def by_method(rows: Rows) -> list[Rows]:
    """The seeds of each method, best first."""
    labels = dict.fromkeys(row["label"] for row in measured(rows))
    groups = [[row for row in measured(rows) if row["label"] == label] for label in labels]
    return sorted(groups, key=lambda group: mean(row["nmse"] for row in group))


def section(sizes: str, rows: Rows) -> str:
    """All that was measured at these level sizes."""
    lines = [f"### {sizes}", "", f"| {' | '.join(HEADINGS)} |", "|---" * len(HEADINGS) + "|"]
    lines += [f"| {' | '.join(cells(group))} |" for group in by_method(rows)]
    depths = [group for group in by_method(rows) if group[0]["nmse_by_depth"]]
    if depths:
        columns = range(1, len(depths[0][0]["nmse_by_depth"]) + 1)
        lines += ["", f"| nMSE of prefixes | {' | '.join(map(str, columns))} |", "|---" * (len(columns) + 1) + "|"]
        lines += [
            f"| {group[0]['label']} | {' | '.join(by_level(group, 'nmse_by_depth', '.3f'))} |" for group in depths
        ]
    said = {row["label"]: row.get("unsuited") or row["failed"].splitlines()[-1] for row in rows if "nmse" not in row}
    lines += [f"\n{label}: not measured; {reason}." for label, reason in said.items()]
    return "\n".join(lines)


def cells(group: Rows) -> list[str]:
    """A line of the table: means over seeds."""
    first, nmse = group[0], [row["nmse"] for row in group]
    rounded_up = (
        "" if first["level_sizes_used"] == first["level_sizes"] else f" ({sizes_text(first['level_sizes_used'])})"
    )
    nmi = " / ".join(over(group, name, ".2f") for name in ("nmi_author", "nmi_work") if name in first)
    return [
        first["label"] + rounded_up,
        f"{first['bits']:.1f}",
        f"{mean(nmse):.4f} ({min(nmse):.4f} to {max(nmse):.4f})",
        over(group, "fit_cpu_seconds", ".1f"),
        f"{mean(row['encoded_per_cpu_second'] for row in group) / 1000:.1f} k",
        over(group, "recall_by_reconstruction", ".3f"),
        over(group, "recall_by_prefix", ".3f"),
        nmi or "–",
        " ".join(by_level(group, "usage", ".0f", 100)),
        " ".join(by_level(group, "perplexity_share", ".0f", 100)),
        f"{100 * mean(row['collisions'] for row in group):.1f}",
    ]


def over(group: Rows, name: str, form: str) -> str:
    """A figure's mean over seeds."""
    return format(mean(row[name] for row in group), form)


def by_level(group: Rows, name: str, form: str, times: float = 1) -> list[str]:
    """The same for figures that come by level."""
    return [format(times * mean(values), form) for values in zip(*(row[name] for row in group), strict=True)]


def plot_bits(rows: Rows, path: Path) -> None:
    """Distortion against bits: a line for each method, its seeds as a bar."""
    figure, axes = plt.subplots(figsize=(9, 5), layout="constrained")
    for marker, label in styles(rows):
        groups = [
            [row for row in of_sizes if row["label"] == label and "nmse" in row] for of_sizes in by_sizes(rows).values()
        ]
        points = sorted((group[0]["bits"], group) for group in groups if group)
        draw(axes, [bits for bits, _ in points], [group for _, group in points], label, marker)
    axes.set(xlabel="bits", ylabel="held-out nMSE")
    figure.legend(loc="outside right upper", fontsize="small")
    figure.savefig(path, dpi=130)
    plt.close(figure)


def plot_cost(rows: Rows, name: str, heading: str, path: Path) -> None:
    """Distortion against a cost, a panel for each level sizes."""
    sizes = {text: of_sizes for text, of_sizes in by_sizes(rows).items() if measured(of_sizes)}
    figure, panels = plt.subplots(1, len(sizes), figsize=(4.5 * len(sizes) + 3, 5), layout="constrained", squeeze=False)
    for axes, (text, of_sizes) in zip(panels[0], sizes.items(), strict=True):
        groups = {group[0]["label"]: group for group in by_method(of_sizes)}
        for marker, label in styles(rows):
            if label in groups:
                draw(axes, [mean(row[name] for row in groups[label])], [groups[label]], label, marker)
        axes.set(xscale="log", xlabel=heading, ylabel="held-out nMSE", title=text)
        axes.xaxis.set(major_locator=LogLocator(subs=(1, 2, 5)), major_formatter="{x:,g}", minor_formatter="")
    handles = {
        label: handle for axes in panels[0] for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside right upper", fontsize="small")
    figure.savefig(path, dpi=130)
    plt.close(figure)


def styles(rows: Rows) -> list[tuple[dict[str, Any], str]]:
    """Marker and colour of each method; ours are black and filled."""
    labels = list(dict.fromkeys(row["label"] for row in measured(rows)))
    colours: Callable[[float], Any] = mpl.colormaps["tab20"]
    return [
        (
            {
                "color": "black" if label.startswith("wotd") else colours(index % 20),
                "marker": "os^vD<>ph*"[index % 10],
                "fillstyle": "full" if label.startswith("wotd") else "none",
                "markersize": 9 if label.startswith("wotd") else 7,
            },
            label,
        )
        for index, label in enumerate(labels)
    ]


def draw(axes: Axes, x: list[float], groups: list[Rows], label: str, style: dict[str, Any]) -> None:
    """Means over seeds, with a bar from the least to the most."""
    middles = [mean(row["nmse"] for row in group) for group in groups]
    bars = [
        [middle - min(row["nmse"] for row in group) for middle, group in zip(middles, groups, strict=True)],
        [max(row["nmse"] for row in group) - middle for middle, group in zip(middles, groups, strict=True)],
    ]
    bars = [[max(0.0, value) if math.isfinite(value) else 0.0 for value in side] for side in bars]
    axes.errorbar(x, middles, yerr=bars, label=label, linestyle="-" if len(x) > 1 else "none", linewidth=0.8, **style)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    print(write_report(json.loads((folder / "results.json").read_text(encoding="utf-8"))["rows"], folder))
