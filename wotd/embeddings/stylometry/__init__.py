"""Stylometry: how a text is written, computed from the text alone; no model, nothing learned, nothing downloaded.

Which small words it leans on, its marks, how long its words and sentences are, what it repeats, its
endings and capitals. Embedding models are trained to overlook all that, and style, complexity and era
live in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from wotd.embeddings.base import Embedder, Vectors, checked_texts
from wotd.embeddings.fingerprint import Fingerprint
from wotd.embeddings.stylometry.passages import FEATURES, measure
from wotd.errors import EmbeddingError

__all__ = ["FEATURES", "VERSION", "Stylometry"]

VERSION = 1
"""Of the features; a change of any of their values is another version."""


class Stylometry(Embedder):
    """Features of style as an embedder: cached, fingerprinted and verified like vectors of a model.

    Unlike those its rows are raw shares and means, not of length 1; what learns from them brings them
    to one scale. White space, and whether quotes, apostrophes and dashes are typographic, do not count.
    """

    def __init__(self, version: int | None = VERSION) -> None:
        """Ask for a version of the features; there is one.

        Raises:
            EmbeddingError: if it is another version than this wotd computes.
        """
        if version != VERSION:
            raise EmbeddingError(f"features.version is {version}; this wotd computes version {VERSION} of stylometry.")

    @property
    def dimension(self) -> int:
        """F, how many features there are."""
        return len(FEATURES)

    @property
    def fingerprint(self) -> Fingerprint:
        """The version and the names of the features."""
        return Fingerprint(
            kind="stylometry",
            model="stylometry",
            revision=None,
            weights_sha256="",
            tokenizer_sha256="",
            configuration_sha256=hashlib.sha256(json.dumps(FEATURES).encode("ascii")).hexdigest(),
            prompt="",
            pooling="shares and means",
            max_tokens=None,
            truncate_dim=None,
            normalized=False,
            precision="float32",
            dimension=self.dimension,
            features=(f"version {VERSION}",),
        )

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Features of texts in order, float32 N×F, always finite; of a text without words and marks all zeros."""
        return measure(checked_texts(texts))

    def settings(self) -> dict[str, Any]:
        """The version; there is nothing else to choose."""
        return {"kind": "stylometry", "version": VERSION}
