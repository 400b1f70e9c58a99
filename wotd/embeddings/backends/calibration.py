"""Ranges of activations, from which int8 arithmetic takes its scales once and for all.

Scales that are taken from each batch (dynamic quantisation) would let a text's vector depend on the texts beside
it. These are measured once on fixed texts, so that one model has one calibration, and kept with what they made.

C channels: the inputs of a linear layer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wotd.embeddings.fingerprint import PROBE_TEXTS
from wotd.embeddings.shard_file import write_atomically
from wotd.errors import EmbeddingError

_FILE = "calibration.json"
_WORKS = 128
_LARGEST = 1 << 26
_ROUNDING = 1
"""Version of how numbers are rounded by ranges; part of what is hashed, since it decides vectors too."""


@dataclass(frozen=True)
class Ranges:
    """What is rounded at the input of one linear layer, and from where to where."""

    lowest: float
    """Least value of any channel after its halvings; not above zero."""
    highest: float
    """Greatest value of any channel after its halvings; above the lowest, not below zero."""
    halvings: tuple[int, ...]
    """How often each channel is halved before it is rounded, [C]; the weights it meets are doubled as often."""

    def __post_init__(self) -> None:
        """Refuse what cannot be rounded by."""
        if not (np.isfinite([self.lowest, self.highest]).all() and self.lowest <= 0 <= self.highest):
            raise ValueError(f"a range from {self.lowest} to {self.highest}")
        if self.lowest == self.highest or not all(type(count) is int and 0 <= count < 64 for count in self.halvings):
            raise ValueError("a range without width, or halvings that are no counts")


@dataclass(frozen=True)
class Calibration:
    """The ranges of the linear layers that are computed in int8; the others stay in float32."""

    layers: Mapping[str, Ranges]
    """By name of the layer in the body of the network."""

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
            if data["rounding"] != _ROUNDING:
                raise ValueError(f"it is for rounding of version {data['rounding']}, expected {_ROUNDING}")
            return cls({name: _ranges(**each) for name, each in data["layers"].items()})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise EmbeddingError(f"the calibration {path} cannot be read ({error}); it is damaged.") from error

    def _json(self) -> str:
        layers = {name: asdict(each) for name, each in self.layers.items()}
        return json.dumps({"rounding": _ROUNDING, "layers": layers}, sort_keys=True)


def calibration_texts() -> list[str]:
    """Passages of the built-in literature in all its styles and eras, and the probe texts; always the same."""
    from wotd.providers.literature.synthetic import Synthetic

    works = Synthetic(seed=0, n_works=_WORKS, passages_per_work=4).works()
    return [next(iter(work.passages())) for work in works] + list(PROBE_TEXTS)


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


def _ranges(lowest: Any, highest: Any, halvings: Any) -> Ranges:
    return Ranges(float(lowest), float(highest), tuple(halvings))
