"""Pages of one file each: a template, its charts, and the script that draws them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from wotd.charts import Chart, page_script
from wotd.charts.drawing import live
from wotd.report.pictures import Picture


def rendered(template: str, drawn: Mapping[str, Chart], **values: Any) -> str:
    """A page.

    Args:
        template: its name, below ``static``.
        drawn: charts by the name of their place in it.
        values: what else it says; texts are escaped.
    """
    page: str = (
        _environment()
        .get_template(template)
        .render(drawn=drawn, style=_static("report.css"), script=_static("report.js"), library=page_script(), **values)
    )
    return page


def shown(found: Iterable[Picture], drawn: dict[str, Chart]) -> Iterator[dict[str, Any]]:
    """Pictures with the names of their panels, whose charts are put into ``drawn``; nothing of one without panels."""
    for picture in found:
        names = [f"{picture.name}-{index}" for index in range(len(picture.panels))]
        told = [f"{picture.caption}: {panel['title']}" for panel in picture.panels]
        panels = zip(names, picture.panels, told, strict=True)
        drawn |= {name: live(panel, description) for name, panel, description in panels}
        if names:
            yield {"name": picture.name, "caption": picture.caption, "panels": [*zip(names, told, strict=True)]}


@cache
def _environment() -> Any:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("wotd.report", "static"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def _static(name: str) -> str:
    return files("wotd.report").joinpath("static", name).read_text(encoding="utf-8")
