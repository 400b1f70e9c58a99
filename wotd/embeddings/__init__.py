"""Text to vectors: the models known, what decides their vectors, and the cache that never embeds a text twice.

Names are loaded when first used, so importing this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wotd.embeddings.base import Embedder
    from wotd.embeddings.cache import CachedEmbeddings, EmbeddingCache
    from wotd.embeddings.embedder import SentenceTransformerEmbedder, load_embedder
    from wotd.embeddings.fingerprint import PROBE_TEXTS, Fingerprint
    from wotd.embeddings.lsa import LSAEmbedder
    from wotd.embeddings.registry import MODEL_DIMENSIONS, MODELS, EmbeddingModel, find_model
    from wotd.embeddings.stylometry import Stylometry
    from wotd.embeddings.verification import Fidelity, verify_embedder
    from wotd.embeddings.views import TextView

_HOMES = {
    "CachedEmbeddings": "cache",
    "EmbeddingCache": "cache",
    "Embedder": "base",
    "SentenceTransformerEmbedder": "embedder",
    "load_embedder": "embedder",
    "verify_embedder": "verification",
    "Fidelity": "verification",
    "PROBE_TEXTS": "fingerprint",
    "Fingerprint": "fingerprint",
    "LSAEmbedder": "lsa",
    "MODEL_DIMENSIONS": "registry",
    "MODELS": "registry",
    "EmbeddingModel": "registry",
    "find_model": "registry",
    "Stylometry": "stylometry",
    "TextView": "views",
}

__all__ = [
    "MODELS",
    "MODEL_DIMENSIONS",
    "PROBE_TEXTS",
    "CachedEmbeddings",
    "Embedder",
    "EmbeddingCache",
    "EmbeddingModel",
    "Fidelity",
    "Fingerprint",
    "LSAEmbedder",
    "SentenceTransformerEmbedder",
    "Stylometry",
    "TextView",
    "find_model",
    "load_embedder",
    "verify_embedder",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
