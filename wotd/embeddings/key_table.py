"""Where the vector of a text is: a table sorted by the first eight bytes of the text's key.

The rest of a key is not in the table; who looks up compares it in the shard itself, so that a table can
miss a text but never name the wrong vector. A table is derived from shards and can be made anew.

R rows, N keys that are looked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wotd.embeddings.shard_file import (
    DamagedShardError,
    Keys,
    header_of,
    mapped,
    named_by_content,
    verify_content,
    write_atomically,
)

Rows = NDArray[np.int64]

_KIND = "index"
_PARTS = {"prefixes": ("U64", np.uint64), "shards": ("U32", np.uint32), "rows": ("U32", np.uint32)}


@dataclass(frozen=True)
class KeyTable:
    """Rows of several shards, sorted by prefix."""

    names: tuple[str, ...]
    """Files of the shards."""
    prefixes_R: NDArray[np.uint64]
    """First eight bytes of the keys, ascending."""
    shards_R: NDArray[np.uint32]
    """Which of ``names`` holds the key."""
    rows_R: NDArray[np.uint32]
    """Which of its rows."""

    def __len__(self) -> int:
        """R."""
        return len(self.prefixes_R)

    @classmethod
    def empty(cls) -> KeyTable:
        """No rows."""
        return cls((), np.empty(0, np.uint64), np.empty(0, np.uint32), np.empty(0, np.uint32))

    @classmethod
    def of_shards(cls, names: Sequence[str], keys: Sequence[Keys]) -> KeyTable:
        """The table of some shards: their names and their keys."""
        if not names:
            return cls.empty()
        prefixes_R = np.concatenate([prefixes(part) for part in keys])
        lengths = [len(part) for part in keys]
        shards_R = np.repeat(np.arange(len(names), dtype=np.uint32), lengths)
        rows_R = np.concatenate([np.arange(length, dtype=np.uint32) for length in lengths])
        order_R = np.argsort(prefixes_R, kind="stable")
        return cls(tuple(names), prefixes_R[order_R], shards_R[order_R], rows_R[order_R])

    def joined(self, other: KeyTable) -> KeyTable:
        """Both tables as one; two sorted runs, which a stable sort merges in one pass."""
        if not len(other):
            return self
        prefixes_R = np.concatenate([self.prefixes_R, other.prefixes_R])
        order_R = np.argsort(prefixes_R, kind="stable")
        return KeyTable(
            (*self.names, *other.names),
            prefixes_R[order_R],
            np.concatenate([self.shards_R, other.shards_R + np.uint32(len(self.names))])[order_R],
            np.concatenate([self.rows_R, other.rows_R])[order_R],
        )

    def places(self, prefixes_N: NDArray[np.uint64], same: Callable[[Rows, Rows], NDArray[np.bool_]]) -> Rows:
        """Place of each key in this table, -1 where it is not, [N].

        Args:
            prefixes_N: of the keys, ascending: the search then walks through the table instead of jumping in it.
            same: says of places and as many numbers of keys which of them have the very same key.
        """
        places_N = np.full(len(prefixes_N), -1, np.int64)
        if not len(self):
            return places_N
        at_N = np.searchsorted(self.prefixes_R, prefixes_N)
        open_ = np.flatnonzero(at_N < len(self))
        while True:  # again only for different keys that begin with the same eight bytes
            open_ = open_[self.prefixes_R[at_N[open_]] == prefixes_N[open_]]
            if not len(open_):
                return places_N
            found = same(at_N[open_], open_)
            places_N[open_[found]] = at_N[open_[found]]
            open_ = open_[~found]
            at_N[open_] += 1
            open_ = open_[at_N[open_] < len(self)]

    def write(self, folder: Path, digest: str) -> Path:
        """Put the table on disk, and remove the tables it replaces; only for who holds the folder's lock.

        Raises:
            OSError: if the disk does not take it.
        """
        from safetensors.numpy import save

        tensors = {"prefixes": self.prefixes_R, "shards": self.shards_R, "rows": self.rows_R}
        content = save(
            {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()},
            metadata={"fingerprint": digest, "names": json.dumps(self.names)},
        )
        path = folder / named_by_content(_KIND, content)
        write_atomically(path, content)
        for old in index_files(folder):
            if old != path:
                old.unlink(missing_ok=True)
        return path


def index_files(folder: Path) -> list[Path]:
    """Tables on disk; one, but for a moment while it is replaced."""
    return sorted(folder.glob(f"{_KIND}-*.safetensors"))


def read_table(path: Path, digest: str) -> KeyTable:
    """Map a table.

    Raises:
        DamagedShardError: if it is not what its name says, or of another fingerprint.
        FileNotFoundError: if it is gone.
    """
    verify_content(path)
    header, start = header_of(path)
    try:
        names = tuple(json.loads(header["__metadata__"]["names"]))
        made_under = header["__metadata__"]["fingerprint"]
        arrays = [mapped(path, header, start, name, code, kind) for name, (code, kind) in _PARTS.items()]
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedShardError(f"its header lacks {error!r}") from error
    table = KeyTable(names, *arrays)
    if made_under != digest or not len(table.prefixes_R) == len(table.shards_R) == len(table.rows_R):
        raise DamagedShardError("it was made under another fingerprint or its columns differ in length")
    return table


def prefixes(keys: Keys) -> NDArray[np.uint64]:
    """The first eight bytes of each key as a number, in the order of the keys' bytes."""
    parts = np.ascontiguousarray(keys).view(np.uint8).reshape(-1, 32)[:, :8]
    return np.ascontiguousarray(parts).view(">u8").reshape(-1).astype(np.uint64)
