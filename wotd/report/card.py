"""The model card of an artifact folder, in Markdown with plots as PNG files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from wotd.artifacts import CARD
from wotd.charts import save_png
from wotd.report import pictures, tables
from wotd.report.findings import Findings
from wotd.report.pictures import Picture
from wotd.report.tables import Table

_HUB_LICENCES = frozenset(
    {"apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "pddl"}
)
"""Licences by the names that model hubs have for them, those that texts are under."""


def write_card(findings: Findings) -> None:
    """Write ``README.md`` and ``plots/`` into the folder, in the place of those that are there."""
    plots = findings.folder / "plots"
    plots.mkdir(exist_ok=True)
    parts = [
        f"{_front_matter(findings)}\n\n# Semantic IDs\n\n{tables.heading(findings)}\n\n{_use(findings)}",
        _table(tables.main_figures(findings)),
        *_drawn(plots, pictures.of_codes(findings)),
        *_drawn(plots, pictures.of_hierarchy(findings)),
        *_drawn(plots, pictures.of_map(findings)),
        _table(tables.label_figures(findings)),
        *_drawn(plots, pictures.of_labels(findings)),
        _table(tables.ids_of_works(findings)),
        _table(tables.full_cells(findings)),
        _table(tables.left_out(findings)),
        _table(tables.durations(findings)),
        _table(tables.provenance(findings)),
        f"## Configuration\n\n```yaml\n{findings.settings.strip()}\n```" if findings.settings else "",
        _table(tables.alignment(findings)),
    ]
    card = "\n\n".join(part for part in parts if part)
    (findings.folder / CARD).write_text(f"{card}\n", encoding="utf-8")


def _front_matter(findings: Findings) -> str:
    """What model hubs read: how to load it, what it is about; language and licence where all works state one."""
    facts: dict[str, Any] = {
        "library_name": "wotd",
        "tags": ["semantic-ids", "vector-quantization", *(["literature"] if findings.works else [])],
    }
    languages = {language.lower().partition("-")[0] for language in _stated(findings, "language")}
    if languages and all(len(language) in (2, 3) and language.isalpha() for language in languages):
        facts["language"] = sorted(languages)
    licences = {licence.lower() for licence in _stated(findings, "licence")}
    if len(licences) == 1 and licences <= _HUB_LICENCES:
        facts["license"] = licences.pop()
    model = findings.config["embedding"]["fingerprint"]["model"] if findings.config.get("embedding") else ""
    if "/" in model:
        facts["base_model"] = model
    return f"---\n{yaml.safe_dump(facts, sort_keys=False)}---"


def _stated(findings: Findings, fact: str) -> set[str]:
    """What works say of a fact; nothing unless each of them says it."""
    values = [work.get("facts", {}).get(fact, {}).get("value") for work in findings.works.values()]
    return set(map(str, values)) if values and all(values) else set()


def _use(findings: Findings) -> str:
    if findings.results["counts"]["works"]:
        shell, python = 'wotd encode --artifacts FOLDER "a text"', 'SemanticIDModel.load("FOLDER").encode(["a text"])'
    else:
        shell = "wotd encode --artifacts FOLDER --vectors VECTORS.npy --output CODES.npy"
        python = 'SemanticIDModel.load("FOLDER").encode_vectors(vectors)'
    return (
        f"Use them with `{shell}`, or in Python:\n\n```python\nfrom wotd import SemanticIDModel\n\n{python}\n```\n\n"
        "`report.html` beside this file has these figures as a page, with a map and the hierarchy to explore."
    )


def _table(table: Table) -> str:
    """A table under its title; nothing of one without rows."""
    if not table.rows:
        return ""
    lines = [f"## {table.title}", "", *([table.note, ""] if table.note else [])]
    lines += [f"| {' | '.join(table.header)} |", f"|{'---|' * len(table.header)}"]
    return "\n".join(
        [*lines, *(f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |" for row in table.rows)]
    )


def _drawn(plots: Path, found: Iterator[Picture]) -> Iterator[str]:
    for picture in found:
        if picture.panels:
            save_png(plots / f"{picture.name}.png", picture.panels)
            yield f"![{picture.caption}](plots/{picture.name}.png)"
