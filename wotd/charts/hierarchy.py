"""The hierarchy of IDs as a sunburst: a ring a level, an arc a prefix, as wide as it has passages."""

from __future__ import annotations

from collections.abc import Sequence
from math import tau
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wotd.charts.drawing import PALETTE, Panels, axis, rows, tips

RINGS = 3
MOST_ARCS = 1500
"""Rings and arcs that are drawn, at most: finer ones could not be seen."""

_HOLE, _RADIUS = 30, 190


def sunburst(codes_NL: NDArray[np.integer], levels: Sequence[tuple[str, Sequence[str]]], rings: int = RINGS) -> Panels:
    """The prefixes of all rows' codes, the first level innermost; colours are those of the first level.

    Args:
        codes_NL: codes of all rows.
        levels: name of each level, and the names of its codes.
        rings: levels that are drawn, at most.
    """
    arcs = _arcs(codes_NL, levels, rings)
    if not arcs:
        return []
    size = 2 * _RADIUS + 4
    first = [arc["name"] for arc in arcs if arc["ring"] == 0]
    colours = {"domain": first, "range": [PALETTE[index % len(PALETTE)] for index in range(len(first))]}
    legend = {"orient": "bottom", "columns": 3} if len(first) <= len(PALETTE) else None
    radius = {"domain": [0, size / 2], "range": [0, size / 2]}
    chart = {
        "title": "IDs by level",
        "width": size,
        "height": size,
        "data": rows(arcs),
        "mark": {"type": "arc", "stroke": "white", "strokeWidth": 0.5},
        "encoding": {
            "theta": axis("start", "quantitative", scale={"domain": [0, tau], "range": [0, tau]}),
            "theta2": {"field": "end"},
            "radius": axis("inner", "quantitative", scale=radius),
            "radius2": {"field": "outer"},
            "color": axis("first", "nominal", None, sort=None, scale=colours, legend=legend),
            "opacity": axis("fade", "quantitative", scale=None, legend=None),
            "tooltip": tips(ID=None, name=None, passages=",", share=".1%"),
        },
    }
    return [chart]


def rings_of(panels: Panels) -> int:
    """How many levels a sunburst shows."""
    return 1 + max((arc["ring"] for panel in panels for arc in panel["data"]["values"]), default=-1)


def _arcs(
    codes_NL: NDArray[np.integer], levels: Sequence[tuple[str, Sequence[str]]], rings: int
) -> list[dict[str, Any]]:
    arcs: list[dict[str, Any]] = []
    total = len(codes_NL)
    sizes = [len(names) for _, names in levels]
    numbers_N = np.zeros(total, dtype=np.int64)  # of the prefixes, in the order of their codes
    for ring in range(min(rings, codes_NL.shape[1])):
        numbers_N *= sizes[ring]
        numbers_N += codes_NL[:, ring]
        numbers_M, counts_M = np.unique(numbers_N, return_counts=True)
        if len(arcs) + len(numbers_M) > MOST_ARCS:
            break
        prefixes_ML = np.stack(np.unravel_index(numbers_M, sizes[: ring + 1]), axis=1)
        # In the order of their codes, so that each lies outside of the prefix it goes on from.
        ends_M = np.cumsum(counts_M) / max(1, total) * tau
        for prefix, count, end in zip(prefixes_ML.tolist(), counts_M.tolist(), ends_M.tolist(), strict=True):
            names = [levels[level][1][index] for level, index in enumerate(prefix)]
            arcs.append(
                {
                    "ID": "-".join(map(str, prefix)),
                    "name": ", ".join(names),
                    "first": names[0],
                    "ring": ring,
                    "passages": count,
                    "share": count / total,
                    "start": end - count / total * tau,
                    "end": end,
                    "fade": 1 - 0.25 * ring - 0.12 * (prefix[-1] % 2 if ring else 0),
                }
            )
    width = (_RADIUS - _HOLE) / max(1, 1 + max((arc["ring"] for arc in arcs), default=0))
    for arc in arcs:
        arc |= {"inner": _HOLE + arc["ring"] * width, "outer": _HOLE + (arc["ring"] + 1) * width - 1}
    return arcs
