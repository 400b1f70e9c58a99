"""Charts of how codes are used and what they keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wotd.charts.drawing import PALETTE, Chart, Panels, axis, rows, tips

SIDES = ("train", "val", "test")
"""The sides of a split, in the order in which tables and charts show them."""

MOST_BARS = 32
"""Codes of a level, at most, that are drawn as bars with their names."""

_MOST_POINTS = 512


def usage(codes_NL: NDArray[np.integer], levels: Sequence[tuple[str, Sequence[str]]]) -> Panels:
    """How many rows bear each code, a panel a level: bars with names, or a sorted curve where there are many.

    Args:
        codes_NL: codes of all rows.
        levels: name of each level, and the names of its codes.
    """
    panels = []
    for codes_N, (name, names) in zip(codes_NL.T, levels, strict=True):
        counts_K = np.bincount(codes_N, minlength=len(names))
        panels.append(_curve(name, counts_K) if len(names) > MOST_BARS else _bars(name, names, counts_K))
    return panels


def _bars(name: str, names: Sequence[str], counts_K: NDArray[np.int64]) -> Chart:
    total = max(1, int(counts_K.sum()))
    values = [
        {"code": numbered(index, names), "passages": count, "share": count / total}
        for index, count in enumerate(counts_K.tolist())
    ]
    return {
        "title": name,
        "height": 18 * len(names),
        "data": rows(values),
        "mark": {"type": "bar", "color": PALETTE[0]},
        "encoding": {
            "x": axis("passages", "quantitative", axis={"tickCount": 4, "format": "~s"}),
            "y": axis("code", "nominal", None, sort=None),
            "tooltip": tips(code=None, passages=",", share=".1%"),
        },
    }


def numbered(index: int, names: Sequence[str]) -> str:
    """A code by its index and name; by its index alone where that is all its name."""
    return names[index] if names[index] == str(index) else f"{index} {names[index]}"


def _curve(name: str, counts_K: NDArray[np.int64]) -> Chart:
    ranked = np.sort(counts_K)[::-1]
    shown = np.unique(np.linspace(0, len(ranked) - 1, min(len(ranked), _MOST_POINTS)).astype(int))
    values = [{"rank": rank + 1, "passages": int(ranked[rank])} for rank in shown.tolist()]
    return {
        "title": name,
        "height": 150,
        "data": rows(values),
        "mark": {"type": "area", "color": PALETTE[0], "opacity": 0.7, "line": {"color": PALETTE[0]}},
        "encoding": {
            "x": axis("rank", "quantitative", "codes, the most used first"),
            "y": axis("passages", "quantitative"),
            "tooltip": tips(rank=",", passages=","),
        },
    }


def distortion(metrics: Mapping[str, float], level_sizes: Sequence[int]) -> Panels:
    """Reconstruction error (nMSE) of each prefix of the code, a curve a side; no prefix at all is the mean alone."""
    bits = [0.0, *np.log2(np.asarray(level_sizes, dtype=float)).cumsum().tolist()]
    values: list[dict[str, Any]] = []
    for side in SIDES:
        depths = [metrics.get(f"{side}/nmse/depth_{depth}") for depth in range(1, len(level_sizes) + 1)]
        if not any(value is None or value != value for value in depths):
            values += [
                {"side": side, "levels": depth, "bits": bits[depth], "nMSE": value}
                for depth, value in enumerate([1.0, *depths])
            ]
    if not values:
        return []
    whole = {"values": list(range(len(bits))), "format": "d"}
    chart = {
        "title": "Error by depth of the code",
        "height": 220,
        "data": rows(values),
        "mark": {"type": "line", "point": True},
        "encoding": {
            "x": axis("levels", "quantitative", "levels that are decoded", axis=whole),
            "y": axis("nMSE", "quantitative", scale={"zero": False}),
            "color": side_colours(),
            "tooltip": tips(side=None, levels="d", bits=".1f", nMSE=".4f"),
        },
    }
    return [chart]


def side_colours() -> dict[str, Any]:
    """One colour a side, the same in all charts."""
    scale = {"domain": list(SIDES), "range": list(PALETTE[: len(SIDES)])}
    return axis("side", "nominal", None, scale=scale, legend={"orient": "top"})


def side_shapes() -> dict[str, Any]:
    """One shape a side, for those to whom colours say little; one legend has both."""
    scale = {"domain": list(SIDES), "range": ["circle", "square", "triangle-up"]}
    return axis("side", "nominal", None, scale=scale, legend={"orient": "top"})


def usage_by_epoch(name: str, counts_EK: NDArray[np.int64]) -> Panels:
    """Share of the rows that bear each code of a level, validation after validation, as a heat map.

    Args:
        name: of the level.
        counts_EK: how often each validation saw each code; there is one an epoch unless the trainer is told otherwise.
    """
    shares_EK = counts_EK / np.maximum(1, counts_EK.sum(1, keepdims=True))
    values = [
        {"validation": epoch + 1, "code": code, "share": float(share)}
        for (epoch, code), share in np.ndenumerate(shares_EK)
    ]
    chart = {
        "title": f"{name}: codes by validation",
        "height": max(60, min(360, 18 * counts_EK.shape[1])),
        "data": rows(values),
        "mark": "rect",
        "encoding": {
            "x": axis("validation", "ordinal", axis={"labelOverlap": True, "labelAngle": 0}),
            "y": axis("code", "ordinal", axis={"labelOverlap": True}),
            "color": axis("share", "quantitative", scale={"scheme": "blues", "domainMin": 0}),
            "tooltip": tips(validation="d", code="d", share=".2%"),
        },
    }
    return [chart]
