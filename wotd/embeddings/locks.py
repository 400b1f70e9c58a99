"""Locks between processes, which the system frees when their holder ends, however it ends."""

from __future__ import annotations

import contextlib
import errno
from pathlib import Path

from filelock import BaseFileLock, FileLock

from wotd.errors import EmbeddingError

LOCK_FILE = ".lock"
_NO_LOCKS = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK}


def file_lock(path: Path) -> BaseFileLock:
    """A lock that is not held yet; never one that a file's mere existence makes, for that outlives a killed holder."""
    return FileLock(path, fallback_to_soft=False)


def locked(folder: Path) -> BaseFileLock:
    """The lock of a cache's folder, held; whoever has it gives it back in a moment. Makes the folder if need be.

    Raises:
        EmbeddingError: if the file system knows no locks.
        OSError: if it cannot be taken.
    """
    lock = file_lock(folder / LOCK_FILE)
    try:
        while not lock.is_locked:
            folder.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # removed at this very moment
                lock.acquire()
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        raise EmbeddingError(
            f"the embedding cache {folder} lies on a file system without locks (flock); set WOTD_CACHE to a folder "
            "on another one."
        ) from error
    return lock
