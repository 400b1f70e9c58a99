"""Vectors on disk, found again by the text they belong to; no text is embedded twice under one fingerprint.

``<root>/embeddings/<first 16 digits of the fingerprint's digest>/`` holds shards: safetensors files
with ``keys`` (uint8 [n, 32], SHA-256 of the text as UTF-8) and ``vectors`` (float32 [n, D]). A shard
is named by the SHA-256 of its content and appears by a rename, complete and on disk, or not at all;
there is no list of shards that could lie. Whoever embeds what is missing holds the folder's lock,
which the system frees if the process dies, and looks again once it has it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import BaseFileLock, FileLock, Timeout

from wotd.embeddings.base import Embedder, Vectors, checked_texts
from wotd.embeddings.fingerprint import Fingerprint
from wotd.embeddings.location import cache_root
from wotd.embeddings.shard_file import Keys, set_aside_damaged, shard_files, shard_rows, write_atomically
from wotd.embeddings.shards import Rows, ShardFolder
from wotd.errors import EmbeddingError
from wotd.progress import progress

logger = logging.getLogger(__name__)

_LOCK_FILE = ".lock"
_FINGERPRINT_FILE = "fingerprint.json"
_FEWEST_ROWS, _MOST_ROWS, _SHARDS_A_RUN = 256, 16_384, 64
_NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS}


@dataclass(frozen=True)
class CachedEmbeddings:
    """Vectors of texts, and what it took to get them."""

    vectors: Vectors
    """float32 [N, D], in order of the texts."""
    computed: int
    """Distinct texts embedded by this call."""
    found: int
    """Distinct texts that were there already."""


@dataclass(frozen=True)
class CacheFolder:
    """What the cache holds under one fingerprint."""

    path: Path
    fingerprint: Fingerprint | None
    """None if the record of it cannot be read; the vectors do not depend on that."""
    rows: int
    bytes: int


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

    def embed(self, embedder: Embedder, texts: Sequence[str], *, description: str = "embedding") -> CachedEmbeddings:
        """Vectors of the texts in their order; only those not yet known are embedded, and kept.

        A run that is killed loses the shard it was working on, at most; the next one goes on from there.

        Raises:
            EmbeddingError: if the embedder fails, gives vectors that are not finite, or the disk is full.
        """
        checked = checked_texts(texts)
        keys = text_keys(checked)
        vectors = np.empty((len(keys), embedder.dimension), np.float32)
        computed = 0
        with self._lock:
            folder = self._folder(embedder.fingerprint, embedder.dimension)
            missing = folder.fill(vectors, keys)
            if len(missing):
                with self._writing(folder, embedder.fingerprint) as durable:
                    missing = folder.fill(vectors, keys, missing)
                    rows = _longest_first(checked, missing[np.unique(keys[missing], return_index=True)[1]])
                    self._compute(embedder, checked, keys, rows, folder, durable, description)
                    folder.fill(vectors, keys, missing)
                    computed = len(rows)
        return CachedEmbeddings(vectors, computed, len(np.unique(keys)) - computed)

    def folders(self) -> list[CacheFolder]:
        """What the cache holds, by fingerprint."""
        return [_summary(path) for path in self._paths()]

    def verify(self) -> list[Path]:
        """Compare every shard with its checksum; damaged ones are moved aside and returned by their old path."""
        damaged: list[Path] = []
        with self._lock:
            for path in self._paths():
                damaged += set_aside_damaged(path)
        return damaged

    def _paths(self) -> list[Path]:
        return sorted(path for path in (self.root / "embeddings").glob("*") if path.is_dir())

    def _compute(
        self,
        embedder: Embedder,
        texts: Sequence[str],
        keys: Keys,
        rows: Rows,
        folder: ShardFolder,
        durable: bool,
        description: str,
    ) -> None:
        """Embed the rows, a shard at a time."""
        if not len(rows):
            return
        size = self._shard_rows or int(np.clip(-(-len(rows) // _SHARDS_A_RUN), _FEWEST_ROWS, _MOST_ROWS))
        with progress(description, len(rows), "texts") as advance:
            for start in range(0, len(rows), size):
                chunk = rows[start : start + size]
                vectors = _sound_vectors(embedder, [texts[row] for row in chunk])
                try:
                    folder.add(keys[chunk], vectors, durable=durable)
                except OSError as error:
                    raise EmbeddingError(
                        f"the embedding cache {folder.path} cannot be written: {error.strerror or error}; {start} of "
                        f"{len(rows)} texts are kept: make room, or set WOTD_CACHE to another folder, and run again."
                    ) from error
                advance(len(chunk))

    def _folder(self, fingerprint: Fingerprint, dimension: int) -> ShardFolder:
        digest = fingerprint.digest
        if digest not in self._folders:
            self._folders[digest] = ShardFolder(self.root / "embeddings" / digest[:16], digest, dimension)
        self._folders[digest].refresh()
        return self._folders[digest]

    @contextmanager
    def _writing(self, folder: ShardFolder, fingerprint: Fingerprint) -> Iterator[bool]:
        """Hold the folder's lock, having seen all that was written until then; False if it is read-only."""
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
            lock = _locked(folder.path)
        except OSError as error:
            if error.errno not in _NOT_WRITABLE:
                raise EmbeddingError(
                    f"the embedding cache {folder.path} cannot be used: {error.strerror or error}; "
                    "set WOTD_CACHE to another folder."
                ) from error
            logger.warning("the embedding cache %s is read-only: what is embedded now is not kept", folder.path)
            yield False
            return
        try:
            folder.remove_leftovers()
            _record(folder.path, fingerprint)
            folder.refresh()
            yield True
        finally:
            lock.release()


def text_keys(texts: Sequence[str]) -> Keys:
    """The SHA-256 of each text as UTF-8, S32 [N]."""
    return np.frombuffer(b"".join(hashlib.sha256(text.encode("utf-8")).digest() for text in texts), dtype="S32")


def _longest_first(texts: Sequence[str], rows: Rows) -> Rows:
    """Texts of like length side by side, so that little is padded; the slowest first, so that time only improves."""
    lengths = np.fromiter((len(texts[row]) for row in rows), np.int64, len(rows))
    return rows[np.argsort(-lengths, kind="stable")]


def _sound_vectors(embedder: Embedder, texts: list[str]) -> Vectors:
    vectors = embedder.embed(texts)
    expected = (len(texts), embedder.dimension)
    if vectors.shape != expected:
        raise EmbeddingError(f"the embedder gave vectors of shape {vectors.shape}; expected {expected}.")
    sound = np.isfinite(vectors).all(axis=1)
    if not sound.all():
        example = texts[int(np.argmin(sound))][:60]
        raise EmbeddingError(
            f"the embedder gave {int((~sound).sum())} of {len(texts)} vectors with numbers that are not finite, "
            f"for instance for {example!r}; nothing of them is kept."
        )
    return vectors.astype(np.float32, copy=False)


def _locked(folder: Path) -> BaseFileLock:
    lock = FileLock(folder / _LOCK_FILE)
    try:
        lock.acquire(timeout=1)
    except Timeout:
        logger.info("another process is embedding into %s; waiting for it", folder)
        lock.acquire()
    return lock


def _record(folder: Path, fingerprint: Fingerprint) -> None:
    """Say for people what the folder is about."""
    if _recorded(folder) is None:
        text = json.dumps(fingerprint.to_mapping(), indent=2, ensure_ascii=False)
        write_atomically(folder / _FINGERPRINT_FILE, (text + "\n").encode("utf-8"))


def _recorded(folder: Path) -> Fingerprint | None:
    """The fingerprint a folder names, if it is readable and is the folder's."""
    try:
        recorded = Fingerprint.from_mapping(json.loads((folder / _FINGERPRINT_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, EmbeddingError):
        return None
    return recorded if recorded.digest.startswith(folder.name) else None


def _summary(path: Path) -> CacheFolder:
    files = shard_files(path)
    size = sum(file.stat().st_size for file in files)
    return CacheFolder(path, _recorded(path), sum(map(shard_rows, files)), size)
