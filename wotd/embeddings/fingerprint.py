"""What decides the vectors of an embedding model, in a form that can be stored, compared and explained."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from wotd.errors import EmbeddingError

PROBE_TEXT = (
    "The lamplighter counted forty windows along the quay, and in the last of them, "
    "long after midnight, somebody was still reading."
)
"""Embedded once beside every set of vectors: equal fingerprints must also give equal vectors of it."""

_ORIGIN = ("model", "revision")
"""Fields that say where files came from; the hashes of the files decide, where there are any."""


@dataclass(frozen=True)
class Fingerprint:
    """Everything that decides the vectors of an embedder. An empty hash says that there is no such file."""

    kind: str
    """``sentence_transformers``, ``lsa`` or ``stylometry``."""
    model: str
    """Hub ID or name of the local folder."""
    revision: str | None
    """Commit on the hub, where known."""
    weights_sha256: str
    """Over the safetensors files, sorted by name; of a single file, its plain SHA-256."""
    tokenizer_sha256: str
    """Of tokenizer.json, else over the vocabulary files."""
    configuration_sha256: str
    """Over the modules and their settings, without what a mere re-saving changes."""
    prompt: str
    """Stands before every text."""
    pooling: str
    """How token vectors become one, in the model's own word."""
    max_tokens: int | None
    """Longer texts are cut there; None: never."""
    truncate_dim: int | None
    """Vectors are cut to that size and normalised again; None: whole."""
    normalized: bool
    """Whether vectors have length 1."""
    precision: str
    """Number format the model computes in."""
    dimension: int
    features: tuple[str, ...] = ()
    """Other choices that decide vectors, each as one word or phrase."""

    @property
    def digest(self) -> str:
        """Hex SHA-256 over the canonical JSON of the fields that decide vectors."""
        decisive = self.to_mapping()
        if self.weights_sha256 or self.configuration_sha256:
            for name in _ORIGIN:
                del decisive[name]
        canonical = json.dumps(decisive, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode("ascii")).hexdigest()

    def differences(self, other: Fingerprint) -> list[str]:
        """What differs from the fingerprint stored in artifacts, one part of a sentence each.

        Where files came from is named only if no hash of them can decide.
        """
        hashed = bool(self.weights_sha256 and other.weights_sha256)
        names = [field.name for field in fields(self) if not (hashed and field.name in _ORIGIN)]
        return [
            f"{_spoken(name)}: {_shown(name, mine)} here, {_shown(name, theirs)} in the artifacts"
            for name in names
            if (mine := getattr(self, name)) != (theirs := getattr(other, name))
        ]

    def to_mapping(self) -> dict[str, Any]:
        """Plain data, as JSON holds it."""
        return asdict(self) | {"features": list(self.features)}

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> Fingerprint:
        """Read back what :meth:`to_mapping` wrote.

        Raises:
            EmbeddingError: if a field is missing or unknown.
        """
        names = {field.name for field in fields(cls)}
        missing, unknown = sorted(names - set(data) - {"features"}), sorted(set(data) - names)
        if missing or unknown:
            raise EmbeddingError(
                f"the embedding fingerprint lacks {missing or 'nothing'} and has unknown fields {unknown or 'none'}; "
                "it was written by another version of wotd or damaged."
            )
        return cls(**{**data, "features": tuple(data.get("features", ()))})


def _spoken(field: str) -> str:
    return field.removesuffix("_sha256").replace("_", " ")


def _shown(field: str, value: Any) -> str:
    if field.endswith("_sha256"):
        return f"sha256 {value[:12]}…" if value else "none"
    return repr(list(value) if isinstance(value, tuple) else value)
