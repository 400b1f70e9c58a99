"""The charts of a run, the same on card and page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from wotd import charts
from wotd.charts import Panels
from wotd.charts.codes import numbered
from wotd.report.findings import Findings


@dataclass(frozen=True)
class Picture:
    """Panels with the stem of their file and what they show."""

    name: str
    caption: str
    panels: Panels


def of_codes(findings: Findings) -> Iterator[Picture]:
    """How codes are used, and what they keep."""
    usage = charts.usage(findings.codes, findings.levels)
    yield Picture("codebook_usage", "Use of each level's codes, over all passages", usage)
    distortion = charts.distortion(findings.metrics, findings.level_sizes)
    yield Picture("distortion_by_depth", "Reconstruction error by depth of the code", distortion)


def of_hierarchy(findings: Findings) -> Iterator[Picture]:
    """How IDs divide the passages."""
    panels = charts.sunburst(findings.codes, findings.levels)
    drawn, levels = charts.rings_of(panels), len(findings.levels)
    of_levels = "" if drawn == levels else f"; {drawn} of {levels} levels"
    yield Picture("hierarchy", f"IDs of all passages, the first level innermost{of_levels}", panels)


def of_map(findings: Findings) -> Iterator[Picture]:
    """Where passages lie."""
    if "position" not in findings.passages.column_names:
        return
    column = findings.passages["position"].combine_chunks()
    shown_M = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
    points = []
    for row, (x, y) in zip(shown_M.tolist(), column.drop_null().to_pylist(), strict=True):
        told = {"ID": findings.id_of(row), "work": findings.work_of(row), "text": findings.text_of(row)}
        names = {
            f"level_{level}": numbered(code, findings.levels[level][1])
            for level, code in enumerate(findings.codes[row].tolist())
        }
        points.append({"x": round(x, 4), "y": round(y, 4), **names, **{n: v for n, v in told.items() if v is not None}})
    method = findings.config.get("map", "pca")
    title = {"pca": "Embeddings, principal components", "umap": "Embeddings, UMAP"}[method]
    yield Picture(
        "map", f"{len(points)} passages by their embedding", charts.passage_map(points, findings.level_names, title)
    )


def of_labels(findings: Findings) -> Iterator[Picture]:
    """What codes say of labels; nothing where no label is known."""
    metrics, labels = findings.metrics, findings.labels
    yield Picture(
        "label_information",
        "Adjusted mutual information of levels and labels",
        charts.information(metrics, findings.level_names, labels),
    )
    yield Picture("reliability", "Confidence and accuracy", charts.reliability(metrics, findings.taught))
    yield Picture("confusion", "Labels and the codes they get", [*_confusion(findings)])
    found = findings.results.get("frontier") or {}
    if found:
        panels = charts.frontier(found["points"], findings.taught, found["weight"])
        yield Picture("frontier", "Labels against reconstruction, as its weight grows (validation side)", panels)


def _confusion(findings: Findings) -> Iterator[charts.Chart]:
    if findings.taxonomy is None:
        return
    side = "test" if len(findings.rows("test")) else "val"
    rows = findings.rows(side)
    for level, (name, codes) in enumerate(findings.levels):
        if name in findings.taught:
            counts = charts.confusion_counts(findings.codes[rows, level], findings.label_codes[rows, level], len(codes))
            yield from charts.confusion(name, counts, codes, side)
