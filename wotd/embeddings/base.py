"""What every embedder does: text in, vectors out, with what decides them on record."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wotd.embeddings.fingerprint import PROBE_TEXTS, Fingerprint
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
        """The vectors of the probe texts, float32 [P, D]."""
        return self.embed(PROBE_TEXTS)

    def reference(self) -> Embedder | None:
        """The same model computed by float32 torch, to measure this one's fidelity by; None if this is it."""
        return None

    def close(self) -> None:  # noqa: B027  only some embedders hold processes
        """Let go of processes and memory; it can be used again and takes them up anew."""

    def save_state(self, folder: Path) -> list[str]:  # noqa: ARG002  most embedders learn nothing
        """Write what was learned into the folder and return the file names; none if nothing was."""
        return []


def checked_texts(texts: Sequence[str]) -> list[str]:
    """The texts as a list, with lone surrogates, which no tokenizer takes, replaced by U+FFFD.

    Raises:
        EmbeddingError: if texts is a single string, or an item is no string.
    """
    if isinstance(texts, str):
        raise EmbeddingError("texts is a single string; expected a list of strings.")
    checked = list(texts)
    for index, text in enumerate(checked):
        if not isinstance(text, str):
            raise EmbeddingError(f"texts[{index}] is of type {type(text).__name__}; expected a string.")
        if not text.isascii():
            checked[index] = sound_text(text)
    return checked


def sound_text(text: str) -> str:
    """The text, with lone surrogates replaced by U+FFFD."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def normalized(vectors: Vectors) -> Vectors:
    """Rows scaled to length 1; rows of zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / np.maximum(lengths, np.finfo(np.float32).tiny), dtype=np.float32)
