"""Files and folders that are complete or absent, whatever happens while they are written."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

_LOCKED = ".locked.partial"
"""How working folders end. Folders that others lock in their own way end otherwise, and are theirs to remove."""

_LEFT = re.compile(r"\..*-[a-z0-9_]{8}" + re.escape(_LOCKED))  # as mkdtemp draws them

_swept: set[Path] = set()


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A temporary path beside the target that takes its place when the block ends well, and vanishes otherwise.

    Of several that write the target at once, each writes it whole, and the last one's stays.
    """
    with working_folder(target) as folder:
        temporary = folder / "new"
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(target)


@contextmanager
def working_folder(target: Path) -> Iterator[Path]:
    """A folder beside the target to make it in, which vanishes when the block ends.

    Such folders of processes that were killed vanish, too, for whichever target they were, with the first that a later
    process makes in the same place: those whose lock the system has freed. Where there are no locks they stay.
    """
    _sweep(target.parent)
    folder, lock = _locked_folder(target)
    try:
        yield folder
    finally:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def folder_beside(target: Path, suffix: str = ".partial") -> Path:
    """A new folder for what is to become the target, or was it."""
    return Path(tempfile.mkdtemp(prefix=f".{target.name}-", suffix=suffix, dir=target.parent))


def left_beside(target: Path) -> list[Path]:
    """The folders that :func:`folder_beside` has made for this very target, not for one whose name begins alike."""
    made = re.compile(re.escape(f".{target.name}-") + r"[a-z0-9_]{8}\.partial")  # as mkdtemp draws them
    return sorted(path for path in target.parent.iterdir() if made.fullmatch(path.name) and path.is_dir())


def _locked_folder(target: Path) -> tuple[Path, BaseFileLock]:
    while True:
        folder = folder_beside(target, _LOCKED)
        lock = _lock(folder)
        try:
            lock.acquire(timeout=0)
        except (Timeout, FileNotFoundError):  # another took it for abandoned, for it had no lock yet
            continue
        except OSError:  # no locks here, then the others leave what they cannot lock
            pass
        return folder, lock


def _sweep(place: Path) -> None:
    """Remove what killed processes have left in a place, once in a process: it may hold a hundred thousand files."""
    known = place.absolute()
    if known in _swept:
        return
    _swept.add(known)
    for path in place.iterdir():
        if _LEFT.fullmatch(path.name) and path.is_dir():
            _remove_abandoned(path)


def _remove_abandoned(folder: Path) -> None:
    lock = _lock(folder)
    try:
        lock.acquire(timeout=0)
    except OSError:  # its writer is at work, or nobody can tell
        return
    try:
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        lock.release()


def _lock(folder: Path) -> BaseFileLock:
    return FileLock(folder / "lock", fallback_to_soft=False)
