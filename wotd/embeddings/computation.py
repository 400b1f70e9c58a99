"""Embedding what a cache lacks, beside other processes that may lack the same. N texts."""

from __future__ import annotations

import errno
import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
from filelock import BaseFileLock

from wotd.embeddings import claims
from wotd.embeddings.base import Embedder, Vectors
from wotd.embeddings.cache_record import Record, checked_record, recorded
from wotd.embeddings.key_table import Rows
from wotd.embeddings.locks import locked
from wotd.embeddings.shard_file import Keys
from wotd.embeddings.shards import ShardFolder
from wotd.errors import EmbeddingError
from wotd.progress import Advance, progress

logger = logging.getLogger(__name__)

_NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_POLL_SECONDS = 1.0


class Computation:
    """One call's work: to embed what is missing, beside whoever else does."""

    def __init__(
        self,
        folder: ShardFolder,
        embedder: Embedder,
        texts: Sequence[str],
        keys: Keys,
        vectors: Vectors,
        missing: Rows,
        size: int,
    ) -> None:
        """Take up the work.

        Args:
            folder: to be added to.
            embedder: asked.
            texts: N of them.
            keys: of the texts, [N].
            vectors: of the texts, [N, D], written to as they come in: what happens to the folder then, is no loss.
            missing: rows of it that are to be written.
            size: texts a shard.
        """
        self._folder = folder
        self._embedder = embedder
        self._texts = texts
        self._keys = keys
        self._vectors = vectors
        self._missing = missing
        self._size = size
        self._computed = 0
        self._record: Record | None = None

    def run(self, description: str) -> int:
        """Embed the missing texts, or wait for those who do; how many were embedded here."""
        distinct = self._missing[np.unique(self._keys[self._missing], return_index=True)[1]]
        rows = _longest_first(self._texts, distinct)
        durable, waited = self._prepare(), False
        with progress(description, len(rows), "texts") as advance:
            while len(rows):
                lock = locked(self._folder.path) if durable else None
                try:
                    rows, theirs = self._look_again(rows, advance, lock)
                    chunk = self._unclaimed(rows, theirs)[: self._size]
                    if len(chunk):
                        self._embed(chunk, lock, len(rows))
                        rows = self._taken(rows, advance)
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
                with locked(self._folder.path):
                    if self._record is not None:
                        self._record.write()  # the folder may have been pruned meanwhile
                    self._folder.tidy()
        return self._computed

    def _unclaimed(self, rows: Rows, theirs: list[claims.Claim]) -> Rows:
        if not theirs:
            return rows
        return rows[~np.isin(self._keys[rows], np.concatenate([claim.keys for claim in theirs]))]

    def _prepare(self) -> bool:
        """Make the folder, and compare the embedder with what it gave before; False where nothing can be stored."""
        path = self._folder.path
        try:
            locked(path).release()
        except OSError as error:
            if error.errno not in _NOT_WRITABLE:
                raise self._unwritable(error) from error
            logger.warning("the embedding cache %s is read-only: what is embedded now is not kept", path)
            return False
        if not self._folder.compared or recorded(path) is None:
            record = checked_record(path, self._embedder)  # may load a model, for which nobody else has to wait
            try:
                with locked(path):
                    record.write()
            except OSError as error:
                raise self._unwritable(error) from error
            self._folder.compared, self._record = True, record
        return True

    def _look_again(self, rows: Rows, advance: Advance, lock: BaseFileLock | None) -> tuple[Rows, list[claims.Claim]]:
        """The rows that are still missing, and the claims of others.

        Claims first: what is published after they were read is then seen among the shards.
        """
        theirs = claims.living(self._folder.path) if lock is not None else []
        if self._folder.refresh():
            rows = self._taken(rows, advance)
        return rows, theirs

    def _taken(self, rows: Rows, advance: Advance) -> Rows:
        """Take what the folder has by now; gives the rows that are still missing, in their order."""
        self._missing = self._folder.fill(self._vectors, self._keys, self._missing)
        left = rows[np.isin(rows, self._missing)]
        advance(len(rows) - len(left))
        return left

    def _embed(self, chunk: Rows, lock: BaseFileLock | None, open_: int) -> None:
        """Claim a shard's worth of texts, embed and publish them."""
        keys, path = self._keys[chunk], self._folder.path
        try:
            with _claimed(path, keys, lock) as claim:
                vectors = _sound_vectors(self._embedder, [self._texts[row] for row in chunk])
                temporary = claim.temporary if claim else None
                self._folder.add(keys, vectors, durable=lock is not None, temporary=temporary)
        except OSError as error:
            raise self._unwritable(error, open_) from error
        self._computed += len(chunk)

    def _unwritable(self, error: OSError, open_: int = 0) -> EmbeddingError:
        kept = f"{self._computed} of {self._computed + open_} texts are kept: " if open_ else ""
        room = "make room, or " if error.errno in _FULL else ""
        again = ", and run again" if open_ else ""
        return EmbeddingError(
            f"the embedding cache {self._folder.path} cannot be written: {error.strerror or error}; {kept}"
            f"{room}set WOTD_CACHE to another folder{again}."
        )


def _claimed(path: Path, keys: Keys, lock: BaseFileLock | None) -> AbstractContextManager[claims.Claim | None]:
    return nullcontext() if lock is None else claims.held(path, keys, lock)


def _longest_first(texts: Sequence[str], rows: Rows) -> Rows:
    """Texts of like length side by side, so that little is padded; the slowest first, so that time only improves."""
    lengths = np.fromiter((len(texts[row]) for row in rows), np.int64, len(rows))
    return rows[np.argsort(-lengths, kind="stable")]


def _sound_vectors(embedder: Embedder, texts: list[str]) -> Vectors:
    try:
        vectors = embedder.embed(texts)
    except OSError as error:  # of the model's files; not to be taken for the cache's
        raise EmbeddingError(f"the embedder failed: {error}") from error
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
