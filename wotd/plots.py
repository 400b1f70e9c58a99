"""Pictures of what a run gave, as the model card shows them.

Metrics come by name, as :mod:`wotd.evaluation` and ``training_results.json`` have them: ``test/nmse``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wotd.metrics.calibration import BINS

SIDES = ("train", "val", "test")
"""The sides of a split, in the order in which tables and plots show them."""

_MOST_BARS = 32


def plot_usage(path: Path, codes_NL: NDArray[np.int64], levels: Sequence[tuple[str, Sequence[str]]]) -> None:
    """How many rows bear each code: bars for codes that can be told apart by name, a sorted curve for many.

    Args:
        path: the file to write.
        codes_NL: codes of all rows.
        levels: name of each level, and the names of its codes.
    """
    figure = _figure(3.2 * len(levels), 2.8)
    panels = np.atleast_1d(figure.subplots(1, len(levels)))
    for level, ((name, codes), axes) in enumerate(zip(levels, panels, strict=True)):
        counts = np.bincount(codes_NL[:, level], minlength=len(codes))
        if len(codes) > _MOST_BARS:
            axes.fill_between(np.arange(len(codes)), np.sort(counts)[::-1])
            axes.set_xlabel("codes, the most used first")
        else:
            axes.barh(np.arange(len(codes)), counts, tick_label=list(codes))
            axes.invert_yaxis()
            axes.set_xlabel("passages")
        axes.set_title(name)
    figure.savefig(path)


def plot_distortion(path: Path, metrics: Mapping[str, float], levels: int) -> None:
    """Reconstruction error (nMSE) of each prefix of the code, a curve a side."""
    figure = _figure(5, 3)
    axes = figure.subplots()
    for side in SIDES:
        values = [metrics.get(f"{side}/nmse/depth_{depth}") for depth in range(1, levels + 1)]
        if all(value is not None for value in values):
            axes.plot(range(levels + 1), [1.0, *values], marker="o", label=side)
    axes.set_xlabel("levels of the code that are decoded")
    axes.set_ylabel("nMSE")
    axes.set_xticks(range(levels + 1))
    if axes.lines:
        axes.legend()
    figure.savefig(path)


def plot_information(path: Path, metrics: Mapping[str, float], levels: Sequence[str], labels: Sequence[str]) -> None:
    """Adjusted mutual information of each level of the code with each level of the label, a heat map a side.

    Args:
        path: the file to write.
        metrics: by name.
        levels: names of the code's levels.
        labels: names of the label's levels.
    """
    sides = [side for side in SIDES if any(name.startswith(f"{side}/ami/level_") for name in metrics)]
    figure = _figure(1.2 + (0.8 + 0.75 * len(labels)) * len(sides), 1.4 + 0.5 * len(levels))
    panels = np.atleast_1d(figure.subplots(1, len(sides), sharey=True))
    for side, axes in zip(sides, panels, strict=True):
        names = [[f"{side}/ami/level_{level}/{label}" for label in labels] for level in range(len(levels))]
        ami_LM = np.array([[metrics.get(name, np.nan) for name in row] for row in names])
        axes.imshow(ami_LM, vmin=0, vmax=1, cmap="Blues", aspect="auto")
        for (level, label), value in np.ndenumerate(ami_LM):
            text = "–" if np.isnan(value) else f"{value:.2f}"
            axes.text(label, level, text, ha="center", va="center", color="white" if value > 0.5 else "black")
        axes.set_xticks(range(len(labels)), labels, rotation=30, ha="right")
        axes.set_yticks(range(len(levels)), levels)
        axes.set_title(side)
        axes.set_xlabel("label")
    panels[0].set_ylabel("code")
    figure.savefig(path)


def plot_reliability(path: Path, metrics: Mapping[str, float], labels: Sequence[str]) -> None:
    """Share of right codes among those that are about as sure, a panel a taught level, a curve a side.

    The larger a point, the more codes are that sure; on the diagonal, confidence is what it says.
    """
    figure = _figure(3.2 * len(labels), 3.2)
    panels = np.atleast_1d(figure.subplots(1, len(labels), sharey=True))
    for name, axes in zip(labels, panels, strict=True):
        axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
        for side in SIDES:
            points = [
                [metrics[f"{head}/{part}"] for part in ("confidence", "accuracy", "share")]
                for head in (f"{side}/calibration/{name}/bin_{index:02}" for index in range(BINS))
                if f"{head}/share" in metrics
            ]
            if points:
                confidence, accuracy, share = np.array(points).T
                (line,) = axes.plot(confidence, accuracy, label=side, linewidth=1)
                axes.scatter(confidence, accuracy, s=4 + 150 * share, color=line.get_color())
        axes.set_title(name)
        axes.set_xlabel("confidence")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
    panels[0].set_ylabel("share that is right")
    panels[0].legend()
    figure.savefig(path)


def _figure(width: float, height: float) -> Any:
    # Without pyplot there is no global state and no display to ask for.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=120, layout="constrained")
