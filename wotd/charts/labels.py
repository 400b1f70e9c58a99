"""Charts of what codes say of labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wotd.charts.codes import SIDES, side_colours, side_shapes
from wotd.charts.drawing import PALETTE, Chart, Panels, axis, rows, tips
from wotd.metrics.calibration import BINS


def information(
    metrics: Mapping[str, float], levels: Sequence[str], labels: Sequence[str], sides: Sequence[str] = SIDES
) -> Panels:
    """Adjusted mutual information of each level of the code with each level of the label, a panel a side.

    Args:
        metrics: by name.
        levels: names of the code's levels.
        labels: names of the label's levels.
        sides: those to draw; without figures there is no panel.
    """
    panels = []
    for side in sides:
        cells = [
            {"code": level, "label": label, "value": _finite(metrics.get(f"{side}/ami/level_{index}/{label}"))}
            for index, level in enumerate(levels)
            for label in labels
        ]
        if any(cell["value"] is not None for cell in cells):
            panels.append(_heat_map(f"AMI, {side}", cells, ("code", levels), ("label", labels), ".2f"))
    return panels


def _finite(value: float | None) -> float | None:
    return None if value is None or value != value else value


def confusion_counts(codes_N: NDArray[np.int64], labels_N: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """How many rows of each label (rows of the K×K matrix) get each code; unknown labels (-1) do not count."""
    known_N = labels_N >= 0
    pairs = labels_N[known_N] * size + codes_N[known_N]
    counts_KK: NDArray[np.int64] = np.bincount(pairs, minlength=size * size).reshape(size, size)
    return counts_KK


def confusion(name: str, counts_KK: NDArray[np.int64], codes: Sequence[str], side: str) -> Panels:
    """Which codes rows of each label get, as shares of the label's rows.

    Args:
        name: of the level.
        counts_KK: by label and code, see :func:`confusion_counts`.
        codes: names of its codes.
        side: where the rows are from, for the title.
    """
    totals_K = counts_KK.sum(1)
    cells = [
        {
            "label": codes[label],
            "code": codes[code],
            "rows": int(count),
            "value": float(count / totals_K[label]) if totals_K[label] else None,
        }
        for (label, code), count in np.ndenumerate(counts_KK)
    ]
    if not totals_K.any():
        return []
    return [_heat_map(f"{name}, {side}", cells, ("label", codes), ("code", codes), ".0%", rows=",")]


def _heat_map(
    title: str,
    cells: list[dict[str, Any]],
    down: tuple[str, Sequence[str]],
    across: tuple[str, Sequence[str]],
    number: str,
    **more: str,
) -> Chart:
    """Cells with their figures; those of as good as nothing are left empty."""
    (y, ys), (x, xs) = down, across
    dark = {"condition": {"test": "datum.value > 0.5", "value": "white"}, "value": "#222"}
    return {
        "title": title,
        "height": max(80, 24 * len(ys)),
        "data": rows(cells),
        "encoding": {
            "x": axis(x, "nominal", sort=list(xs), axis={"labelAngle": -40}),
            "y": axis(y, "nominal", sort=list(ys)),
            "tooltip": tips(**{y: None, x: None, "value": number}, **more),
        },
        "layer": [
            {
                "mark": "rect",
                "encoding": {
                    "color": axis("value", "quantitative", scale={"scheme": "blues", "domain": [0, 1]}, legend=None)
                },
            },
            {
                "transform": [{"filter": "isValid(datum.value) && datum.value >= 0.005"}],
                "mark": {"type": "text", "fontSize": 10},
                "encoding": {"text": axis("value", "quantitative", format=number), "color": dark},
            },
        ],
    }


def reliability(metrics: Mapping[str, float], labels: Sequence[str]) -> Panels:
    """Share of right codes among those that are about as sure, a panel a taught level, a curve a side.

    The larger a point, the more codes are that sure; on the diagonal, confidence is what it says.
    """
    panels = []
    for name in labels:
        points = [
            {"side": side, **{part: metrics[f"{head}/{part}"] for part in ("confidence", "accuracy", "share")}}
            for side in SIDES
            for head in (f"{side}/calibration/{name}/bin_{index:02}" for index in range(BINS))
            if f"{head}/share" in metrics
        ]
        if points:
            panels.append(_reliability_of(name, points))
    return panels


def _reliability_of(name: str, points: list[dict[str, Any]]) -> Chart:
    unit = {"domain": [0, 1]}
    places = {
        "x": axis("confidence", "quantitative", scale=unit),
        "y": axis("accuracy", "quantitative", "share that is right", scale=unit),
    }
    size = axis("share", "quantitative", scale={"range": [8, 250], "domain": [0, 1]}, legend=None)
    told = tips(side=None, confidence=".1%", accuracy=".1%", share=".1%")
    return {
        "title": f"{name}: how often it is right",
        "height": 220,
        "layer": [
            {
                "data": rows([{"confidence": 0, "accuracy": 0}, {"confidence": 1, "accuracy": 1}]),
                "mark": {"type": "line", "color": "#888", "strokeDash": [4, 4]},
                "encoding": places,
            },
            {
                "data": rows(points),
                "encoding": {**places, "color": side_colours()},
                "layer": [
                    {"mark": {"type": "line", "strokeWidth": 1.5}},
                    {
                        "mark": {"type": "point", "filled": True, "opacity": 0.9},
                        "encoding": {"size": size, "shape": side_shapes(), "tooltip": told},
                    },
                ],
            },
        ],
    }


def frontier(points: Sequence[Mapping[str, float]], labels: Sequence[str], weight: float) -> Panels:
    """What codes say of labels against what they keep of the embedding, a curve a level.

    Args:
        points: ``weight``, ``nmse`` and the accuracy of each level by its name, as
            :func:`wotd.evaluation.frontier` measures them.
        labels: names of the levels.
        weight: of reconstruction, under which the artifacts encode; its points are drawn large.
    """
    values = [
        {"level": label, "accuracy": point[label], "nMSE": point["nmse"], "weight": point["weight"]}
        for label in labels
        for point in points
        if point.get(label) is not None
    ]
    if not values:
        return []
    colours = {"domain": list(labels), "range": list(PALETTE[: len(labels)])}
    large = {"condition": {"test": f"datum.weight == {weight}", "value": 160}, "value": 30}
    chart = {
        "title": "What reconstruction costs labels",
        "height": 220,
        "data": rows(values),
        "encoding": {
            "x": axis("nMSE", "quantitative", "nMSE: the less, the more is kept", scale={"zero": False}),
            "y": axis("accuracy", "quantitative", "code equals label", scale={"zero": False}),
            "color": axis("level", "nominal", None, scale=colours, legend={"orient": "top"}),
            "order": axis("weight", "quantitative"),
            "tooltip": tips(level=None, weight="", accuracy=".1%", nMSE=".3f"),
        },
        "layer": [{"mark": "line"}, {"mark": {"type": "circle", "opacity": 1}, "encoding": {"size": large}}],
    }
    return [chart]
