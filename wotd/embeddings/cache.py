"""Vectors on disk, found again by the text they belong to; no text is embedded twice under one fingerprint.

``<root>/embeddings/<first 16 digits of the fingerprint's digest>/`` holds shards: safetensors files
with ``keys`` (uint8 [n, 32], SHA-256 of the text as UTF-8) and ``vectors`` (float32 [n, D]). A shard
is named by the checksum of its content and appears by a rename, complete and on disk, or not at all;
there is no list of shards that could lie. Whoever embeds claims a shard's worth of texts first, so
that processes with the same texts share the work, and those with others do not wait for each other.
"""

from __future__ import annotations

import errno
import json
import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path

import numpy as np
from filelock import BaseFileLock, FileLock

from wotd.embeddings import claims
from wotd.embeddings.base import Embedder, Vectors, checked_texts, sound_text
from wotd.embeddings.fingerprint import Fingerprint
from wotd.embeddings.key_table import Rows, prefixes
from wotd.embeddings.location import cache_root
from wotd.embeddings.shard_file import Keys, set_aside_damaged, shard_files, shard_rows, write_atomically
from wotd.embeddings.shards import ShardFolder
from wotd.errors import EmbeddingError
from wotd.progress import Advance, progress

logger = logging.getLogger(__name__)

_LOCK_FILE = ".lock"
_FINGERPRINT_FILE = "fingerprint.json"
_FEWEST_ROWS, _MOST_ROWS, _SHARDS_A_RUN = 256, 16_384, 64
_ROWS_OF_A_STREAM = 32_768
_NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS}
_POLL_SECONDS = 1.0


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
            computing = _Computing(folder, embedder, checked_texts(texts), keys, self._size_of_shards(missing, total))
            computed = computing.run(missing, description)
            if len(lost := folder.fill(vectors, keys, missing)):
                raise EmbeddingError(
                    f"the embedding cache {folder.path} lost {len(lost)} vectors while they were written; run again."
                )
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

    def _size_of_shards(self, missing: Rows, total: int | None) -> int:
        if self._shard_rows is not None:
            return self._shard_rows
        return int(np.clip(-(-max(len(missing), total or 0) // _SHARDS_A_RUN), _FEWEST_ROWS, _MOST_ROWS))

    def _folder(self, fingerprint: Fingerprint, dimension: int) -> ShardFolder:
        digest = fingerprint.digest
        if digest not in self._folders:
            self._folders[digest] = ShardFolder(self.root / "embeddings" / digest[:16], digest, dimension)
        self._folders[digest].refresh()
        return self._folders[digest]


class _Computing:
    """One call's work: to embed what is missing, beside whoever else does."""

    def __init__(self, folder: ShardFolder, embedder: Embedder, texts: Sequence[str], keys: Keys, size: int) -> None:
        """Take up the work.

        Args:
            folder: to be added to.
            embedder: asked.
            texts: N of them.
            keys: of the texts, [N].
            size: texts a shard.
        """
        self._folder = folder
        self._embedder = embedder
        self._texts = texts
        self._keys = keys
        self._size = size
        self._computed = 0

    def run(self, missing: Rows, description: str) -> int:
        """Embed the missing rows, or wait for those who do; how many were embedded here."""
        rows = _longest_first(self._texts, missing[np.unique(self._keys[missing], return_index=True)[1]])
        durable, waited = self._prepare(), False
        with progress(description, len(rows), "texts") as advance:
            while len(rows):
                lock = _locked(self._folder.path) if durable else None
                try:
                    rows, theirs = self._look_again(rows, advance, lock)
                    mine = (
                        rows[~np.isin(self._keys[rows], np.concatenate([c.keys for c in theirs]))] if theirs else rows
                    )
                    if len(mine):
                        chunk = mine[: self._size]
                        self._embed(chunk, lock, len(rows))
                        rows = rows[~np.isin(rows, chunk)]
                        advance(len(chunk))
                        continue
                finally:
                    if lock is not None and lock.is_locked:
                        lock.release()
                if theirs:
                    if not waited:
                        logger.info(
                            "another process is embedding %d texts into %s; waiting", len(rows), self._folder.path
                        )
                    waited = True
                    theirs[0].wait(_POLL_SECONDS)
            if durable:
                with _locked(self._folder.path):
                    self._folder.tidy()
        return self._computed

    def _prepare(self) -> bool:
        """Make the folder, and compare the embedder with what it gave before; False where nothing can be stored."""
        path = self._folder.path
        try:
            path.mkdir(parents=True, exist_ok=True)
            with _locked(path):
                _record(path, self._embedder.fingerprint)
            return True
        except OSError as error:
            if error.errno not in _NOT_WRITABLE:
                raise EmbeddingError(
                    f"the embedding cache {path} cannot be used: {error.strerror or error}; "
                    "set WOTD_CACHE to another folder."
                ) from error
            logger.warning("the embedding cache %s is read-only: what is embedded now is not kept", path)
            return False

    def _look_again(self, rows: Rows, advance: Advance, lock: BaseFileLock | None) -> tuple[Rows, list[claims.Claim]]:
        """The rows that are still missing, and the claims of others.

        Claims first: what is published after they were read is then seen among the shards.
        """
        theirs = claims.living(self._folder.path) if lock is not None else []
        if self._folder.refresh():
            missing = self._folder.fill(None, self._keys, rows)
            advance(len(rows) - len(missing))
            rows = rows[np.isin(rows, missing)]  # which keeps their order
        return rows, theirs

    def _embed(self, chunk: Rows, lock: BaseFileLock | None, open_: int) -> None:
        """Claim a shard's worth of texts, embed and publish them."""
        keys, path = self._keys[chunk], self._folder.path
        try:
            with _claimed(path, keys, lock) as claim:
                vectors = _sound_vectors(self._embedder, [self._texts[row] for row in chunk])
                temporary = claim.temporary if claim else None
                self._folder.add(keys, vectors, durable=lock is not None, temporary=temporary)
        except OSError as error:
            kept, wanted = self._computed, self._computed + open_
            raise EmbeddingError(
                f"the embedding cache {path} cannot be written: {error.strerror or error}; {kept} of {wanted} texts "
                "are kept: make room, or set WOTD_CACHE to another folder, and run again."
            ) from error
        self._computed += len(chunk)


def _claimed(path: Path, keys: Keys, lock: BaseFileLock | None) -> AbstractContextManager[claims.Claim | None]:
    return nullcontext() if lock is None else claims.held(path, keys, lock)


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
    """The folder's lock, held; whoever has it gives it back in a moment.

    Raises:
        EmbeddingError: if the file system knows no locks.
        OSError: if it cannot be taken.
    """
    lock = FileLock(folder / _LOCK_FILE)
    try:
        lock.acquire()
    except NotImplementedError as error:
        raise EmbeddingError(
            f"the embedding cache {folder} lies on a file system without locks (flock); set WOTD_CACHE to a folder "
            "on another one."
        ) from error
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
