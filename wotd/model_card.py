"""The model card of an artifact folder: what it is, how it did, what it was made of, with plots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wotd.artifacts import CARD
from wotd.encoders import SemanticEncoder
from wotd.plots import SIDES, plot_distortion, plot_information, plot_reliability, plot_usage
from wotd.providers.corpora import Corpora
from wotd.taxonomy import Taxonomy

_ALIGNMENT = "## Against earlier artifacts"
_USAGE = "codebook_usage.png"


def write_model_card(
    folder: Path,
    results: Mapping[str, Any],
    encoder: SemanticEncoder,
    provenance: Mapping[str, Any],
    codes_NL: NDArray[np.int64],
    corpora: Corpora | None,
    taxonomy: Taxonomy | None,
    config_yaml: str,
) -> None:
    """Write ``README.md`` and ``plots/`` into an artifact folder that is being written."""
    names = _level_names(encoder, provenance, taxonomy)
    plots = folder / "plots"
    plots.mkdir()
    plot_usage(plots / _USAGE, codes_NL, _named_codes(encoder, names, taxonomy))
    metrics = results["metrics"]
    plot_distortion(plots / "distortion_by_depth.png", metrics, len(names))
    sections = [
        _heading(encoder, provenance, results),
        _metrics_table(metrics, names),
        "![Use of each level's codes](plots/codebook_usage.png)\n\n"
        "![Reconstruction error by depth of the code](plots/distortion_by_depth.png)\n",
        _labels_section(plots, metrics, names, _label_names(metrics)),
        _ids_section(results.get("ids") or {}),
        _overflow_section(corpora, taxonomy),
        _dropped_section(results.get("dropped") or {}),
        f"## Configuration\n\n```yaml\n{config_yaml.strip()}\n```\n",
        _alignment_section(results.get("alignment") or {}, names),
    ]
    (folder / CARD).write_text("\n".join(section for section in sections if section), encoding="utf-8")


def add_alignment(
    folder: Path,
    results: Mapping[str, Any],
    encoder: SemanticEncoder,
    provenance: Mapping[str, Any],
    codes_NL: NDArray[np.int64],
    taxonomy: Taxonomy | None,
) -> None:
    """Say in a card that was written before how its codes were renamed since, and draw their use anew."""
    names = _level_names(encoder, provenance, taxonomy)
    plot_usage(folder / "plots" / _USAGE, codes_NL, _named_codes(encoder, names, taxonomy))
    card = (folder / CARD).read_text(encoding="utf-8").partition(_ALIGNMENT)[0].rstrip()
    (folder / CARD).write_text(f"{card}\n\n{_alignment_section(results['alignment'], names)}", encoding="utf-8")


def _level_names(encoder: SemanticEncoder, provenance: Mapping[str, Any], taxonomy: Taxonomy | None) -> tuple[str, ...]:
    if provenance.get("named") and taxonomy is not None:
        return taxonomy.level_names
    return tuple(f"level_{level}" for level in range(len(encoder.level_sizes)))


def _named_codes(
    encoder: SemanticEncoder, names: tuple[str, ...], taxonomy: Taxonomy | None
) -> list[tuple[str, Sequence[str]]]:
    """Names of the levels with those of their codes; indices where they have none."""
    if taxonomy is not None and names == taxonomy.level_names:
        return [(level.name, level.codes) for level in taxonomy.levels]
    return [(name, [str(code) for code in range(size)]) for name, size in zip(names, encoder.level_sizes, strict=True)]


def _heading(encoder: SemanticEncoder, provenance: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    embedding = provenance.get("embedding")
    source = f"`{embedding['fingerprint']['model']}`" if embedding else "the user's own vectors"
    if features := provenance.get("features"):
        source += f" and {features['dimension']} features of {features['fingerprint']['model']}"
    counts = results["counts"]
    sizes = " · ".join(map(str, encoder.level_sizes))
    bits = float(np.log2(encoder.level_sizes).sum())
    sides = f"{counts['train']} train, {counts['val']} val, {counts['test']} test"
    if counts["works"]:
        learned = f"{counts['passages']} passages of {counts['works']} works ({sides})"
        shell, python = 'wotd encode --artifacts FOLDER "a text"', 'SemanticIDModel.load("FOLDER").encode(["a text"])'
    else:
        learned = f"{counts['passages']} rows ({sides}, drawn at random)"
        shell = "wotd encode --artifacts FOLDER --vectors VECTORS.npy --output CODES.npy"
        python = 'SemanticIDModel.load("FOLDER").encode_vectors(vectors)'
    return (
        f"# Semantic IDs\n\nCodes of {len(encoder.level_sizes)} levels ({sizes}; {bits:.1f} bits) over {source}, "
        f"learned from {learned}.\n\nUse them with `{shell}`, or in Python:\n\n"
        f"```python\nfrom wotd import SemanticIDModel\n\n{python}\n```\n"
    )


def _metrics_table(metrics: Mapping[str, float], names: tuple[str, ...]) -> str:
    """The main figures; ``training_results.json`` has them all."""
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
    return "\n".join(["## Results", "", *_sides_table(metrics, rows)]) + "\n"


def _sides_table(metrics: Mapping[str, float], rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    """A table of figures by side, one row a title and the name of its metric; without those nothing measured."""
    yield f"| | {' | '.join(SIDES)} |"
    yield f"|---|{'---|' * len(SIDES)}"
    for title, key in rows:
        cells = [_figure_of(metrics.get(f"{side}/{key}")) for side in SIDES]
        if any(cells):
            yield f"| {title} | {' | '.join(cells)} |"


def _figure_of(value: float | None) -> str:
    return "" if value is None or value != value else f"{value:.3f}"


def _label_names(metrics: Mapping[str, float]) -> list[str]:
    """Levels of the label of which anything is known, in their order."""
    return list(dict.fromkeys(name.rpartition("/")[2] for name in metrics if "/ami/level_" in name))


def _labels_section(plots: Path, metrics: Mapping[str, float], names: Sequence[str], labels: Sequence[str]) -> str:
    """What codes tell of labels, in figures and plots; nothing where no label is known."""
    if not labels:
        return ""
    rows = [("levels tell most of their own label (mean margin of the AMI)", "ami/diagonal_dominance")]
    for name in labels:
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
    plot_information(plots / "label_information.png", metrics, names, labels)
    section = ["## Labels", "", *_sides_table(metrics, rows), "",
               "![Adjusted mutual information of levels and labels](plots/label_information.png)"]  # fmt: skip
    taught = [name for name in labels if any(f"{side}/calibration/{name}/ece" in metrics for side in SIDES)]
    if taught:
        plot_reliability(plots / "reliability.png", metrics, taught)
        section += ["", "![Confidence and accuracy](plots/reliability.png)"]
    return "\n".join(section) + "\n"


def _ids_section(ids: Mapping[str, Any]) -> str:
    """How the IDs of works were made; nothing where there are none."""
    if not ids:
        return ""
    rate = ids["collision_rate"]
    rows = [
        ("works", ids["works"]),
        ("repeat the code of another", f"{rate['before']:.3f}"),
        ("repeat the ID of another", f"{rate['after']:.3f}"),
        ("keep an ID published earlier", ids["kept"]),
        ("… where the model would no longer put them", ids["outdated"]),
        ("moved to a free code of the last level", ids["moved"]),
        ("found none", ids["left_over"]),
    ]
    lines = ["## IDs of works", "", f"| `artifacts.collisions={ids['policy']}` | |", "|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {value} |" for name, value in rows)]) + "\n"


def _alignment_section(alignment: Mapping[str, Any], names: Sequence[str]) -> str:
    """How many codes changed against earlier artifacts, before and after their codes were matched."""
    if not alignment:
        return ""
    before, after = alignment["churn"]["before"], alignment["churn"]["after"]
    lines = [
        _ALIGNMENT,
        "",
        f"Codes of free levels are named as in `{alignment['align_to']}`, matched by {alignment['passages']} "
        f"{alignment['matched_by']} in common. Share of these whose code differs:",
        "",
        "| | as trained | named alike | up to this level, as trained | named alike |",
        "|---|---|---|---|---|",
    ]
    columns = (before["per_level"], after["per_level"], before["per_prefix"], after["per_prefix"])
    for name, *shares in zip(names, *columns, strict=True):
        lines.append(f"| {name} | {' | '.join(f'{share:.3f}' for share in shares)} |")
    return "\n".join(lines) + "\n"


def _overflow_section(corpora: Corpora | None, taxonomy: Taxonomy | None) -> str:
    if corpora is None or taxonomy is None or not corpora.overflows:
        return ""
    level = taxonomy.levels[-1]
    lines = [
        "## Full cells",
        "",
        f"These cells hold more works than the level `{level.name}` has codes ({level.size}); their works share codes. "
        f"Raise the level's `size` in the taxonomy to {corpora.overflows[0].works} to give each its own.",
        "",
    ]
    lines += [f"- {', '.join(taxonomy.describe(full.cell))}: {full.works} works" for full in corpora.overflows]
    return "\n".join(lines) + "\n"


def _dropped_section(dropped: Mapping[str, Any]) -> str:
    rows = [f"| {kind} | {reason} | {count} |" for kind in ("works", "passages")
            for reason, count in (dropped.get(kind) or {}).items()]  # fmt: skip
    if not rows:
        return ""
    return "\n".join(["## Left out", "", "| | reason | count |", "|---|---|---|", *rows]) + "\n"
