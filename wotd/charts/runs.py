"""Charts of runs side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wotd.charts.drawing import PALETTE, Chart, Panels, axis, rows, tips

MOST_RUNS = 40
"""Runs, at most, that have a line of their own; of more the best are drawn."""


def values_by_run(values: Mapping[str, Sequence[float | None]], names: Sequence[str], groups: Sequence[str]) -> Panels:
    """What each run measured, a panel a metric, a line a run.

    Args:
        values: by metric, one of each run.
        names: of the runs, the best first.
        groups: what a run is coloured by, such as its embedding model.
    """
    panels = []
    for metric, measured in values.items():
        points = [
            {"run": name, "group": group, "value": value}
            for name, group, value in list(zip(names, groups, measured, strict=True))[:MOST_RUNS]
            if value is not None
        ]
        if points:
            panels.append(_dots(metric, points, names[:MOST_RUNS], sorted(set(groups))))
    return panels


def _dots(metric: str, points: list[dict[str, Any]], names: Sequence[str], groups: list[str]) -> Chart:
    height = max(60, 20 * len(names))
    return {
        "title": metric,
        "height": height,
        "data": rows(points),
        "mark": {"type": "circle", "size": 90, "opacity": 0.9},
        "encoding": {
            "x": axis("value", "quantitative", None, scale={"zero": False}, axis={"tickCount": 4}),
            "y": axis("run", "nominal", None, sort=list(names), axis={"grid": True, "labelLimit": 220}),
            "color": _colours(groups),
            "tooltip": tips(run=None, group=None, value=".4f"),
        },
    }


def _colours(groups: list[str]) -> dict[str, Any]:
    scale = {"domain": groups, "range": [PALETTE[index % len(PALETTE)] for index in range(len(groups))]}
    legend = {"orient": "top", "columns": 2, "labelLimit": 260} if len(groups) > 1 else None
    return axis("group", "nominal", None, scale=scale, legend=legend)


def values_by_setting(
    metric: str, settings: Mapping[str, Sequence[str | None]], values: Sequence[float | None]
) -> Panels:
    """A metric by each setting in which runs differ, a panel a setting: a circle a run, a tick the mean.

    Args:
        metric: its name.
        settings: by key, the value that each run has; None where the run was not told any.
        values: of the metric, one of each run.
    """
    panels = []
    for key, told in settings.items():
        points = [
            {"setting": "as it is" if setting is None else setting, "value": value}
            for setting, value in zip(told, values, strict=True)
            if value is not None
        ]
        if len({point["setting"] for point in points}) > 1:
            panels.append(_strip(metric, key, points))
    return panels


def _strip(metric: str, key: str, points: list[dict[str, Any]]) -> Chart:
    order = sorted({point["setting"] for point in points}, key=_number_first)
    return {
        "title": key,
        "height": max(80, 26 * len(order)),
        "data": rows(points),
        "encoding": {
            "x": axis("value", "quantitative", metric, scale={"zero": False}, axis={"tickCount": 4}),
            "y": axis("setting", "nominal", None, sort=order, axis={"grid": True, "labelLimit": 160}),
        },
        "layer": [
            {
                "mark": {"type": "circle", "size": 60, "opacity": 0.7, "color": PALETTE[0]},
                "encoding": {"tooltip": tips(setting=None, value=".4f")},
            },
            {
                "mark": {"type": "tick", "thickness": 3, "size": 18, "color": PALETTE[4]},
                "encoding": {"x": axis("value", "quantitative", metric, aggregate="mean", scale={"zero": False})},
            },
        ],
    }


def _number_first(setting: str) -> tuple[bool, float, str]:
    try:
        return False, float(setting), setting
    except ValueError:
        return True, 0.0, setting


def trade_off(
    x: tuple[str, Sequence[float | None]],
    y: tuple[str, Sequence[float | None]],
    names: Sequence[str],
    groups: Sequence[str],
) -> Panels:
    """Two metrics against each other, a point a run.

    Args:
        x: name and values of the one.
        y: name and values of the other.
        names: of the runs.
        groups: what a run is coloured by.
    """
    points = [
        {"run": name, "group": group, "x": across, "y": up}
        for name, group, across, up in zip(names, groups, x[1], y[1], strict=True)
        if across is not None and up is not None
    ]
    if len(points) < 2:
        return []
    chart = {
        "title": f"{y[0]} against {x[0]}",
        "height": 260,
        "data": rows(points),
        "mark": {"type": "circle", "size": 90, "opacity": 0.9},
        "encoding": {
            "x": axis("x", "quantitative", x[0], scale={"zero": False}),
            "y": axis("y", "quantitative", y[0], scale={"zero": False}),
            "color": _colours(sorted(set(groups))),
            "tooltip": tips(run=None, group=None, x=".4f", y=".4f"),
        },
    }
    return [chart]
