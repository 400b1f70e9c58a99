"""The model card of an artifact folder: what it is, how it did, what it was made of, with plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wotd.artifacts import CARD
from wotd.encoders import SemanticEncoder
from wotd.providers.corpora import Corpora
from wotd.taxonomy import Taxonomy

_ALIGNMENT = "## Against earlier artifacts"
_SIDES = ("train", "val", "test")
_USAGE = "codebook_usage.png"
_MOST_BARS = 32


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
    _plot_usage(plots / _USAGE, codes_NL, _named_codes(encoder, names, taxonomy))
    _plot_distortion(plots / "distortion_by_depth.png", results["metrics"], len(names))
    sections = [
        _heading(encoder, provenance, results),
        _metrics_table(results["metrics"], names),
        "![Use of each level's codes](plots/codebook_usage.png)\n\n"
        "![Reconstruction error by depth of the code](plots/distortion_by_depth.png)\n",
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
    _plot_usage(folder / "plots" / _USAGE, codes_NL, _named_codes(encoder, names, taxonomy))
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
    counts = results["counts"]
    sizes = " · ".join(map(str, encoder.level_sizes))
    bits = float(np.log2(encoder.level_sizes).sum())
    return (
        f"# Semantic IDs\n\nCodes of {len(encoder.level_sizes)} levels ({sizes}; {bits:.1f} bits) over {source}, "
        f"learned from {counts['passages']} passages of {counts['works']} works "
        f"({counts['train']} train, {counts['val']} val, {counts['test']} test).\n\n"
        'Use them with `wotd encode --artifacts FOLDER "a text"`, or in Python:\n\n'
        "```python\nfrom wotd import SemanticIDModel\n\n"
        'SemanticIDModel.load("FOLDER").encode(["a text"])\n```\n'
    )


def _metrics_table(metrics: Mapping[str, float], names: tuple[str, ...]) -> str:
    rows = [("nMSE (squared error / variance)", "nmse"), ("cosine", "cosine"), ("collision rate", "collisions/rate"),
            ("… floor", "collisions/floor"), ("… random codes", "collisions/random")]  # fmt: skip
    rows += [(f"{name}: perplexity", f"level_{level}/perplexity") for level, name in enumerate(names)]
    rows += [(f"{name}: usage", f"level_{level}/usage") for level, name in enumerate(names)]
    for name in names:
        rows += [(f"{name}: agrees with label", f"agreement/{name}/accuracy"),
                 (f"{name}: … commonest label alone", f"agreement/{name}/majority")]  # fmt: skip
    lines = ["## Results", "", f"| | {' | '.join(_SIDES)} |", f"|---|{'---|' * len(_SIDES)}"]
    for title, key in rows:
        values = [metrics.get(f"{side}/{key}") for side in _SIDES]
        if any(value is not None for value in values):
            cells = ["" if value is None else f"{value:.3f}" for value in values]
            lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


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


def _figure(width: float, height: float) -> Any:
    # Without pyplot there is no global state and no display to ask for.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=120, layout="constrained")


def _plot_usage(path: Path, codes_NL: NDArray[np.int64], levels: Sequence[tuple[str, Sequence[str]]]) -> None:
    """A panel a level: bars for codes that can be told apart by name, a curve of the sorted use for many."""
    figure = _figure(3.2 * len(levels), 2.8)
    panels = np.atleast_1d(figure.subplots(1, len(levels)))
    for level, ((name, codes), axes) in enumerate(zip(levels, panels, strict=True)):
        counts = np.bincount(codes_NL[:, level], minlength=len(codes))
        if len(codes) > _MOST_BARS:
            axes.fill_between(np.arange(len(codes)), np.sort(counts)[::-1])
            axes.set_xlabel("codes, the most used first")
        else:
            axes.barh(np.arange(len(codes)), counts, tick_label=list(codes))
            axes.invert_yaxis()
            axes.set_xlabel("passages")
        axes.set_title(name)
    figure.savefig(path)


def _plot_distortion(path: Path, metrics: Mapping[str, float], levels: int) -> None:
    figure = _figure(5, 3)
    axes = figure.subplots()
    for side in _SIDES:
        values = [metrics.get(f"{side}/nmse/depth_{depth}") for depth in range(1, levels + 1)]
        if all(value is not None for value in values):
            axes.plot(range(levels + 1), [1.0, *values], marker="o", label=side)
    axes.set_xlabel("levels of the code that are decoded")
    axes.set_ylabel("nMSE")
    axes.set_xticks(range(levels + 1))
    axes.legend()
    figure.savefig(path)
