"""Claims: what a process is about to embed, so that others with the same texts take different ones.

A claim is two files in the folder of a fingerprint, ``.claim-ID.keys`` (32 bytes a text) and
``.claim-ID.lock``, which its owner holds locked: the system frees the lock when the process ends, however
it ends. Claims are made and read under the folder's own lock.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import BaseFileLock, Timeout

from wotd.embeddings.locks import LOCK_FILE
from wotd.embeddings.shard_file import Keys
from wotd.locks import file_lock

_PREFIX, _KEYS, _LOCK = ".claim-", ".keys", ".lock"


@dataclass(frozen=True)
class Claim:
    """Texts that a living process embeds now."""

    folder: Path
    id: str
    keys: Keys

    @property
    def temporary(self) -> str:
        """Name for a file that belongs to the claim while it is unfinished."""
        return f"{_PREFIX}{self.id}.tmp"

    def wait(self, seconds: float) -> bool:
        """Wait until its owner is done with it or dead; False if that takes longer."""
        lock = _lock(self.folder, self.id)
        try:
            lock.acquire(timeout=seconds)
        except Timeout:
            return False
        except FileNotFoundError:  # the whole folder is gone
            return True
        _remove(self.folder, self.id)  # trying to lock it has made the file again
        lock.release()
        return True


@contextmanager
def held(folder: Path, keys: Keys, lock: BaseFileLock) -> Iterator[Claim]:
    """Claim texts while the block runs.

    Args:
        folder: of the fingerprint.
        keys: of the texts, [n].
        lock: the folder's, held; released as soon as the claim is visible.

    Raises:
        OSError: if the disk does not take it.
    """
    claim = Claim(folder, uuid.uuid4().hex, keys)
    own = _lock(folder, claim.id)
    try:
        own.acquire()
        try:
            (folder / f"{_PREFIX}{claim.id}{_KEYS}").write_bytes(keys.tobytes())
        finally:
            lock.release()
        yield claim
    finally:
        _remove(folder, claim.id)
        own.release()


def living(folder: Path) -> list[Claim]:
    """The claims of processes that live; what the dead have left is removed. Only under the folder's lock."""
    claims = []
    for id_ in sorted({path.name.removeprefix(_PREFIX).partition(".")[0] for path in folder.glob(f"{_PREFIX}*")}):
        lock = _lock(folder, id_)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            with contextlib.suppress(FileNotFoundError):  # it has just been given up
                content = (folder / f"{_PREFIX}{id_}{_KEYS}").read_bytes()
                claims.append(Claim(folder, id_, np.frombuffer(content[: len(content) // 32 * 32], "S32")))
        else:
            _remove(folder, id_)
            lock.release()
    return claims


def clear(folder: Path) -> None:
    """Remove what the dead have left, where there is any and nobody is at the folder; to read, none of it matters."""
    if not any(folder.glob(f"{_PREFIX}*")):
        return
    lock = file_lock(folder / LOCK_FILE)
    with contextlib.suppress(OSError):  # it is taken, or not ours to write
        lock.acquire(blocking=False)
        try:
            living(folder)
        finally:
            lock.release()


def _lock(folder: Path, id_: str) -> BaseFileLock:
    return file_lock(folder / f"{_PREFIX}{id_}{_LOCK}")


def _remove(folder: Path, id_: str) -> None:
    """All files of a claim, its lock last."""
    for path in sorted(folder.glob(f"{_PREFIX}{id_}.*"), key=lambda path: path.suffix == _LOCK):
        with contextlib.suppress(OSError):
            path.unlink()
