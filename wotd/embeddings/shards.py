"""The shards of one fingerprint as one table from the key of a text to its vector.

A shard's checksum is compared once before any vector of it is used. R rows over all shards.
"""

from __future__ import annotations

import contextlib
import uuid
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wotd.embeddings.base import Vectors
from wotd.embeddings.shard_file import (
    TEMPORARY,
    DamagedShardError,
    Keys,
    Shard,
    open_shard,
    set_aside,
    shard_files,
    verify_shard,
    write_shard,
)

Rows = NDArray[np.int64]


class ShardFolder:
    """The shards of one fingerprint, as one table from key to vector."""

    def __init__(self, path: Path, digest: str, dimension: int) -> None:
        """Look at a folder, which need not exist yet.

        Args:
            path: the folder.
            digest: of the fingerprint; shards made under another one are refused.
            dimension: width of the vectors; shards of another one are refused.
        """
        self.path = path
        self._digest = digest
        self._dimension = dimension
        self._shards: dict[str, Shard] = {}
        self._damaged: set[str] = set()
        self._prefixes_R = np.empty(0, np.uint64)
        self._shard_of_R = np.empty(0, np.int32)
        self._row_of_R = np.empty(0, np.int64)
        self._indexed: list[Shard] = []
        self._stale = False

    def refresh(self) -> None:
        """Take up the shards that appeared since the last look, forget those that are gone."""
        there = {path.name for path in shard_files(self.path)} - self._damaged
        gone = [name for name, shard in self._shards.items() if name not in there and not name.startswith(TEMPORARY)]
        for name in gone:
            del self._shards[name]
        new = sorted(there - set(self._shards))
        for name in new:
            try:
                self._shards[name] = open_shard(self.path / name, self._digest, self._dimension)
            except FileNotFoundError:
                continue  # another process has just moved it aside
            except DamagedShardError as damage:
                self._set_aside(name, str(damage))
        self._stale = self._stale or bool(new or gone)

    def fill(self, vectors: Vectors, keys: Keys, rows: Rows | None = None) -> Rows:
        """Copy the vectors that are known to where they belong.

        Args:
            vectors: [N, D], written to.
            keys: [N].
            rows: which of them to look for; None: all.

        Returns:
            The rows whose keys are not known.
        """
        wanted = np.arange(len(keys)) if rows is None else rows
        while True:
            if self._stale:
                self._index()
            places = self._places(keys[wanted])
            found = places >= 0
            shards = self._shard_of_R[places[found]]
            if self._all_sound(np.unique(shards)):
                break
        targets, sources = wanted[found], self._row_of_R[places[found]]
        for number in np.unique(shards):
            of_shard = shards == number
            vectors[targets[of_shard]] = self._indexed[number].vectors[sources[of_shard]]
        return wanted[~found]

    def add(self, keys: Keys, vectors: Vectors, *, durable: bool) -> None:
        """Put a new shard on disk, or only in memory where nothing can be stored.

        Raises:
            OSError: if the disk does not take it; nothing of it is visible then.
        """
        if durable:
            name = write_shard(self.path, keys, vectors, self._digest)
            shard = open_shard(self.path / name, self._digest, self._dimension)
            shard.verified = True
            self._damaged.discard(name)  # the same texts give the same content, hence the same name
        else:
            name = f"{TEMPORARY}{uuid.uuid4().hex}"
            shard = Shard(name, keys.copy(), vectors, verified=True)
        self._shards[name] = shard
        self._stale = True

    def remove_leftovers(self) -> None:
        """Delete what killed writers left half-written; only for who holds the lock."""
        for path in self.path.glob(f"{TEMPORARY}*"):
            with contextlib.suppress(OSError):
                path.unlink()

    def _index(self) -> None:
        """Sort the first eight bytes of all keys; the rest is compared when looking up."""
        self._stale = False
        self._indexed = list(self._shards.values())
        prefixes = [_prefixes(shard.keys) for shard in self._indexed]
        lengths = [len(part) for part in prefixes]
        joined = np.concatenate(prefixes) if prefixes else np.empty(0, np.uint64)
        order = np.argsort(joined, kind="stable")
        self._prefixes_R = joined[order]
        self._shard_of_R = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)[order]
        rows = [np.arange(length) for length in lengths]
        self._row_of_R = (np.concatenate(rows) if rows else np.empty(0, np.int64))[order]

    def _places(self, keys: Keys) -> Rows:
        """Place of each key in the sorted table, -1 where it is not."""
        places = np.full(len(keys), -1, np.int64)
        if not len(self._prefixes_R):
            return places
        prefixes = _prefixes(keys)
        at = np.searchsorted(self._prefixes_R, prefixes)
        open_ = np.arange(len(keys))
        while True:  # again only for different keys that begin with the same eight bytes
            open_ = open_[at[open_] < len(self._prefixes_R)]
            open_ = open_[self._prefixes_R[at[open_]] == prefixes[open_]]
            if not len(open_):
                return places
            same = self._keys_at(at[open_]) == keys[open_]
            places[open_[same]] = at[open_[same]]
            open_ = open_[~same]
            at[open_] += 1

    def _keys_at(self, places: Rows) -> Keys:
        keys = np.empty(len(places), "S32")
        shards, rows = self._shard_of_R[places], self._row_of_R[places]
        for number in np.unique(shards):
            of_shard = shards == number
            keys[of_shard] = self._indexed[number].keys[rows[of_shard]]
        return keys

    def _all_sound(self, numbers: NDArray[np.int_]) -> bool:
        """Check the shards that were not checked yet; False if the table changed because one is damaged."""
        sound = True
        for shard in [self._indexed[number] for number in numbers]:
            if shard.verified:
                continue
            try:
                verify_shard(self.path / shard.name)
                shard.verified = True
            except FileNotFoundError:
                sound = False
                del self._shards[shard.name]
            except DamagedShardError as damage:
                sound = False
                del self._shards[shard.name]
                self._set_aside(shard.name, str(damage))
        self._stale = not sound
        return sound

    def _set_aside(self, name: str, damage: str) -> None:
        self._damaged.add(name)
        set_aside(self.path / name, damage)


def _prefixes(keys: Keys) -> NDArray[np.uint64]:
    """The first eight bytes of each key as a number."""
    parts = np.ascontiguousarray(keys).view(np.uint8).reshape(-1, 32)[:, :8]
    return np.ascontiguousarray(parts).view(">u8").reshape(-1).astype(np.uint64)
