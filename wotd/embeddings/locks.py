"""The lock of a cache's folder."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from filelock import BaseFileLock

from wotd.errors import EmbeddingError
from wotd.locks import NO_LOCKS, file_lock

LOCK_FILE = ".lock"


def locked(folder: Path) -> BaseFileLock:
    """The lock of a cache's folder, held; whoever has it gives it back in a moment. Makes the folder if need be.

    Raises:
        EmbeddingError: if the file system knows no locks.
        OSError: if it cannot be taken.
    """
    lock = file_lock(folder / LOCK_FILE)
    try:
        while not lock.is_locked:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                lock.acquire()
            except FileNotFoundError:
                continue  # removed at this very moment
            except FileExistsError as error:  # so it was, between being found and being looked at; or it is no folder
                if _is_no_folder(error.filename):
                    raise
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        raise EmbeddingError(
            f"the embedding cache {folder} lies on a file system without locks (flock); set WOTD_CACHE to a folder "
            "on another one."
        ) from error
    return lock


def _is_no_folder(path: str) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return not stat.S_ISDIR(os.lstat(path).st_mode)
    return False
