"""What every embedder does: text in, vectors out, with what decides them on record."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wotd.embeddings.fingerprint import PROBE_TEXT, Fingerprint
from wotd.errors import EmbeddingError

Vectors = NDArray[np.float32]
"""float32 [N, D]; rows of an embedding model have length 1, those of features have not."""


class Embedder(ABC):
    """Turns texts into vectors of one space."""

    needs_fit: bool = False
    """Whether :meth:`fit` must see texts before anything can be embedded."""

    @property
    @abstractmethod
    def dimension(self) -> int:
        """Width of the vectors."""

    @property
    @abstractmethod
    def fingerprint(self) -> Fingerprint:
        """What decides the vectors."""

    @abstractmethod
    def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed texts in their order, whatever else is in the batch.

        Returns:
            float32 [N, D]; [0, D] for no texts. Rows have length 1 where the fingerprint says ``normalized``.

        Raises:
            EmbeddingError: if an item is no string, or the model is not available.
        """

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Plain data from which :func:`~wotd.embeddings.embedder.load_embedder` rebuilds this embedder."""

    def fit(self, texts: Sequence[str]) -> None:  # noqa: B027  only some embedders learn from texts
        """Learn from texts; does nothing unless ``needs_fit``."""

    def probe(self) -> Vectors:
        """The vector of a fixed sentence, float32 [D]."""
        probe: Vectors = self.embed([PROBE_TEXT])[0]
        return probe

    def save_state(self, folder: Path) -> list[str]:  # noqa: ARG002  most embedders learn nothing
        """Write what was learned into the folder and return the file names; none if nothing was."""
        return []


def verify_embedder(
    embedder: Embedder, fingerprint: Fingerprint, probe: Sequence[float] | Vectors, tolerance: float = 1e-4
) -> None:
    """Refuse an embedder whose vectors are not those the artifacts were made with.

    Args:
        embedder: what would be used.
        fingerprint: what the artifacts recorded.
        probe: vector of the fixed sentence, as the artifacts recorded it, [D].
        tolerance: largest difference of a number of the two probe vectors.

    Raises:
        EmbeddingError: one sentence that names what differs.
    """
    if differences := embedder.fingerprint.differences(fingerprint):
        raise EmbeddingError(
            f"the embedding model {embedder.fingerprint.model} is not as it was for the artifacts, which were made "
            f"with {fingerprint.model}: {'; '.join(differences)}."
        )
    here, there = embedder.probe(), np.asarray(probe, dtype=np.float32)
    if here.shape != there.shape:
        raise EmbeddingError(f"the probe vector has shape {here.shape} here, {there.shape} in the artifacts.")
    apart = float(np.abs(here - there).max())
    if not apart <= tolerance:
        raise EmbeddingError(
            f"the embedding model {fingerprint.model} has the files the artifacts name, but its probe vector is "
            f"off by {apart:.2g} (allowed is {tolerance:g}); another version of a library computes it differently."
        )


def checked_texts(texts: Sequence[str]) -> list[str]:
    """The texts as a list, with lone surrogates, which no tokenizer takes, replaced by U+FFFD.

    Raises:
        EmbeddingError: if texts is a single string, or an item is no string.
    """
    if isinstance(texts, str):
        raise EmbeddingError("texts is a single string; expected a list of strings.")
    checked = []
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise EmbeddingError(f"texts[{index}] is of type {type(text).__name__}; expected a string.")
        checked.append(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    return checked


def normalized(vectors: Vectors) -> Vectors:
    """Rows scaled to length 1; rows of zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / np.maximum(lengths, np.finfo(np.float32).tiny), dtype=np.float32)
