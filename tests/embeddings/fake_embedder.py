"""An embedder whose vectors anyone can recompute: eight numbers read off the SHA-256 of the text."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from wotd.embeddings import PROBE_TEXTS, Embedder, Fingerprint

DIMENSION = 8


def expected(texts: Sequence[str]) -> np.ndarray:
    """The vectors of the texts, [N, 8], without any embedder."""
    digests = b"".join(hashlib.sha256(b"vector" + text.encode("utf-8")).digest() for text in texts)
    raw = np.frombuffer(digests, dtype=">u4").reshape(-1, DIMENSION).astype(np.float64) + 1
    return (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)


class FakeEmbedder(Embedder):
    """Counts what it is asked for."""

    def __init__(self, flavour: str = "plain", seconds_a_text: float = 0.0) -> None:
        self.flavour = flavour
        self.seconds_a_text = seconds_a_text
        self.seen: list[str] = []

    @property
    def dimension(self) -> int:
        return DIMENSION

    @property
    def fingerprint(self) -> Fingerprint:
        fixed: dict[str, Any] = {"truncate_dim": None, "max_tokens": None, "revision": None, "dimension": DIMENSION}
        hashes = {"weights_sha256": self.flavour, "tokenizer_sha256": "", "configuration_sha256": ""}
        words = {"kind": "fake", "model": "fake", "prompt": "", "pooling": "", "precision": "float32"}
        return Fingerprint(**fixed, **hashes, **words, normalized=True)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.seen += texts
        time.sleep(self.seconds_a_text * len(texts))
        return expected(texts)

    def probe(self) -> np.ndarray:
        return expected(PROBE_TEXTS)  # not counted as seen

    def settings(self) -> dict[str, Any]:
        return {}
