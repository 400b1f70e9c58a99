"""What a folder of the cache says of itself: the fingerprint of its vectors, and the probe vectors to tell it by.

A fingerprint names files and settings; that a library still computes what it computed when the first vectors
were kept, only vectors can tell.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wotd.embeddings.base import Embedder
from wotd.embeddings.fingerprint import Fingerprint
from wotd.embeddings.shard_file import damaged_files, shard_files, shard_rows, write_atomically
from wotd.embeddings.verification import measured, verify_embedder
from wotd.errors import EmbeddingError

_RECORD_FILE = "fingerprint.json"
_LARGEST_RECORD = 1 << 24


@dataclass(frozen=True)
class CacheFolder:
    """What the cache holds under one fingerprint."""

    path: Path
    fingerprint: Fingerprint | None
    """None if the record of it cannot be read; the vectors do not depend on that."""
    rows: int
    bytes: int
    """Of all files, those that were moved aside included."""
    damaged: tuple[Path, ...]
    """Files that were moved aside."""
    used: float
    """When a text was last looked up in it or added to it, in seconds since 1970; where it cannot be written, added."""

    @property
    def digest(self) -> str:
        """Of its fingerprint; where the record cannot be read, the beginning of it that names the folder."""
        return self.fingerprint.digest if self.fingerprint else self.path.name

    @classmethod
    def of(cls, path: Path) -> CacheFolder:
        """Read it off the folder."""
        size, used = 0, 0.0
        for file in path.iterdir():
            with contextlib.suppress(OSError):  # it has just gone
                about = file.stat()
                size, used = size + about.st_size, max(used, about.st_mtime)
        record = recorded(path)
        fingerprint = record.fingerprint if record else None
        return cls(path, fingerprint, sum(map(shard_rows, shard_files(path))), size, tuple(damaged_files(path)), used)


def mark_used(folder: Path) -> None:
    """Remember that the folder was looked into; its record bears the time."""
    with contextlib.suppress(OSError):  # it has none yet, or cannot be written
        os.utime(folder / _RECORD_FILE)


@dataclass(frozen=True)
class Record:
    """What a folder says of itself, or is to say if it does not yet."""

    folder: Path
    fingerprint: Fingerprint
    probe: list[Any]
    """Vectors of the probe texts, [P, D]; of versions before there were any, empty."""
    fidelity: dict[str, Any] | None
    """How near they are to those of float32 torch; None where that is what computed them."""

    def write(self) -> None:
        """Put it into the folder if none is there; only for who holds the folder's lock.

        Raises:
            OSError: if the disk does not take it.
        """
        known = recorded(self.folder)
        if known is None or not known.probe:
            about = self.fingerprint.to_mapping() | {"probe": self.probe, "fidelity": self.fidelity}
            content = (json.dumps(about, ensure_ascii=False) + "\n").encode("utf-8")
            write_atomically(self.folder / _RECORD_FILE, content)


def checked_record(folder: Path, embedder: Embedder) -> Record:
    """Compare an embedder with the one whose vectors the folder holds, or make a record of it as the first.

    Raises:
        EmbeddingError: if it does not give the probe vectors that were given before, strays too far from
            float32 torch to be trusted, or fails.
    """
    known = recorded(folder)
    if known is None or not known.probe:
        about = measured(embedder)
        return Record(folder, embedder.fingerprint, about["probe"], about["fidelity"])
    try:
        verify_embedder(embedder, known.fingerprint, known.probe)
    except EmbeddingError as error:
        raise EmbeddingError(
            f"the embedding cache {folder} holds vectors that are computed otherwise now: {error} "
            f"`wotd cache prune --fingerprint {folder.name}` forgets them; WOTD_CACHE can name another cache."
        ) from error
    return known


def recorded(folder: Path) -> Record | None:
    """What a folder says of itself; None if that cannot be read or is about another one."""
    path = folder / _RECORD_FILE
    try:
        if path.stat().st_size > _LARGEST_RECORD:
            return None
        about = json.loads(path.read_text(encoding="utf-8"))
        probe, fidelity = about.pop("probe", []), about.pop("fidelity", None)
        record = Record(folder, Fingerprint.from_mapping(about), probe, fidelity)
        if not record.fingerprint.digest.startswith(folder.name) or np.asarray(probe, np.float32).ndim > 2:
            return None
    except (OSError, ValueError, TypeError, AttributeError, EmbeddingError):
        return None
    return record
