"""The page of a run, ``report.html``: one file that asks nothing of any network.

Charts are live: what is under the pointer says what it is, and the map is coloured by a level of choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wotd.artifacts import PAGE
from wotd.charts import Chart
from wotd.report import pictures, tables
from wotd.report.findings import Findings
from wotd.report.templates import rendered, shown

_BRANCHES = (32, 16)
"""Prefixes of one level and of two that the tree shows under each branch, at most, the most used first."""
_SAMPLES = 3
_MOST_WORKS = 1000


@dataclass(frozen=True)
class Branch:
    """A prefix with how many passages bear it, longer ones below it and, at the end, some of the passages."""

    id: str
    name: str
    passages: int
    branches: list[Branch] = field(default_factory=list)
    samples: list[Mapping[str, str | None]] = field(default_factory=list)
    more: int = 0


def write_page(findings: Findings) -> None:
    """Write the page into the folder."""
    (findings.folder / PAGE).write_text(_page(findings), encoding="utf-8")


def _page(findings: Findings) -> str:
    drawn: dict[str, Chart] = {}
    return rendered(
        "report.html",
        drawn,
        heading=tables.heading(findings).replace("`", ""),
        glance=_glance(findings),
        codes=[*shown(pictures.of_codes(findings), drawn)],
        hierarchy=[*shown(pictures.of_hierarchy(findings), drawn)],
        tree=_branches(findings, np.arange(len(findings.passages)), 0),
        more_branches=max(0, len(np.unique(findings.codes[:, 0])) - _BRANCHES[0]),
        depth=len(findings.levels),
        map=[*shown(pictures.of_map(findings), drawn)],
        labels=[*shown(pictures.of_labels(findings), drawn)],
        works=_works(findings),
        more_works=max(0, len(findings.works) - _MOST_WORKS),
        figures=[table for table in (tables.main_figures(findings), tables.label_figures(findings)) if table.rows],
        others=[
            table
            for table in (
                tables.ids_of_works(findings), tables.full_cells(findings), tables.left_out(findings),
                tables.alignment(findings), tables.durations(findings), tables.provenance(findings),
            )
            if table.rows
        ],
        settings=findings.settings.strip(),
    )  # fmt: skip


def _glance(findings: Findings) -> list[tuple[str, str, str]]:
    """What is looked at first: a figure, its name, what to hold it against."""
    metrics = findings.metrics
    side = "test" if "test/nmse" in metrics else "val"
    shown = [("nMSE", f"{side}/nmse", "1 is the mean alone, 0 exact"),
             ("collision rate", f"{side}/collisions/rate", f"{side}/collisions/random")]  # fmt: skip
    shown += [
        (name, f"{side}/agreement/{name}/accuracy", f"{side}/agreement/{name}/majority") for name in findings.taught
    ]
    glance = []
    for name, metric, beside in shown:
        if value := tables.figure(metrics.get(metric)):
            other = tables.figure(metrics.get(beside))
            if "/agreement/" in metric:
                more = ", which is more" if metrics.get(beside, 0) > metrics[metric] else ""
                told = f"commonest label alone: {other}{more}"
            else:
                shared = "; texts of a kind share theirs" if findings.taught else ""
                told = f"random codes: {other}{shared}" if other else beside
            glance.append((value, f"{name}, {side}", told if other or "/" not in beside else ""))
    return glance


def _branches(findings: Findings, rows_n: NDArray[np.int64], level: int) -> list[Branch]:
    """The prefixes of rows that share all levels before, the most used first."""
    names = findings.levels[level][1]
    codes_n = findings.codes[rows_n, level]
    counts_K = np.bincount(codes_n, minlength=len(names))
    order = [int(code) for code in np.argsort(-counts_K, kind="stable") if counts_K[code]]
    found = []
    for code in order[: _BRANCHES[level]]:
        inner_n = rows_n[codes_n == code]
        last = level + 1 >= min(len(_BRANCHES), len(findings.levels))
        found.append(
            Branch(
                id=findings.id_of(int(inner_n[0]), level + 1),
                name=names[code],
                passages=len(inner_n),
                branches=[] if last else _branches(findings, inner_n, level + 1),
                samples=_samples(findings, inner_n) if last else [],
                more=0 if last else max(0, len(np.unique(findings.codes[inner_n, level + 1])) - _BRANCHES[level + 1]),
            )
        )
    return found


def _samples(findings: Findings, rows_n: NDArray[np.int64]) -> list[Mapping[str, str | None]]:
    """Some passages, from different works where there are several: rows are spread evenly over them."""
    if "text" not in findings.passages.column_names:
        return []
    count = min(_SAMPLES, len(rows_n))
    chosen = rows_n[(2 * np.arange(count) + 1) * len(rows_n) // (2 * count)].tolist()
    return [{"id": findings.id_of(row), "text": findings.text_of(row), "work": findings.work_of(row)} for row in chosen]


def _works(findings: Findings) -> list[Mapping[str, Any]]:
    """Works by their ID."""
    listed = sorted(findings.works.items(), key=lambda item: ([*map(int, item[1]["id"].split("-"))], item[0]))
    return [{"corpus": corpus, **work} for corpus, work in listed[:_MOST_WORKS]]
