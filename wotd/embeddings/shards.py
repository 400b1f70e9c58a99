"""A folder of shards: immutable safetensors files that hold vectors and the keys to find them by.

A shard's name is the SHA-256 of its content, so its checksum cannot go stale; it is compared once
before any vector of the shard is used. R rows over all shards, n rows of one, D embedding.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Keys = NDArray[np.bytes_]
"""S32 [n]: the SHA-256 of texts."""
Rows = NDArray[np.int64]

logger = logging.getLogger(__name__)

_PREFIX, _SUFFIX, _TEMPORARY, _CORRUPT = "shard-", ".safetensors", ".tmp-", ".corrupt"


class DamagedShardError(Exception):
    """The file is not what its name, its header or its folder says."""


@dataclass
class Shard:
    """Keys and vectors of one file, mapped; or of no file, where nothing can be stored."""

    name: str
    keys: Keys
    vectors: Vectors
    verified: bool = False


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

    @property
    def rows(self) -> int:
        """Vectors in all shards."""
        return sum(len(shard.keys) for shard in self._shards.values())

    def refresh(self) -> None:
        """Take up the shards that appeared since the last look, forget those that are gone."""
        there = {path.name for path in shard_files(self.path)} - self._damaged
        gone = [name for name, shard in self._shards.items() if name not in there and self._is_file(shard)]
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
        if new or gone:
            self._index()

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
        else:
            name = f"{_TEMPORARY}{uuid.uuid4().hex}"
            shard = Shard(name, keys.copy(), vectors, verified=True)
        self._shards[name] = shard
        self._index()

    def verify(self) -> list[str]:
        """Compare the checksum of every shard; damaged ones are moved aside and named."""
        self.refresh()
        before = set(self._damaged)
        self._all_sound(np.arange(len(self._indexed)))
        return sorted(self._damaged - before)

    def remove_leftovers(self) -> None:
        """Delete what killed writers left half-written; only for who holds the lock."""
        for path in self.path.glob(f"{_TEMPORARY}*"):
            with contextlib.suppress(OSError):
                path.unlink()

    def _index(self) -> None:
        """Sort the first eight bytes of all keys; the rest is compared when looking up."""
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
        if not sound:
            self._index()
        return sound

    def _set_aside(self, name: str, damage: str) -> None:
        self._damaged.add(name)
        path = self.path / name
        logger.warning("the cache's shard %s is damaged (%s); its texts will be embedded again", path, damage)
        with contextlib.suppress(OSError):  # another process did it, or the cache is read-only
            path.rename(path.with_name(path.name + _CORRUPT))

    @staticmethod
    def _is_file(shard: Shard) -> bool:
        return shard.name.startswith(_PREFIX)


def shard_files(folder: Path) -> list[Path]:
    """The shards in a folder, sorted; none if there is no folder."""
    return sorted(folder.glob(f"{_PREFIX}*{_SUFFIX}")) if folder.is_dir() else []


def write_shard(folder: Path, keys: Keys, vectors: Vectors, digest: str) -> str:
    """Write one shard, durably and all at once; returns its name."""
    from safetensors.numpy import save

    content = save(
        {"keys": keys.view(np.uint8).reshape(-1, 32), "vectors": np.ascontiguousarray(vectors, np.float32)},
        metadata={"fingerprint": digest},
    )
    name = f"{_PREFIX}{hashlib.sha256(content).hexdigest()}{_SUFFIX}"
    write_atomically(folder / name, content)
    return name


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file so that it is there whole, or as it was before, even if the machine stops."""
    temporary = path.with_name(f"{_TEMPORARY}{os.getpid()}-{uuid.uuid4().hex}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    if os.name == "posix":  # elsewhere a folder cannot be opened to flush it
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def open_shard(path: Path, digest: str, dimension: int) -> Shard:
    """Map a shard; its header is checked, its content not yet.

    Raises:
        DamagedShardError: if it is no shard of this fingerprint and dimension.
        FileNotFoundError: if it is gone.
    """
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 0 < length <= size - 8:
                raise DamagedShardError("its header is cut off")
            header = json.loads(file.read(length))
        n = header["keys"]["shape"][0]
        begin = {name: 8 + length + header[name]["data_offsets"][0] for name in ("keys", "vectors")}
        end = 8 + length + max(header[name]["data_offsets"][1] for name in begin)
        shapes = header["keys"]["shape"], header["vectors"]["shape"]
        types = header["keys"]["dtype"], header["vectors"]["dtype"]
        made_under = header["__metadata__"]["fingerprint"]
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise DamagedShardError(f"its header cannot be read: {error!r}") from error
    if shapes != ([n, 32], [n, dimension]) or types != ("U8", "F32") or end != size or n < 1:
        raise DamagedShardError(f"it holds {shapes} in {size} bytes; expected rows of 32 and of {dimension}")
    if made_under != digest:
        raise DamagedShardError("it was made under another fingerprint")
    keys = np.memmap(path, "S32", "r", begin["keys"], (n,))
    vectors = np.memmap(path, np.float32, "r", begin["vectors"], (n, dimension))
    return Shard(path.name, keys, vectors)


def verify_shard(path: Path) -> None:
    """Compare the content of a shard with the checksum in its name.

    Raises:
        DamagedShardError: if they differ or the file cannot be read.
        FileNotFoundError: if it is gone.
    """
    try:
        with path.open("rb") as file:
            checksum = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DamagedShardError(str(error)) from error
    if path.name != f"{_PREFIX}{checksum}{_SUFFIX}":
        raise DamagedShardError("its content does not have the checksum in its name")


def _prefixes(keys: Keys) -> NDArray[np.uint64]:
    """The first eight bytes of each key as a number."""
    parts = np.ascontiguousarray(keys).view(np.uint8).reshape(-1, 32)[:, :8]
    return np.ascontiguousarray(parts).view(">u8").reshape(-1).astype(np.uint64)
