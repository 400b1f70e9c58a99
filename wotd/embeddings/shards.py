"""The shards of one fingerprint as one store from the key of a text to its vector.

A shard's checksum is compared once before any vector of it is used. A table on disk covers most shards, so
that opening a large cache reads neither their keys nor their headers; what is newer is sorted in memory.
N keys that are looked for.
"""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wotd.embeddings.base import Vectors
from wotd.embeddings.key_table import KeyTable, Rows, index_files, prefixes, read_table
from wotd.embeddings.shard_file import (
    TEMPORARY,
    DamagedShardError,
    Keys,
    Shard,
    open_shard,
    set_aside,
    shard_files,
    verify_content,
    write_shard,
)

logger = logging.getLogger(__name__)

_FEWEST_ROWS_OF_A_TABLE, _SHARE_OF_A_TABLE = 65_536, 8


class ShardFolder:
    """The shards of one fingerprint, as one store from key to vector."""

    def __init__(self, path: Path, digest: str, dimension: int) -> None:
        """Look at a folder, which need not exist yet.

        Args:
            path: the folder.
            digest: of the fingerprint; shards made under another one are refused.
            dimension: width of the vectors; shards of another one are refused.
        """
        self.path = path
        self.compared = False
        """Whether the embedder that adds to it was held against the vectors that are there."""
        self._digest = digest
        self.dimension = dimension
        self._there: set[str] = set()
        self._opened: dict[str, Shard] = {}
        self._damaged: set[str] = set()
        self._on_disk, self._recent = KeyTable.empty(), KeyTable.empty()
        self._indexes: list[Path] = []

    def refresh(self) -> bool:
        """Take up the shards that appeared since the last look, forget those that are gone; whether there were any."""
        before = self._there
        in_memory = {name for name in self._there if name.startswith(TEMPORARY)}
        self._there = {path.name for path in shard_files(self.path)} - self._damaged | in_memory
        for name in set(self._opened) - self._there:
            del self._opened[name]
        if not set(self._recent.names) <= self._there:
            self._recent = KeyTable.empty()  # made anew below, without what is gone
        if len(self._unlisted()) and self._index_is_another():
            self._read_index()
        new = sorted(self._unlisted())
        opened = [(name, shard) for name in new if (shard := self._shard(name)) is not None]
        if opened:
            names, shards = zip(*opened, strict=True)
            self._recent = self._recent.joined(KeyTable.of_shards(names, [shard.keys for shard in shards]))
        return self._there != before

    def fill(self, vectors: Vectors | None, keys: Keys, rows: Rows | None = None) -> Rows:
        """Copy the vectors that are known to where they belong.

        Args:
            vectors: [N, D], written to; None: nothing is copied.
            keys: [N].
            rows: which of them to look for; None: all.

        Returns:
            The rows whose keys are not known.
        """
        wanted = np.arange(len(keys)) if rows is None else rows
        prefixes_N = prefixes(keys[wanted])
        order_N = np.argsort(prefixes_N)
        wanted, prefixes_N = wanted[order_N], prefixes_N[order_N]
        for table in (self._recent, self._on_disk):
            if len(wanted) and len(table):
                known_N = self._fill_from(table, vectors, keys, wanted, prefixes_N)
                wanted, prefixes_N = wanted[~known_N], prefixes_N[~known_N]
        return np.sort(wanted)

    def sound(self) -> Iterator[Shard]:
        """The shards, each compared with its checksum; damaged ones are moved aside and left out."""
        for name in sorted(self._there):
            shard = self._shard(name)
            if shard is not None and self._is_sound(shard):
                yield shard

    def add(self, keys: Keys, vectors: Vectors, *, durable: bool, temporary: str | None = None) -> None:
        """Put a new shard on disk, or only in memory where nothing can be stored.

        Raises:
            OSError: if the disk does not take it; nothing of it is visible then.
        """
        if durable:
            name = write_shard(self.path, keys, vectors, self._digest, temporary)
            shard = open_shard(self.path / name, self._digest, self.dimension)
            self._damaged.discard(name)  # the same texts give the same content, hence the same name
        else:
            name = f"{TEMPORARY}{uuid.uuid4().hex}"
            shard = Shard(name, keys.copy(), vectors)
        shard.verified = True
        self._opened[name] = shard
        self._there.add(name)
        self._recent = self._recent.joined(KeyTable.of_shards([name], [shard.keys]))

    def tidy(self) -> None:
        """Remove what killed writers left, and write a table where the one on disk leaves much out.

        Only for who holds the folder's lock. The table is written when an eighth of the rows are new, so that all
        the writing of it adds up to a small multiple of the last one.
        """
        for path in self.path.glob(f"{TEMPORARY}*"):
            with contextlib.suppress(OSError):
                path.unlink()
        if len(self._recent) < max(_FEWEST_ROWS_OF_A_TABLE, len(self._on_disk) // _SHARE_OF_A_TABLE):
            return
        try:
            index = self._on_disk.joined(self._recent).write(self.path, self._digest)
            self._on_disk, self._recent = read_table(index, self._digest), KeyTable.empty()
            self._indexes = [index]
        except (OSError, DamagedShardError) as error:  # it saves time; without it everything still works
            logger.warning("the cache's index of %s cannot be kept: %s", self.path, error)

    def _unlisted(self) -> set[str]:
        """Shards that no table covers."""
        return self._there - set(self._on_disk.names) - set(self._recent.names)

    def _index_is_another(self) -> bool:
        return self._indexes != index_files(self.path)

    def _read_index(self) -> None:
        """Take the table on disk, which may cover what was sorted in memory."""
        self._on_disk, self._recent, self._indexes = KeyTable.empty(), KeyTable.empty(), index_files(self.path)
        for path in self._indexes:
            try:
                self._on_disk = max(self._on_disk, read_table(path, self._digest), key=len)
            except FileNotFoundError:
                continue  # replaced meanwhile
            except DamagedShardError as damage:
                logger.warning("the cache's index %s is damaged (%s) and is made anew", path, damage)
                with contextlib.suppress(OSError):
                    path.unlink()

    def _fill_from(
        self, table: KeyTable, vectors: Vectors | None, keys: Keys, wanted: Rows, prefixes_N: NDArray[np.uint64]
    ) -> NDArray[np.bool_]:
        """Copy what a table knows; says which of the wanted rows those were, [N]."""

        def same(places: Rows, numbers: Rows) -> NDArray[np.bool_]:
            equal = np.zeros(len(places), np.bool_)
            for shard, at in self._by_shard(table, places):
                stored = table.rows_R[places[at]]
                within = stored < len(shard.keys)
                equal[at[within]] = shard.keys[stored[within]] == keys[wanted[numbers[at[within]]]]
            return equal

        places_N = table.places(prefixes_N, same)
        known_N = places_N >= 0
        sound_N = np.zeros(len(wanted), np.bool_)
        found = np.flatnonzero(known_N)
        for shard, at in self._by_shard(table, places_N[found]):
            if self._is_sound(shard):
                sound_N[found[at]] = True
                if vectors is not None:
                    vectors[wanted[found[at]]] = shard.vectors[table.rows_R[places_N[found[at]]]]
        return sound_N

    def _by_shard(self, table: KeyTable, places: Rows) -> Iterator[tuple[Shard, Rows]]:
        """The places grouped by the shard they lie in; those of shards that are gone are left out."""
        numbers = table.shards_R[places]
        order = np.argsort(numbers, kind="stable")
        starts = np.unique(numbers[order], return_index=True)[1]
        for at in np.split(order, starts[1:]) if len(order) else ():
            number = int(numbers[at[0]])
            shard = self._shard(table.names[number]) if number < len(table.names) else None
            if shard is not None:
                yield shard, at

    def _shard(self, name: str) -> Shard | None:
        """The shard of that name, opened; None if it is gone or damaged."""
        if name not in self._opened and name in self._there:
            try:
                self._opened[name] = open_shard(self.path / name, self._digest, self.dimension)
            except FileNotFoundError:  # another process has just moved it aside
                self._there.discard(name)
            except DamagedShardError as damage:
                self._set_aside(name, str(damage))
        return self._opened.get(name)

    def _is_sound(self, shard: Shard) -> bool:
        """Compare the checksum of a shard that was not compared yet."""
        if shard.verified:
            return True
        try:
            verify_content(self.path / shard.name)
        except FileNotFoundError:
            self._forget(shard.name)
        except DamagedShardError as damage:
            self._set_aside(shard.name, str(damage))
        else:
            shard.verified = True
        return shard.verified

    def _set_aside(self, name: str, damage: str) -> None:
        self._damaged.add(name)
        self._forget(name)
        set_aside(self.path / name, damage)

    def _forget(self, name: str) -> None:
        self._there.discard(name)
        self._opened.pop(name, None)
