"""The map of passages: where their embeddings lie, and what code they bear."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wotd.charts.drawing import PALETTE, Panels, axis, rows, tips

MOST_NAMES = 16
"""Codes of a level, at most, that a legend names."""


def passage_map(points: Sequence[Mapping[str, Any]], levels: Sequence[str], title: str) -> Panels:
    """Passages in the plane, coloured by their code of one level, which a reader of the page chooses.

    Args:
        points: ``x``, ``y``, by ``level_{l}`` the name of the code, and what a tip says: ``ID``, ``work``, ``text``.
        levels: names of the levels; the first is shown first.
        title: of the map.
    """
    if not points:
        return []
    told = [name for name in ("ID", "work", "text") if name in points[0]]
    fields = [f"level_{level}" for level in range(len(levels))]
    most = max(len({point[field] for point in points}) for field in fields)
    scale = {"scheme": "turbo"} if most > len(PALETTE) else {"range": list(PALETTE)}
    named = [axis(field, "nominal", level) for field, level in zip(fields, levels, strict=True)]
    legend = {"orient": "bottom", "columns": 2} if most <= MOST_NAMES else None
    bare = {"labels": False, "ticks": False, "grid": False, "domain": False}
    chart = {
        "title": title,
        "height": 420,
        "data": rows(points),
        "params": [
            {
                "name": "level",
                "value": fields[0],
                "bind": {"input": "select", "options": fields, "labels": list(levels), "name": "colour by "},
            }
        ],
        "transform": [{"calculate": "datum[level]", "as": "code"}],
        "mark": {"type": "circle", "size": 16, "opacity": 0.7},
        "encoding": {
            "x": axis("x", "quantitative", None, axis=bare, scale={"zero": False}),
            "y": axis("y", "quantitative", None, axis=bare, scale={"zero": False}),
            "color": axis("code", "nominal", None, scale=scale, legend=legend),
            "tooltip": [*tips(**dict.fromkeys(told)), *named],
        },
    }
    return [chart]
