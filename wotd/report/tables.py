"""Tables of figures, the same on card and page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wotd.charts import SIDES
from wotd.report.findings import Findings


@dataclass(frozen=True)
class Table:
    """Figures under a title: a name at the left of each row, cells that are ready to be shown.

    ``keys`` are the names of the rows' metrics in ``training_results.json`` and the README, where they have one.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[tuple[str, ...]]
    note: str = ""
    keys: Sequence[str] = ()


def heading(findings: Findings) -> str:
    """What the codes are and what they were learned from, in a sentence."""
    embedding, counts = findings.config.get("embedding"), findings.results["counts"]
    source = f"`{embedding['fingerprint']['model']}`" if embedding else "the user's own vectors"
    if features := findings.config.get("features"):
        source += f" and {features['dimension']} features of {features['fingerprint']['model']}"
    sizes = " · ".join(map(str, findings.level_sizes))
    bits = float(np.log2(findings.level_sizes).sum())
    sides = f"{counts['train']} train, {counts['val']} val, {counts['test']} test"
    if counts["works"]:
        learned = f"{counts['passages']} passages of {counts['works']} works ({sides})"
    else:
        learned = f"{counts['passages']} rows ({sides}, drawn at random)"
    return (
        f"Codes of {len(findings.level_sizes)} levels ({sizes}; {bits:.1f} bits) over {source}, learned from {learned}."
    )


def main_figures(findings: Findings) -> Table:
    """How codes reconstruct, find and are used; ``training_results.json`` has more."""
    names = findings.level_names
    rows = [("nMSE (squared error / variance)", "nmse"), ("cosine", "cosine"),
            ("recall@10 of neighbours by reconstruction", "recall/reconstruction"),
            ("… by shared prefix", "recall/prefix"), ("collision rate", "collisions/rate"),
            ("… floor", "collisions/floor"), ("… random codes", "collisions/random")]  # fmt: skip
    for title, figure in (("perplexity", "perplexity"), ("usage", "usage"), ("Gini of its codes", "gini"),
                          ("bits beyond its prefix", "conditional_entropy")):  # fmt: skip
        rows += [(f"{name}: {title}", f"level_{level}/{figure}") for level, name in enumerate(names)]
    rows += [
        (f"passages of a work alike to level {depth}", f"consistency/depth_{depth}")
        for depth in range(1, len(names) + 1)
    ]
    return _by_side(findings, "Results", rows)


def label_figures(findings: Findings) -> Table:
    """What codes tell of labels; no row where no label is known."""
    rows = [("levels tell most of their own label (mean margin of the AMI)", "ami/diagonal_dominance")]
    for name in findings.labels:
        rows += [(f"{name}: code equals label", f"agreement/{name}/accuracy"),
                 (f"{name}: … commonest label alone", f"agreement/{name}/majority"),
                 (f"{name}: … probe of the embeddings", f"probe/{name}/accuracy"),
                 (f"{name}: macro-F1", f"agreement/{name}/macro_f1"),
                 (f"{name}: … probe of the embeddings", f"probe/{name}/macro_f1"),
                 (f"{name}: commonest code of a work equals label", f"agreement/{name}/by_work"),
                 (f"{name}: … probe of the embeddings", f"probe/{name}/by_work"),
                 (f"{name}: within one step of the label", f"agreement/{name}/within_one"),
                 (f"{name}: mean steps from the label", f"agreement/{name}/mean_absolute_error"),
                 (f"{name}: calibration error (ECE)", f"calibration/{name}/ece")]  # fmt: skip
    return _by_side(findings, "Labels", rows)


def _by_side(findings: Findings, title: str, rows: Sequence[tuple[str, str]]) -> Table:
    """A table of figures by side, of a title and the name of a metric each; without those that nothing measured."""
    cells = [(key, (name, *(figure(findings.metrics.get(f"{side}/{key}")) for side in SIDES))) for name, key in rows]
    shown = [(key, row) for key, row in cells if any(row[1:])]
    return Table(title, ("", *SIDES), [row for _, row in shown], keys=[key for key, _ in shown])


def figure(value: float | None) -> str:
    """Three digits; nothing for what was not measured."""
    return "" if value is None or value != value else f"{value:.3f}"


def ids_of_works(findings: Findings) -> Table:
    """How the IDs of works were made; no row where there are none."""
    ids = findings.results.get("ids")
    if not ids:
        return Table("IDs of works", (), [])
    rate = ids["collision_rate"]
    rows = [
        ("works", str(ids["works"])),
        ("repeat the code of another", figure(rate["before"])),
        ("repeat the ID of another", figure(rate["after"])),
        ("keep an ID published earlier", str(ids["kept"])),
        ("… where the model would no longer put them", str(ids["outdated"])),
        ("moved to a free code of the last level", str(ids["moved"])),
        ("found none", str(ids["left_over"])),
    ]
    return Table("IDs of works", (f"`artifacts.collisions={ids['policy']}`", ""), rows)


def full_cells(findings: Findings) -> Table:
    """Cells of the taxonomy with more works than the last level has codes."""
    cells, taxonomy = findings.results.get("full_cells") or [], findings.taxonomy
    if not cells or taxonomy is None:
        return Table("Full cells", (), [])
    level = taxonomy.levels[-1]
    note = (
        f"These cells hold more works than the level `{level.name}` has codes ({level.size}); their works share codes. "
        f"Raise the level's `size` in the taxonomy to {cells[0]['works']} to give each its own."
    )
    rows = [(", ".join(taxonomy.describe(cell["cell"])), str(cell["works"])) for cell in cells]
    return Table("Full cells", ("cell", "works"), rows, note)


def left_out(findings: Findings) -> Table:
    """Works and passages that were dropped, by reason."""
    dropped = findings.results.get("dropped") or {}
    rows = [
        (kind, reason, str(count))
        for kind in ("works", "passages")
        for reason, count in (dropped.get(kind) or {}).items()
    ]
    return Table("Left out", ("", "reason", "count"), rows)


def alignment(findings: Findings) -> Table:
    """How many codes changed against earlier artifacts, before and after their codes were matched."""
    said = findings.results.get("alignment")
    if not said:
        return Table("Against earlier artifacts", (), [])
    before, after = said["churn"]["before"], said["churn"]["after"]
    note = (
        f"Codes of free levels are named as in `{said['align_to']}`, matched by {said['passages']} "
        f"{said['matched_by']} in common. Share of these whose code differs:"
    )
    columns = (before["per_level"], after["per_level"], before["per_prefix"], after["per_prefix"])
    rows = [(name, *map(figure, shares)) for name, *shares in zip(findings.level_names, *columns, strict=True)]
    header = ("", "as trained", "named alike", "up to this level, as trained", "named alike")
    return Table("Against earlier artifacts", header, rows, note)


def durations(findings: Findings) -> Table:
    """How long each part of the run took."""
    rows = [(name, f"{seconds:,.1f}") for name, seconds in findings.results["seconds"].items()]
    return Table("Durations", ("", "seconds"), rows)


def provenance(findings: Findings) -> Table:
    """What the artifacts were made with."""
    config = findings.config
    rows = [("seed", str(config.get("seed"))), ("revision", str(config.get("git_revision") or "unknown"))]
    for part in ("embedding", "features"):
        if said := config.get(part):
            rows += [(f"{part}: {name}", str(value)) for name, value in said["fingerprint"].items() if value]
    if findings.taxonomy is not None:
        rows.append(("taxonomy", f"{findings.taxonomy.name}, version {findings.taxonomy.version}"))
    rows += [(name, str(version)) for name, version in (config.get("libraries") or {}).items()]
    return Table("Provenance", ("", ""), rows)
