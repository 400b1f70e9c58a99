"""``wotd inspect``: what an artifact folder is, without running anything of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from wotd.cli.app import command
from wotd.cli.options import ArtifactsOption, FormatOption
from wotd.cli.tables import add_row, new_table, number, show, size

if TYPE_CHECKING:
    from rich.console import RenderableType

    from wotd.artifacts import Artifacts

_KEY_METRICS = (
    *("nmse", "cosine", "collisions/rate", "collisions/floor", "collisions/random"),
    *("recall/prefix", "recall/reconstruction", "ami/diagonal_dominance"),
)
_KEY_ENDINGS = (("agreement/", ("/accuracy", "/majority")), ("probe/", ("/accuracy",)))
_HEADS = {"passages": "", "trained_on": "", "nmse": "", "cosine": "", "codes": "collisions"}
"""Names that stand in a group with others, and which group that is; the rest by what is before their slash."""

_COUNTS = ("passages", "dead", "codes", "trained_on")
"""Metrics that are whole numbers."""


@command("wotd inspect --artifacts A", "wotd inspect --artifacts A --format json", name="inspect")
def inspect_artifacts(artifacts: ArtifactsOption, format_: FormatOption = None) -> None:
    """Say what artifacts are.

    Levels, embedding model and taxonomy, works and passages, how their IDs were made and what these keep to, key
    metrics, origin, files and their sizes.
    """
    from wotd.hub import open_artifacts

    facts = summary(open_artifacts(artifacts))
    show(facts, format_, lambda: _drawn(facts))


def summary(artifacts: Artifacts) -> dict[str, Any]:
    """What the folder says of itself, as plain data."""
    from wotd.runs import training_results

    config = artifacts.config
    taxonomy = artifacts.taxonomy
    sizes = list(config["encoder"]["level_sizes"])
    names = taxonomy.level_names if taxonomy and artifacts.named else [f"level_{n}" for n in range(len(sizes))]
    results = training_results(artifacts.folder)
    return {
        "artifacts": str(artifacts.folder),
        "levels": [{"name": name, "size": count} for name, count in zip(names, sizes, strict=False)],
        "bits": round(sum(math.log2(count) for count in sizes), 2),
        "quantizer": config["encoder"].get("quantizer"),
        "encode_mode": config.get("encode_mode"),
        "dimension": config["encoder"].get("input_dim"),
        "embedding": _embedding(artifacts),
        "features": _features(artifacts),
        "taxonomy": {"name": taxonomy.name, "version": taxonomy.version} if taxonomy else None,
        **_contents(artifacts),
        "ids": results.get("ids") or None,
        "alignment": results.get("alignment") or _aligned_to(config),
        "metrics": results.get("metrics", {}),
        "seconds": results.get("seconds", {}),
        "seed": config.get("seed"),
        "libraries": config.get("libraries", {}),
        "git_revision": config.get("git_revision"),
        "schema": config["schema"],
        "files": {name: (artifacts.folder / name).stat().st_size for name in ("config.json", *config["files"])},
    }


def _computed_by(embedding: dict[str, Any]) -> str:
    """Backend and number format, and how near their vectors are to those of float32 torch where that is another."""
    fidelity = embedding["fidelity"]
    near = f", cosine {fidelity['least_cosine']:.5f} or more with torch float32" if fidelity else ""
    return f"{embedding['computed_by']}{near}"


def _embedding(artifacts: Artifacts) -> dict[str, Any] | None:
    fingerprint = artifacts.fingerprint
    if fingerprint is None:
        return None
    return {
        "model": fingerprint.model,
        "revision": fingerprint.revision,
        "fingerprint": fingerprint.digest,
        "computed_by": fingerprint.arithmetic,
        "fidelity": artifacts.config["embedding"].get("fidelity"),
    }


def _features(artifacts: Artifacts) -> dict[str, Any] | None:
    fingerprint = artifacts.features_fingerprint
    if fingerprint is None:
        return None
    return {"kind": fingerprint.kind, "dimension": fingerprint.dimension, "fingerprint": fingerprint.digest}


def _contents(artifacts: Artifacts) -> dict[str, Any]:
    from pyarrow import parquet

    from wotd.artifacts import CODES
    from wotd.collision_policy import published_id

    table = parquet.ParquetFile(artifacts.folder / CODES)
    works = artifacts.semantic_ids()["corpora"]
    return {
        "works": len(works),
        "published_ids": len({published_id(entry) for entry in works.values()} - {None}),
        "passages": table.metadata.num_rows,
        "texts_kept": "text" in table.schema_arrow.names,
    }


def _aligned_to(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """All that artifacts made of a checkpoint say of it: they hold no results of a run."""
    return {"align_to": config["align_to"]} if config.get("align_to") else None


def _drawn(facts: dict[str, Any]) -> Iterator[RenderableType]:
    table = new_table("", "", ids=())
    table.show_header = False
    for name, value in _lines(facts):
        add_row(table, name, value)
    yield table
    yield from _drawn_metrics(facts["metrics"])
    files = new_table("file", "size", numbers=("size",), ids=())
    for name, count in facts["files"].items():
        add_row(files, name, size(count))
    yield ""
    yield files


def _lines(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    sizes = " · ".join(f"{level['name']} {level['size']}" for level in facts["levels"])
    embedding, taxonomy = facts["embedding"], facts["taxonomy"]
    yield "artifacts", facts["artifacts"]
    found = f", found by {facts['encode_mode']}" if facts["encode_mode"] else ""
    yield "levels", f"{sizes} ({facts['bits']:.1f} bits, {facts['quantizer']}{found})"
    if embedding:
        yield "embedding", f"{embedding['model']}, {facts['dimension']} dimensions"
        yield "  revision", embedding["revision"] or "–"
        yield "  fingerprint", embedding["fingerprint"]
        yield "  computed by", _computed_by(embedding)
    else:
        yield "embedding", f"none: trained on vectors of length {facts['dimension']}"
    if features := facts["features"]:
        yield "features", f"{features['kind']}, {features['dimension']} features"
        yield "  fingerprint", features["fingerprint"]
    yield "taxonomy", f"{taxonomy['name']}, version {taxonomy['version']}" if taxonomy else "none"
    kept = "kept" if facts["texts_kept"] else "not kept"
    yield "contents", f"{facts['works']:,} works, {facts['passages']:,} passages, texts {kept}"
    if facts["works"]:
        yield from _lines_of_ids(facts)
    if alignment := facts["alignment"]:
        yield from _lines_of_alignment(alignment)
    yield "seed", str(facts["seed"])
    if "total" in facts["seconds"]:
        yield "trained in", f"{facts['seconds']['total']:.1f} s"
    yield "git revision", facts["git_revision"] or "–"
    yield "libraries", ", ".join(f"{name} {version}" for name, version in facts["libraries"].items()) or "–"


def _lines_of_ids(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    ids = facts["ids"]
    yield (
        "IDs",
        f"{facts['published_ids']:,} for {facts['works']:,} works"
        + (f", artifacts.collisions={ids['policy']}" if ids else ""),
    )
    if not ids:
        return
    rate = ids["collision_rate"]
    yield "  collisions", f"{number(rate['before'])} of works by their code, {number(rate['after'])} by their ID"
    if ids["kept"]:
        yield "  kept", f"{ids['kept']:,} published earlier, {ids['outdated']:,} of them where the model has others"


def _lines_of_alignment(alignment: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if "churn" not in alignment:
        yield "aligned to", alignment["align_to"]
        return
    churn = alignment["churn"]
    yield "aligned to", f"{alignment['align_to']}, by {alignment['passages']:,} {alignment['matched_by']} in common"
    yield (
        "  churn",
        f"{number(churn['before']['whole'])} of codes as trained, {number(churn['after']['whole'])} aligned",
    )


def _drawn_metrics(metrics: dict[str, float]) -> Iterator[RenderableType]:
    kept = {name: value for name, value in metrics.items() if _is_key(name.partition("/")[2])}
    if kept:
        yield ""
        yield metrics_table(kept)


def _is_key(name: str) -> bool:
    return name in _KEY_METRICS or any(name.startswith(head) and name.endswith(ends) for head, ends in _KEY_ENDINGS)


def metrics_table(metrics: dict[str, float]) -> RenderableType:
    """Metrics as a table: one row a name, those of a kind together, one column for each of train, val, test.

    The bins of reliability curves are left out; JSON has them.
    """
    sides = [side for side in ("train", "val", "test") if any(name.startswith(f"{side}/") for name in metrics)]
    groups: dict[str, dict[str, dict[str, float]]] = {}
    for name, value in metrics.items():
        side, _, rest = name.partition("/")
        side, rest = (side, rest) if side in sides else ("", name)
        if "/bin_" not in rest:
            groups.setdefault(_group(rest), {}).setdefault(rest, {})[side] = value
    measured = [values for rows in groups.values() for values in rows.values()]
    columns = [*sides, *([""] if any("" in values for values in measured) else [])]
    table = new_table("metric", *(side or "value" for side in columns), numbers=[*sides, "value"], ids=())
    for rows in groups.values():
        for name, values in rows.items():
            add_row(table, name, *(number(values.get(side), digits_of(name)) for side in columns))
        table.add_section()
    return table


def digits_of(metric: str) -> int:
    """How many digits of a metric are shown behind the point."""
    return 0 if metric.rpartition("/")[2] in _COUNTS else 3


def _group(name: str) -> str:
    head = name.partition("/")[0]
    return _HEADS.get(head, "level" if head.startswith("level_") else head)
