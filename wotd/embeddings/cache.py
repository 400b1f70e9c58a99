"""Vectors on disk, found again by the text they belong to; no text is embedded twice under one fingerprint.

``<root>/embeddings/<first 16 digits of the fingerprint's digest>/`` holds shards: safetensors files
with ``keys`` (uint8 [n, 32], SHA-256 of the text as UTF-8) and ``vectors`` (float32 [n, D]). A shard
is named by the checksum of its content and appears by a rename, complete and on disk, or not at all;
there is no list of shards that could lie. Whoever embeds claims a shard's worth of texts first, so
that processes with the same texts share the work, and those with others do not wait for each other.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from wotd.embeddings import claims
from wotd.embeddings.base import Embedder, Vectors, checked_texts, sound_text
from wotd.embeddings.cache_record import CacheFolder, mark_used, recorded
from wotd.embeddings.computation import Computation
from wotd.embeddings.fingerprint import PROBE_TEXTS, Fingerprint
from wotd.embeddings.key_table import Rows, prefixes
from wotd.embeddings.location import cache_root
from wotd.embeddings.shard_file import Keys, set_aside_damaged
from wotd.embeddings.shards import ShardFolder
from wotd.embeddings.verification import described
from wotd.errors import EmbeddingError

logger = logging.getLogger(__name__)

_FEWEST_ROWS, _MOST_ROWS, _SHARDS_A_RUN = 256, 16_384, 64
_ROWS_OF_A_STREAM = 32_768


@dataclass(frozen=True)
class CachedEmbeddings:
    """Vectors of texts, and what it took to get them."""

    vectors: Vectors
    """float32 [N, D], in order of the texts."""
    computed: int
    """Distinct texts embedded by this call."""
    found: int
    """Distinct texts that were there already."""


class EmbeddingCache:
    """All vectors ever computed on this machine, by fingerprint and text; safe to share between processes."""

    def __init__(self, root: Path | str | None = None, shard_rows: int | None = None) -> None:
        """Open the cache; nothing is read or made before it is used.

        Args:
            root: its folder; None: ``$WOTD_CACHE``, else the user's cache folder.
            shard_rows: texts a shard; None: a 64th of what is missing, within 256 to 16,384.
        """
        if shard_rows is not None and shard_rows < 1:
            raise EmbeddingError(f"cache.shard_rows is {shard_rows}; expected at least 1.")
        self.root = cache_root(root)
        self._shard_rows = shard_rows
        self._folders: dict[str, ShardFolder] = {}
        self._lock = threading.RLock()

    def embed(
        self, embedder: Embedder, texts: Sequence[str], *, description: str = "embedding", total: int | None = None
    ) -> CachedEmbeddings:
        """Vectors of the texts in their order; only those not yet known are embedded, and kept.

        A run that is killed loses the shard it was working on, at most; the next one goes on from there.

        Args:
            embedder: asked for what is not known.
            texts: N of them.
            description: stands before the progress bar.
            total: of how many texts these are a part; shards are larger where there is more to come.

        Raises:
            EmbeddingError: if the embedder fails, gives vectors that are not finite or not those that the cache
                holds of the same model, or the disk is full.
        """
        keys = text_keys(texts)
        vectors = np.empty((len(keys), embedder.dimension), np.float32)
        with self._lock:
            folder = self._folder(embedder.fingerprint, embedder.dimension)
            missing = folder.fill(vectors, keys)
            if not len(missing):
                return CachedEmbeddings(vectors, 0, _distinct(keys))
            size = self._size_of_shards(missing, total)
            work = Computation(folder, embedder, checked_texts(texts), keys, vectors, missing, size)
            computed = work.run(description)
        return CachedEmbeddings(vectors, computed, _distinct(keys) - computed)

    def stream(
        self,
        embedder: Embedder,
        texts: Iterable[str],
        *,
        rows: int = _ROWS_OF_A_STREAM,
        description: str = "embedding",
        total: int | None = None,
    ) -> Iterator[Vectors]:
        """As :meth:`embed`, for texts that need not fit into memory, and with vectors that need not.

        Args:
            embedder: asked for what is not known.
            texts: read as they are needed.
            rows: texts at a time.
            description: stands before the progress bar.
            total: how many texts there are; None: unknown.

        Yields:
            Vectors of so many texts, in their order, float32 [rows, D]; the last ones may be fewer.

        Raises:
            EmbeddingError: likewise.
        """
        stream, done = iter(texts), 0
        while part := list(islice(stream, rows)):
            of = f" of {total:,}" if total else ""
            place = "" if total is not None and total <= rows else f" {done + 1:,} to {done + len(part):,}{of}"
            expected = total if total is not None else _SHARDS_A_RUN * 4096
            yield self.embed(embedder, part, description=f"{description}{place}", total=expected).vectors
            done += len(part)

    def described(self, embedder: Embedder) -> dict[str, Any]:
        """What artifacts keep of an embedder; its vectors of the probe texts as on record where it has embedded before.

        So a run whose texts are all kept loads no model, and says of its vectors what was true when they were made.

        Raises:
            EmbeddingError: if there is no record and its backend strays too far from float32 torch to be trusted.
        """
        known = recorded(self._folder(embedder.fingerprint, embedder.dimension).path)
        if known is None or np.shape(known.probe) != (len(PROBE_TEXTS), embedder.dimension):
            return described(embedder)
        return {
            "settings": embedder.settings(),
            "dimension": embedder.dimension,
            "fingerprint": embedder.fingerprint.to_mapping(),
            "probe": known.probe,
            "fidelity": known.fidelity,
        }

    def folders(self) -> list[CacheFolder]:
        """What the cache holds, by fingerprint."""
        return [CacheFolder.of(path) for path in self._paths()]

    def verify(self) -> list[Path]:
        """Compare every shard with its checksum; damaged ones are moved aside and returned by their old path."""
        damaged: list[Path] = []
        with self._lock:
            for path in self._paths():
                damaged += set_aside_damaged(path)
        return damaged

    def _paths(self) -> list[Path]:
        return sorted(path for path in (self.root / "embeddings").glob("[!.]*") if path.is_dir())

    def _size_of_shards(self, missing: Rows, total: int | None) -> int:
        if self._shard_rows is not None:
            return self._shard_rows
        return int(np.clip(-(-max(len(missing), total or 0) // _SHARDS_A_RUN), _FEWEST_ROWS, _MOST_ROWS))

    def _folder(self, fingerprint: Fingerprint, dimension: int) -> ShardFolder:
        digest = fingerprint.digest
        if digest not in self._folders:
            self._folders[digest] = ShardFolder(self.root / "embeddings" / digest[:16], digest, dimension)
            claims.clear(self._folders[digest].path)
        folder = self._folders[digest]
        folder.refresh()
        mark_used(folder.path)
        return folder


def text_keys(texts: Sequence[str]) -> Keys:
    """The SHA-256 of each text as UTF-8, S32 [N]; lone surrogates count as U+FFFD, as embedders see them.

    Raises:
        EmbeddingError: if texts is a single string, or an item is no string.
    """
    try:
        if isinstance(texts, str):
            raise TypeError
        digests = [sha256(text.encode()).digest() for text in texts]
    except UnicodeEncodeError:
        digests = [sha256(sound_text(text).encode()).digest() for text in texts]
    except (AttributeError, TypeError):
        digests = [sha256(text.encode()).digest() for text in checked_texts(texts)]  # says what is wrong
    return np.frombuffer(b"".join(digests), dtype="S32")


def _distinct(keys: Keys) -> int:
    """How many different keys there are; whole keys are sorted only where their beginnings meet."""
    beginnings = np.sort(prefixes(keys))
    return len(keys) if (beginnings[1:] != beginnings[:-1]).all() else len(np.unique(keys))
