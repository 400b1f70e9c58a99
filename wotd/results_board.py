"""What a run gave, on the boards of its loggers: pictures, examples, a projector, settings beside results.

Shape letters: N passages, L levels, M rows shown, D embedding.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf

from wotd.callbacks.boards import boards_of, last_step
from wotd.data import WOTDDataModule
from wotd.data.splits import TEST, TRAIN, VAL
from wotd.encoders import SemanticEncoder
from wotd.metrics import spread
from wotd.report.findings import shortened
from wotd.taxonomy import Taxonomy

EXAMPLES, NEIGHBORS = 12, 3
PROJECTED_ROWS, PROJECTED_DIM = 1000, 50
"""Rows in the projector, and principal components of each: as many as it looks at itself."""

_STORED_ROWS = 8192
_GROUPS = ("data", "embedding", "features", "model", "provider", "trainer", "artifacts", "callbacks")
_OF_THE_MACHINE = ("device", "workers", "batch_tokens", "trust_remote_code", "cache_dir", "refresh_rate", "accelerator")
"""Settings that change no result."""

_RESULTS = ("nmse", "cosine", "collisions/rate", "recall/prefix", "recall/reconstruction", "ami/diagonal_dominance")


def show_results(
    trainer: lightning.Trainer,
    config: DictConfig,
    metrics: Mapping[str, float],
    data: WOTDDataModule,
    encoder: SemanticEncoder,
    codes_NL: NDArray[np.int64],
    taxonomy: Taxonomy | None,
    artifacts: Path,
) -> None:
    """Show a run that is over.

    Args:
        trainer: that trained it, whose loggers are shown to.
        config: its settings.
        metrics: its figures by name.
        data: its texts and vectors.
        encoder: the model that was kept.
        codes_NL: codes of all passages.
        taxonomy: what their labels follow.
        artifacts: the folder that it left, with plots.
    """
    boards = boards_of(trainer)
    if not boards:
        return
    step = last_step(trainer)
    examples = _examples(data, encoder, codes_NL, texts=bool(config.artifacts.texts))
    projected = _projected(data, codes_NL, taxonomy)
    settings, results = settings_of(config), key_results(metrics)
    for board in (board.of_results() for board in boards):
        for plot in sorted((artifacts / "plots").glob("*.png")):
            board.picture(f"report/{plot.stem}", plot.read_bytes(), step)
        if examples:
            board.text("report/examples", examples, step)
        board.projector("passages", *projected)
        board.settings(settings, results, step)
        board.close()


def settings_of(config: DictConfig) -> dict[str, str | int | float | bool]:
    """The settings that tell runs apart, by dotted key; what is null or only says how to build is left out."""
    plain: Any = OmegaConf.to_container(config, resolve=True)
    parts = {group: _kind(plain[group]) for group in ("provider", "embedding", "features") if plain.get(group)}
    chosen = {group: plain[group] for group in _GROUPS if plain.get(group)}
    return {"name": plain["name"], "seed": plain["seed"], "features": "none", **parts, **dict(_leaves(chosen))}


def _kind(node: Mapping[str, Any]) -> str:
    """What a group was chosen to be: the model it names, else its class."""
    return str(node.get("model") or str(node.get("_target_", "")).rpartition(".")[2] or "none")


def _leaves(node: Mapping[str, Any], above: str = "") -> list[tuple[str, str | int | float | bool]]:
    found: list[tuple[str, str | int | float | bool]] = []
    for key, value in node.items():
        if isinstance(value, Mapping):
            found += _leaves(value, f"{above}{key}.")
        elif key.startswith("_") or key in _OF_THE_MACHINE:
            continue
        elif isinstance(value, bool | int | float | str):
            found.append((f"{above}{key}", value))
        elif isinstance(value, list):
            found.append((f"{above}{key}", ",".join(map(str, value))))
    return found


def key_results(metrics: Mapping[str, float]) -> dict[str, float]:
    """The figures by which runs are compared, of the sides that training does not see."""
    chosen = {}
    for name, value in metrics.items():
        side, _, figure = name.partition("/")
        labels = figure.startswith("agreement/") and figure.endswith("/accuracy")
        if side in ("val", "test") and (figure in _RESULTS or labels) and value == value:
            chosen[name] = float(value)
    return chosen


def _examples(data: WOTDDataModule, encoder: SemanticEncoder, codes_NL: NDArray[np.int64], *, texts: bool) -> str:
    """Unseen passages with their IDs and the training passages nearest to them, as Markdown; none of bare vectors.

    Without ``texts``, which artifacts may be forbidden to keep, only the works are named.
    """
    if data.corpora is None:
        return ""
    unseen = data.rows(TEST) if len(data.rows(TEST)) else data.rows(VAL)
    shown, stored = spread(unseen, EXAMPLES), spread(data.rows(TRAIN), _STORED_ROWS)
    decoded_SD = encoder.decode(torch.from_numpy(codes_NL[stored]))
    x_MD = torch.from_numpy(np.asarray(data.vectors[shown, : encoder.input_dim], dtype=np.float32))
    nearest_MK = torch.cdist(x_MD, decoded_SD).topk(min(NEIGHBORS, len(stored)), largest=False).indices.numpy()
    lines = ["| passage | ID | nearest passages of training |", "|---|---|---|"]
    for row, nearest_K in zip(shown.tolist(), nearest_MK, strict=True):
        told = [f"{_id(codes_NL[other])} {_told(data, other, texts)}" for other in stored[nearest_K].tolist()]
        near = "<br>".join(told)
        lines.append(f"| {_told(data, row, texts)} | {_id(codes_NL[row])} | {near} |")
    return "\n".join(lines)


def _told(data: WOTDDataModule, row: int, texts: bool) -> str:
    assert data.corpora is not None
    work = data.corpora.works[int(data.corpora.work_of_passage[row])]
    title = f"*{_plain(shortened(work.title, 80))}*"
    return f"{_plain(shortened(data.corpora.texts[row], 160))} {title}" if texts else title


def _plain(text: str) -> str:
    """A text that is no Markdown and no HTML."""
    return re.sub(r"([\\`*_\[\]~#|])", r"\\\1", html.escape(text, quote=False))


def _id(code_L: NDArray[np.int64]) -> str:
    return "-".join(map(str, code_L.tolist()))


def _projected(
    data: WOTDDataModule, codes_NL: NDArray[np.int64], taxonomy: Taxonomy | None
) -> tuple[NDArray[np.float32], list[str], list[list[str]]]:
    """A spread of embeddings, in few dimensions, with work, author, labels, side and code of each."""
    from sklearn.decomposition import PCA

    rows = spread(np.arange(len(codes_NL)), PROJECTED_ROWS)
    x_MD = np.asarray(data.vectors[rows, : data.dimension], dtype=np.float32)
    x_MD = PCA(min(PROJECTED_DIM, *x_MD.shape), svd_solver="covariance_eigh").fit_transform(x_MD).astype(np.float32)
    sides = np.array(["train", "val", "test"])[data.sides[rows]]
    header = ["code", *(f"code_{level}" for level in range(codes_NL.shape[1])), "side"]
    told = [
        [_id(code), *map(str, code.tolist()), side] for code, side in zip(codes_NL[rows], sides.tolist(), strict=True)
    ]
    if data.corpora is not None and taxonomy is not None:
        header += ["work", "author", *taxonomy.level_names]
        for line, row in zip(told, rows.tolist(), strict=True):
            work = data.corpora.works[int(data.corpora.work_of_passage[row])]
            names = [
                "unknown" if code is None else level.codes[code] if not level.ranked else str(code)
                for level, code in zip(taxonomy.levels, work.label.codes, strict=True)
            ]
            line += [" ".join(each.split()) for each in (work.title, "; ".join(work.authors) or "unknown", *names)]
    return x_MD, header, told
