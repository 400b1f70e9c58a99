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
from wotd.embeddings.verification import verify_embedder
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
        return cls(
            path, recorded(path)[0], sum(map(shard_rows, shard_files(path))), size, tuple(damaged_files(path)), used
        )


def mark_used(folder: Path) -> None:
    """Remember that the folder was looked into; its record bears the time."""
    with contextlib.suppress(OSError):  # it has none yet, or cannot be written
        os.utime(folder / _RECORD_FILE)


@dataclass(frozen=True)
class Record:
    """What a folder is to say of itself, if it does not say it yet."""

    folder: Path
    content: bytes | None
    """None: it is there."""

    def write(self) -> None:
        """Put it into the folder; only for who holds the folder's lock.

        Raises:
            OSError: if the disk does not take it.
        """
        if self.content is not None:
            write_atomically(self.folder / _RECORD_FILE, self.content)


def checked_record(folder: Path, embedder: Embedder) -> Record:
    """Compare an embedder with the one whose vectors the folder holds, or make a record of it as the first.

    Raises:
        EmbeddingError: if it does not give the probe vectors that were given before, or fails.
    """
    fingerprint, probe = recorded(folder)
    if fingerprint is not None and probe:
        try:
            verify_embedder(embedder, fingerprint, probe)
        except EmbeddingError as error:
            raise EmbeddingError(
                f"the embedding cache {folder} holds vectors that are computed otherwise now: {error} "
                f"`wotd cache prune --fingerprint {folder.name}` forgets them; WOTD_CACHE can name another cache."
            ) from error
        return Record(folder, None)
    about: dict[str, Any] = embedder.fingerprint.to_mapping()
    about["probe"] = [[float(value) for value in row] for row in embedder.probe()]
    return Record(folder, (json.dumps(about, ensure_ascii=False) + "\n").encode("utf-8"))


def recorded(folder: Path) -> tuple[Fingerprint | None, list[Any]]:
    """The fingerprint that a folder names, if it can be read and is the folder's, and its probe vectors, if any."""
    path = folder / _RECORD_FILE
    try:
        if path.stat().st_size > _LARGEST_RECORD:
            return None, []
        about = json.loads(path.read_text(encoding="utf-8"))
        probe = about.pop("probe", [])
        fingerprint = Fingerprint.from_mapping(about)
        if not fingerprint.digest.startswith(folder.name) or np.asarray(probe, np.float32).ndim > 2:
            return None, []
    except (OSError, ValueError, TypeError, AttributeError, EmbeddingError):
        return None, []
    return fingerprint, probe
