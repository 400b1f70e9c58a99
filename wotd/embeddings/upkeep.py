"""Looking after a cache: what may go, what room that makes, and taking vectors out of it."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from filelock import Timeout

from wotd.embeddings import claims
from wotd.embeddings.cache_record import CacheFolder
from wotd.embeddings.locks import LOCK_FILE
from wotd.embeddings.shards import ShardFolder
from wotd.errors import EmbeddingError
from wotd.locks import file_lock

_GOING = ".going-"


def disposable(
    folders: Sequence[CacheFolder],
    *,
    unused_seconds: float = 0.0,
    unreadable: bool = False,
    keep_bytes: int | None = None,
) -> list[CacheFolder]:
    """Which of the folders to remove, the longest unused first.

    Args:
        folders: to choose from.
        unused_seconds: only those not used for so long.
        unreadable: only those whose record cannot be read, as that of earlier versions.
        keep_bytes: only as many as have to go until all of the folders together are no larger; None: no matter.
    """
    now, left, going = time.time(), sum(each.bytes for each in folders), []
    for each in sorted(folders, key=lambda each: each.used):
        if keep_bytes is not None and left <= keep_bytes:
            break
        if max(0.0, now - each.used) >= unused_seconds and not (unreadable and each.fingerprint):
            going.append(each)
            left -= each.bytes
    return going


def remove(folder: CacheFolder) -> bool:
    """Remove a folder with all it holds; False, and nothing is done, if a process is adding to it.

    It goes as a whole, by a rename, before its files are deleted. Processes that have vectors of it mapped keep them.

    Raises:
        EmbeddingError: if it cannot be removed.
    """
    lock = file_lock(folder.path / LOCK_FILE)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    except OSError as error:
        raise _immovable(folder.path, error) from error
    try:
        if claims.living(folder.path):
            return False
        going = folder.path.with_name(f"{_GOING}{uuid.uuid4().hex}")
        folder.path.rename(going)
        # The lock is held until its file is gone, so that nobody who waited for it takes it for the folder's.
        shutil.rmtree(going)
    except OSError as error:
        raise _immovable(folder.path, error) from error
    finally:
        lock.release()
    return True


def remove_remains(root: Path) -> None:
    """Delete what was left where a removal was interrupted."""
    for path in (root / "embeddings").glob(f"{_GOING}*"):
        shutil.rmtree(path, ignore_errors=True)


def remove_file(path: Path) -> int:
    """Delete a file that was moved aside; the bytes it had, 0 if another process did it.

    Raises:
        EmbeddingError: if it cannot be deleted.
    """
    try:
        freed = path.stat().st_size
        path.unlink()
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise _immovable(path, error) from error
    return freed


def opened(folder: CacheFolder) -> ShardFolder:
    """The vectors of a folder, to be read.

    Raises:
        EmbeddingError: if the folder does not say what made them.
    """
    if folder.fingerprint is None:
        raise EmbeddingError(
            f"the record of the cache's folder {folder.path} cannot be read, so nobody knows what its vectors are."
        )
    shards = ShardFolder(folder.path, folder.fingerprint.digest, folder.fingerprint.dimension)
    shards.refresh()
    return shards


def _immovable(path: Path, error: OSError) -> EmbeddingError:
    return EmbeddingError(f"{path} cannot be removed from the cache: {error.strerror or error}.")
