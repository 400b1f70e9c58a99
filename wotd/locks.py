"""Locks between processes, which the system frees when their holder ends, however it ends."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

NO_LOCKS = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK}
"""What a file system says that knows no locks."""


def file_lock(path: Path) -> BaseFileLock:
    """A lock that is not held yet; never one that a file's mere existence makes, for that outlives a killed holder."""
    return FileLock(path, fallback_to_soft=False)


@contextmanager
def held(path: Path, *, waiting: Callable[[], None] | None = None) -> Iterator[bool]:
    """Hold a lock while the block runs; its file goes when it ends. Within the block, once more does no harm.

    Args:
        path: of the file, in a folder that exists.
        waiting: called where another process holds it, which is then waited for; None: it is not.

    Yields:
        Whether it is held: False where the file system knows no locks.

    Raises:
        Timeout: if another process holds it, and nobody wants to wait.
        OSError: if the file cannot be made.
    """
    lock = FileLock(path, is_singleton=True, fallback_to_soft=False)
    outermost = not lock.is_locked
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if waiting is None:
                raise
            waiting()
            lock.acquire()
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    try:
        yield lock.is_locked
    finally:
        if outermost:
            with contextlib.suppress(OSError):
                path.unlink()  # while it is held: who waits for it sees that, and makes it anew
        lock.release(force=outermost)  # a signal may have kept an inner block from giving it back
