"""What decides the vectors of an embedding model, in a form that can be stored, compared and explained."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from wotd.errors import EmbeddingError

PROBE_TEXTS = (
    "The lamplighter counted forty windows along the quay, and in the last of them, "
    "long after midnight, somebody was still reading.",
    "Rain.",
    "O hush, thou restless sea, and lay thy silver down;\nThe stars have shut their gates, the wind forgets the town.",
    "It follows that a cause which is nowhere found apart from its effect can be distinguished from it in thought "
    "alone; and whoever denies this must show, not merely assert, that the one may be conceived while the other is "
    "not, which no one, so far as I am aware, has yet attempted without presupposing the very distinction he meant "
    "to establish.",
    '"Is he gone?" she whispered. "Long gone," said the boy, and laughed. "You may come out now, mother."',
    "On 14 March 1851 the brig Heron, 212 tons, left Leith with 36 souls; by the 9th of May, 31 were alive.",
    "Der alte Uhrmacher schloss die Läden, ehe der Schnee das Dorf erreichte; niemand fragte nach den Stunden.",
    "for row in table:\n    total += row['price'] * row['count']  # without tax\nprint(total)",
)
"""Embedded beside every set of vectors: equal fingerprints must also give equal vectors of them.

Of several lengths and kinds, so that arithmetic that serves one kind and spoils another is seen.
"""

_ORIGIN = ("model", "revision")
"""Fields that say where files came from; the hashes of the files decide, where there are any."""

_JOINED_LATER = {"backend": ("torch", "numpy"), "calibration_sha256": ("",)}
"""Fields that fingerprints once lacked, and the values that say no more than that did: vectors kept then are found."""

_OPTIONAL = {"features", *_JOINED_LATER}
"""Fields that have a value where a mapping lacks them."""

_KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "str | None": (str, type(None)),
    "int": (int,),
    "int | None": (int, type(None)),
    "bool": (bool,),
    "tuple[str, ...]": (list, tuple),
}
"""What a field may hold, by its annotation."""

_ARITHMETIC = ("backend", "precision", "calibration_sha256")
"""Fields that say how the same numbers are computed; how far apart results are is measured, not guessed."""


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
    backend: str = "numpy"
    """What computes: ``torch``, ``onnx``, ``openvino``; ``numpy`` for what needs none of them."""
    calibration_sha256: str = ""
    """Of the ranges that int8 arithmetic was calibrated to; empty for other formats."""
    features: tuple[str, ...] = ()
    """Other choices that decide vectors, each as one word or phrase."""

    @property
    def arithmetic(self) -> str:
        """How the vectors are computed, for people: ``onnx int8``."""
        return f"{self.backend} {self.precision}"

    @property
    def digest(self) -> str:
        """Hex SHA-256 over the canonical JSON of the fields that decide vectors."""
        decisive = self.to_mapping()
        for name, usual in _JOINED_LATER.items():
            if decisive[name] in usual:
                del decisive[name]
        if self.weights_sha256 or self.configuration_sha256:
            for name in _ORIGIN:
                del decisive[name]
        canonical = json.dumps(decisive, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode("ascii")).hexdigest()

    def differences(self, other: Fingerprint) -> list[str]:
        """What differs from the fingerprint stored in artifacts, one part of a sentence each.

        Where files came from is named only if no hash of them can decide. Backend, precision and calibration are
        no difference of this kind: the same model, computed otherwise, is judged by its vectors
        (:func:`~wotd.embeddings.verification.verify_embedder`).
        """
        hashed = bool(self.weights_sha256 and other.weights_sha256)
        passed_over = (*_ARITHMETIC, *_ORIGIN) if hashed else _ARITHMETIC
        names = [field.name for field in fields(self) if field.name not in passed_over]
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
        if not isinstance(data, Mapping):
            raise EmbeddingError(f"the embedding fingerprint is a {type(data).__name__}; expected a mapping.")
        names = {field.name for field in fields(cls)}
        missing, unknown = sorted(names - set(data) - _OPTIONAL), sorted(set(data) - names)
        if missing or unknown:
            raise EmbeddingError(
                f"the embedding fingerprint lacks {missing or 'nothing'} and has unknown fields {unknown or 'none'}; "
                "it was written by another version of wotd or damaged."
            )
        usual = {"backend": "torch"} if data.get("kind") == "sentence_transformers" else {}
        given = {**usual, **data, "features": data.get("features", ())}
        for name, value in given.items():
            if type(value) not in _KINDS[cls.__annotations__[name]]:
                raise EmbeddingError(f"the embedding fingerprint has {value!r} as its {_spoken(name)}; it is damaged.")
        return cls(**{**given, "features": tuple(given["features"])})


def _spoken(field: str) -> str:
    return field.removesuffix("_sha256").replace("_", " ")


def _shown(field: str, value: Any) -> str:
    if field.endswith("_sha256"):
        return f"sha256 {value[:12]}…" if value else "none"
    return repr(list(value) if isinstance(value, tuple) else value)
