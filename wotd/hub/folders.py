"""Folders of files, on this machine or in a store that fsspec knows, read and written by the same few verbs.

A file is written complete or not at all: beside its place and then renamed, or put into the store when it is whole.
Names of files may come from strangers who can write to a store; none leads out of its folder.
"""

from __future__ import annotations

import io
import logging
import os
import secrets
import stat
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, cast

from wotd.errors import InputError
from wotd.hub.addresses import folder_of, scheme_of
from wotd.hub.stores import opened, told
from wotd.provenance import file_sha256
from wotd.redaction import redacted
from wotd.replacing import replacing, working_folder

logger = logging.getLogger(__name__)

_AT_ONCE = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "memory"}
"""Stores whose files appear when they are whole; elsewhere a file is put under another name first."""

_BLOCK = 64 * 1024
"""Bytes that are fetched beyond what is asked for where files are read here and there; some clients fetch 50 MiB."""


class Folder(ABC):
    """A folder by its address; plain data, so that other processes can open it too. Names have slashes in them."""

    def __init__(self, address: str, argument: str) -> None:
        """Take the address; ``argument`` is what the caller calls it, for errors."""
        self.address, self.argument = address, argument

    @property
    def shown(self) -> str:
        """The address as people may see it."""
        return redacted(self.address)

    def files(self) -> list[str]:
        """Names of all files below, sorted; those that lead out of the folder are left out, and their number is logged.

        Raises:
            InputError: if there is no such folder.
        """
        found = [name for name in self._listed() if name and name[-1] != "/"]  # stores may keep folders as empty files
        kept = sorted(name for name in found if self._holds(name))
        if left_out := len(found) - len(kept):
            logger.warning(
                "%s: %d files are left out, whose names are no plain paths or which are links to outside of it",
                *(self.shown, left_out),
            )
        return kept

    @abstractmethod
    def _listed(self) -> Iterable[str]:
        """Names of all files below, whatever they are."""

    def _holds(self, name: str) -> bool:
        """Whether a name that is listed is one of a file within the folder."""
        return {"", ".", ".."}.isdisjoint(name.split("/")) and {"\\", "\0"}.isdisjoint(name)

    def _checked(self, name: str) -> str:
        """A name that is one of this folder, or empty for the folder itself.

        Raises:
            InputError: if it could lead out of it.
        """
        if name and not Folder._holds(self, name):
            raise InputError(f"{self.shown} has the name {name!r}; expected a plain path within the folder.")
        return name

    @abstractmethod
    def exists(self, name: str) -> bool:
        """Whether anything of that name is there, a file or a folder."""

    @abstractmethod
    def is_file(self, name: str) -> bool:
        """Whether a file of that name is there."""

    @abstractmethod
    def listed(self, name: str) -> dict[str, bool]:
        """What stands in a folder below, by one listing: names, and whether each is a file.

        Empty where there is no such folder; a file in its place is listed as what it holds, without a name.
        """

    @abstractmethod
    def open(self, name: str, *, scattered: bool = False) -> AbstractContextManager[BinaryIO]:
        """A file to read, from which place one likes; scattered: here and there, so that little is fetched beyond."""

    def telling(self, name: str) -> AbstractContextManager[None]:
        """Within it, what a store's client raises while an open file is read becomes one sentence."""
        del name
        return nullcontext()

    @abstractmethod
    def version(self, name: str) -> str:
        """What changes when a file does: the SHA-256 of its content, or what the store says of it."""

    @abstractmethod
    def stamp(self, name: str) -> str:
        """What changes when a file is written anew, and takes no reading of it."""

    @abstractmethod
    def writing(self, name: str) -> AbstractContextManager[Path]:
        """A path of this machine to write to; what it holds stands in the folder when the block ends well."""


class LocalFolder(Folder):
    """A folder of this machine."""

    @property
    def path(self) -> Path:
        """Where it is."""
        return folder_of(self.address).expanduser()

    def _listed(self) -> Iterable[str]:
        if not self.path.is_dir():
            raise InputError(f"{self.argument} is {self.shown}, which does not exist; expected a file or a folder.")
        return (file.relative_to(self.path).as_posix() for file in self.path.rglob("*") if file.is_file())

    def _holds(self, name: str) -> bool:
        return super()._holds(name) and (self.path / name).resolve().is_relative_to(self._real)

    @cached_property
    def _real(self) -> Path:
        return self.path.resolve()

    def _path(self, name: str) -> Path:
        return self.path / self._checked(name)

    def exists(self, name: str) -> bool:
        """Whether anything of that name is there."""
        return self._path(name).exists()

    def is_file(self, name: str) -> bool:
        """Whether a file of that name is there."""
        return self._path(name).is_file()

    def listed(self, name: str) -> dict[str, bool]:
        """What stands in a folder below."""
        path = self._path(name)
        try:
            with os.scandir(path) as found:
                return {each.name: each.is_file() for each in found}
        except FileNotFoundError:
            return {}
        except NotADirectoryError:
            return {"": True} if path.is_file() else {}

    def open(self, name: str, *, scattered: bool = False) -> AbstractContextManager[BinaryIO]:
        """A file to read."""
        del scattered  # the system reads ahead as it sees fit
        return self._path(name).open("rb")

    def version(self, name: str) -> str:
        """The SHA-256 of its content."""
        return file_sha256(self._path(name))

    def stamp(self, name: str) -> str:
        """Its size and when it was written."""
        found = self._path(name).stat()
        return f"{found.st_size} {found.st_mtime_ns}"

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """A path beside the file, which takes its place."""
        target = self._path(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as temporary:
            yield temporary


class StoreFolder(Folder):
    """A folder of a store. What the store's client raises becomes one sentence, without secrets."""

    def _listed(self) -> Iterable[str]:
        with told(f"{self.shown} cannot be read", InputError):
            self._store.invalidate_cache()
            names = [str(path).removeprefix(f"{self._root}/") for path in self._store.find(self._root)]
        if not names:
            raise InputError(f"{self.argument} is {self.shown}, which does not exist; expected a file or a folder.")
        return names

    def exists(self, name: str) -> bool:
        """Whether anything of that name is there."""
        with told(f"{self.shown} cannot be read", InputError):
            self._store.invalidate_cache()
            return bool(self._store.exists(self._path(name)))

    def is_file(self, name: str) -> bool:
        """Whether a file of that name is there."""
        with told(f"{self.shown} cannot be read", InputError):
            return bool(self._store.isfile(self._path(name)))

    def listed(self, name: str) -> dict[str, bool]:
        """What stands in a folder below; all that is below it is listed, which takes no look at what is beside it."""
        with told(f"{self.shown} cannot be read", InputError):
            self._store.invalidate_cache()
            place = self._path(name)
            found = [str(path).removeprefix(place).lstrip("/").split("/") for path in self._files_below(place)]
            self._store.invalidate_cache()  # a store's client would look through this listing for each file in it
        return {first: not below for first, *below in found}

    def _files_below(self, place: str) -> list[str]:
        return [path for path in self._store.find(place) if path[-1] != "/"]  # stores may keep folders as empty files

    @contextmanager
    def open(self, name: str, *, scattered: bool = False) -> Iterator[BinaryIO]:
        """A file to read."""
        ahead = {"block_size": _BLOCK} if scattered else {}
        with self.telling(name), self._store.open(self._path(name), "rb", **ahead) as file:
            yield io.BufferedReader(cast(Any, file))  # which reads lines up to a length, as not all files of stores do

    def telling(self, name: str) -> AbstractContextManager[None]:
        """What the store's client raises is told."""
        return told(f"{self.shown}/{name} cannot be read", InputError)

    def version(self, name: str) -> str:
        """What the store says of it: its tag, or its size and when it was written."""
        with self.telling(name):
            self._store.invalidate_cache()
            found = self._store.info(self._path(name))
            return str(found.get("ETag") or self._store.ukey(self._path(name))).strip('"')

    def stamp(self, name: str) -> str:
        """The same: nothing is read for it."""
        return self.version(name)

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """A temporary file of this machine, which is put into the store."""
        self._checked(name)
        with _temporary_folder() as folder:
            temporary = folder / "whole"
            yield temporary
            with told(f"{self.shown}/{name} cannot be written", InputError):
                self._put(temporary, self._path(name))

    def _put(self, source: Path, path: str) -> None:
        parent, _, name = path.rpartition("/")
        self._store.makedirs(parent, exist_ok=True)
        if scheme_of(self.address) in _AT_ONCE:
            self._store.put_file(str(source), path)
            return
        temporary = f"{parent}/.{name}.{secrets.token_hex(4)}.partial"
        try:
            self._store.put_file(str(source), temporary)
            self._store.mv(temporary, path)
        finally:
            if self._store.exists(temporary):
                self._store.rm_file(temporary)

    def _path(self, name: str) -> str:
        return f"{self._root}/{self._checked(name)}" if name else self._root

    @property
    def _root(self) -> str:
        return self._opened[1]

    @property
    def _store(self) -> Any:
        return self._opened[0]

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        return opened(self.address, self.argument, InputError)


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """A folder in one that is always the same, so that a later process finds and removes what a killed one has left."""
    user = os.getuid() if hasattr(os, "getuid") else None  # elsewhere temporary files are the user's own
    home = Path(tempfile.gettempdir()) / ("wotd" if user is None else f"wotd-{user}")
    with suppress(FileExistsError):
        home.mkdir(mode=0o700)
    if user is None or _is_private(home, user):
        with working_folder(home / "store") as folder:
            yield folder
    else:  # somebody else has made it, who would see or change what is written
        with tempfile.TemporaryDirectory(prefix="wotd-") as name:
            yield Path(name)


def _is_private(folder: Path, user: int) -> bool:
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == user and not found.st_mode & 0o077


def open_folder(address: str | Path, argument: str) -> Folder:
    """A folder, whether or not it is there.

    Args:
        address: a path, or a URL that fsspec knows.
        argument: what the caller calls it, for errors.
    """
    place = str(address)
    if scheme_of(place) in ("", "file"):
        return LocalFolder(place, argument)
    return StoreFolder(place.rstrip("/"), argument)


def find_file(address: str | Path, argument: str) -> tuple[Folder, str | None]:
    """The folder of an address, and the name of the file in it where the address is one."""
    folder = open_folder(address, argument)
    if not folder.is_file(""):
        return folder, None
    if isinstance(folder, LocalFolder):
        return LocalFolder(str(folder.path.parent), argument), folder.path.name
    parent, _, name = folder.address.rpartition("/")
    return StoreFolder(parent, argument), name
