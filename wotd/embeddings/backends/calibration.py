"""Ranges of activations, from which int8 arithmetic takes its scales once and for all.

Scales that are taken from each batch (dynamic quantisation) would let a text's vector depend on the texts beside
it. These are measured once on fixed texts, so that one model has one calibration, and kept with what they made.

C channels.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wotd.embeddings.fingerprint import PROBE_TEXTS
from wotd.embeddings.shard_file import write_atomically
from wotd.errors import EmbeddingError

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

_FILE = "calibration.json"
_WORKS, _PASSAGES_A_WORK = 128, 1
_LARGEST = 1 << 26


@dataclass(frozen=True)
class Calibration:
    """What the inputs of each linear layer were like on the calibration texts."""

    lowest: Mapping[str, list[float]]
    """By name of the layer, the least value of each channel, [C]."""
    highest: Mapping[str, list[float]]
    """Likewise the greatest."""

    @property
    def sha256(self) -> str:
        """Of the canonical JSON."""
        return hashlib.sha256(self._json().encode("ascii")).hexdigest()

    def save(self, path: Path) -> None:
        """Write it as JSON, whole or not at all; makes the folder if need be.

        Raises:
            OSError: if the disk does not take it.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, (self._json() + "\n").encode("ascii"))

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Read what :meth:`save` wrote.

        Raises:
            EmbeddingError: if it cannot be read.
        """
        try:
            if path.stat().st_size > _LARGEST:
                raise ValueError(f"{path.stat().st_size} bytes")
            data = json.loads(path.read_text(encoding="ascii"))
            calibration = cls(data["lowest"], data["highest"])
            for name in {*calibration.lowest, *calibration.highest}:
                low, high = np.asarray(calibration.lowest[name]), np.asarray(calibration.highest[name])
                if low.shape != high.shape or low.ndim != 1 or not (low <= high).all():
                    raise ValueError(f"ranges of {name}")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise EmbeddingError(f"the calibration {path} cannot be read ({error}); it is damaged.") from error
        return calibration

    def _json(self) -> str:
        return json.dumps({"lowest": dict(self.lowest), "highest": dict(self.highest)}, sort_keys=True)


def calibrate(network: SentenceTransformer, body: torch.nn.Module) -> Calibration:
    """Measure the inputs of the linear layers of a network's body on the calibration texts."""
    import torch

    lowest: dict[str, torch.Tensor] = {}
    highest: dict[str, torch.Tensor] = {}
    hooks = []

    def watching(name: str) -> Any:
        def watch(_: Any, inputs: tuple[Any, ...]) -> None:
            rows = inputs[0].detach().reshape(-1, inputs[0].shape[-1])
            low, high = rows.min(0).values, rows.max(0).values
            lowest[name] = torch.minimum(lowest[name], low) if name in lowest else low
            highest[name] = torch.maximum(highest[name], high) if name in highest else high

        return watch

    for name, layer in body.named_modules():
        if isinstance(layer, torch.nn.Linear):
            hooks.append(layer.register_forward_pre_hook(watching(name)))
    try:
        for text in calibration_texts():  # one at a time: what padding would add is nothing a text says
            network.encode([text], show_progress_bar=False)
    finally:
        for hook in hooks:
            hook.remove()
    return Calibration(
        {name: _rounded(values) for name, values in lowest.items()},
        {name: _rounded(values) for name, values in highest.items()},
    )


def calibration_texts() -> list[str]:
    """Passages of the built-in literature in all its styles and eras, and the probe texts; always the same."""
    from wotd.providers.literature.synthetic import Synthetic

    works = Synthetic(seed=0, n_works=_WORKS, passages_per_work=4).works()
    return [text for work in works for text in work.passages()[:_PASSAGES_A_WORK]] + list(PROBE_TEXTS)


def find_calibration(store: Path, digest: str) -> Calibration | None:
    """The calibration that was kept when a model was first used with int8; None if it was not, or is damaged."""
    path = calibration_file(store, digest)
    try:
        return Calibration.load(path) if path.is_file() else None
    except EmbeddingError:
        return None


def calibration_file(store: Path, digest: str) -> Path:
    """Where the calibration of a model is kept."""
    return model_store(store, digest) / _FILE


def model_store(store: Path, digest: str) -> Path:
    """Where what is derived from a model is kept."""
    return store / "models" / digest[:32]


def _rounded(values: Any) -> list[float]:
    """Four digits: more would differ between machines and say nothing."""
    return [float(f"{float(value):.4g}") for value in values]
