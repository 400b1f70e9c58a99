"""Charts made into PNG files and data for pages; all of it offline, without a browser."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

Chart = dict[str, Any]
"""A view of Vega-Lite, single or layered, as plain data; it is as wide as there is room where it sets no width."""

Panels = Sequence[Chart]
"""Charts that stand side by side, or below one another where there is little room."""

PALETTE = ("#4c78a8", "#d1660d", "#3d8b3d", "#a8689a", "#e45756", "#3a8d87", "#9d755d", "#9c7a00")
"""Colours of codes and sides, each at least 3 to 1 against light and against dark ground."""

_WIDTH = 300
_SCALE = 1.5
_SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
_LOOKS = {
    "background": "white",
    "font": "DejaVu Sans, system-ui, sans-serif",
    "range": {"category": list(PALETTE)},
    "view": {"stroke": None},
}


def axis(field: str, kind: str, title: str | None = "", **more: Any) -> dict[str, Any]:
    """An encoding by a field of the data.

    Args:
        field: of the rows.
        kind: quantitative, ordinal or nominal.
        title: what it is called; "": as the field; None: not at all.
        more: scale, axis, sort and the like, as Vega-Lite names them.
    """
    named = {} if title == "" else {"title": title}
    return {"field": field, "type": kind, **named, **more}


def tips(**formats: str | None) -> list[dict[str, Any]]:
    """What a pointer is told: fields with the format of their number; None: as it is."""
    return [
        {
            "field": field,
            "type": "nominal" if form is None else "quantitative",
            **({} if form is None else {"format": form}),
        }
        for field, form in formats.items()
    ]


def rows(values: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Data of a chart: a mapping a row."""
    return {"values": list(values)}


def save_png(path: Path, panels: Panels) -> None:
    """Write panels side by side into a PNG."""
    path.write_bytes(png(panels))


def png(panels: Panels, columns: int | None = None) -> bytes:
    """Panels side by side as a PNG, at most so many in a row."""
    import vl_convert

    sized = [{"width": _WIDTH, **panel} for panel in panels]
    rowed = {"concat": sized, "columns": len(sized) if columns is None else columns, "spacing": 24}
    body = sized[0] if len(sized) == 1 else rowed
    page = {"$schema": _SCHEMA, "config": _LOOKS, **body}
    drawn: bytes = vl_convert.vegalite_to_png(json.dumps(page), scale=_SCALE)
    return drawn


def live(chart: Chart, description: str) -> Chart:
    """A chart for a page, as wide as the room it is given there; readers who cannot see it are told the description."""
    return {"$schema": _SCHEMA, "width": "container", "description": description, **chart}


@cache
def page_script() -> str:
    """JavaScript that draws Vega-Lite charts (Vega, Vega-Lite, Vega-Embed), for a page that asks no network."""
    import vl_convert

    bundled: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return bundled
