"""The files of a publication, read from a folder or out of an ``.epub`` archive without unpacking it.

Both are written by strangers: a path never leads outside the publication, and what an archive says
of its sizes is not believed.
"""

from __future__ import annotations

import io
import posixpath
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from wotd.errors import UnreadableWorkError
from wotd.providers.xml import MAX_BYTES, parse_xml

MAX_ENTRIES = 10_000
"""How many entries an archive may have; a long work has some hundreds."""

MAX_TOTAL_BYTES = 4 * MAX_BYTES
"""How much may be unpacked from one archive, entries read twice counted twice."""

MAX_RATIO = 50
"""How many times its packed size an entry may have; text has some three times, and markup seldom twenty."""

MAX_DIRECTORY_BYTES = 4 * 1024 * 1024
"""How long the directory of an archive may be; it is read whole before its entries can be counted."""

FOLDER_PACKAGE = "src/epub/content.opf"
"""Where the package document lies in a Standard Ebooks source tree."""

_CONTAINER = "META-INF/container.xml"
_ROOTFILE = "{urn:oasis:names:tc:opendocument:xmlns:container}rootfile"
_CHUNK_BYTES = 256 * 1024
_ENCRYPTED = 0x1


class Files(Protocol):
    """The files of one publication."""

    def read(self, path: str) -> bytes | None:
        """The bytes of the file at a path from :func:`path_inside`; None where there is none."""

    def has(self, path: str) -> bool:
        """Whether there is such a file."""


def path_inside(base: str, href: str) -> str | None:
    """The path that a reference in the document ``base`` leads to; None if it leads out of the publication."""
    try:
        url = urlsplit(href)
    except ValueError:
        return None
    path = unquote(url.path)
    if url.scheme or url.netloc or not path or path.startswith("/") or "\\" in path or "\0" in path:
        return None
    joined = posixpath.normpath(posixpath.join(posixpath.dirname(base), path))
    return None if joined == ".." or joined.startswith(("../", "/")) else joined


@contextmanager
def open_publication(path: Path) -> Iterator[tuple[Files, str]]:
    """Open a source tree or an ``.epub``; give its files and the path of its package document.

    Raises:
        UnreadableWorkError: if it has no package document, or is an archive that cannot be trusted.
    """
    if path.is_dir():
        package = Path(FOLDER_PACKAGE)
        yield FolderFiles(path / package.parent), package.name
        return
    try:
        with _CautiousFile(path) as file, zipfile.ZipFile(file) as archive:
            files = ArchiveFiles(archive)
            yield files, _package_path(files)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error  # without the path, so that works are counted together
        raise UnreadableWorkError(f"the archive cannot be read: {reason}") from error


class FolderFiles:
    """Files below a folder; symbolic links that lead out of it are not followed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def read(self, path: str) -> bytes | None:
        """The bytes of a file; None where there is none.

        Raises:
            UnreadableWorkError: if it may not be read, or is larger than any XML document that is parsed.
        """
        file = self._file(path)
        if file is None:
            return None
        try:
            with file.open("rb") as stream:
                data = stream.read(MAX_BYTES + 1)
        except OSError as error:
            raise UnreadableWorkError(f"{path} cannot be read: {error.strerror}") from error
        if len(data) > MAX_BYTES:
            raise UnreadableWorkError(f"{path} has more than {MAX_BYTES} bytes")
        return data

    def has(self, path: str) -> bool:
        """Whether there is such a file."""
        return self._file(path) is not None

    def _file(self, path: str) -> Path | None:
        try:
            file = (self._folder / path).resolve()
            return file if file.is_relative_to(self._folder) and file.is_file() else None
        except (OSError, ValueError, RuntimeError):  # a name that is too long, or links in a circle
            return None


class ArchiveFiles:
    """Entries of a zip archive, unpacked into memory within limits."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        """Take an archive whose directory has been read.

        Raises:
            UnreadableWorkError: if it has too many entries, encrypted ones, or names that lead out of it.
        """
        entries = archive.infolist()
        if len(entries) > MAX_ENTRIES:
            raise UnreadableWorkError(f"the archive has more than {MAX_ENTRIES} entries")
        for entry in entries:
            _check_entry(entry)
        self._archive = archive
        self._names = {entry.filename for entry in entries if not entry.is_dir()}
        self._left = MAX_TOTAL_BYTES

    def read(self, path: str) -> bytes | None:
        """The bytes of an entry; None where there is none.

        Raises:
            UnreadableWorkError: if it unpacks to more than is allowed for one entry or for the archive.
        """
        if path not in self._names:
            return None
        allowed = min(MAX_BYTES, self._left)
        chunks: list[bytes] = []
        size = 0
        with self._archive.open(path) as entry:
            packed = self._archive.getinfo(path).compress_size
            while chunk := entry.read(_CHUNK_BYTES):
                size += len(chunk)
                if size > allowed:
                    raise UnreadableWorkError(f"the archive unpacks to more than {allowed} bytes")
                if size > MAX_RATIO * packed + _CHUNK_BYTES:
                    raise UnreadableWorkError(f"one of its entries unpacks to more than {MAX_RATIO} times its size")
                chunks.append(chunk)
        self._left -= size
        return b"".join(chunks)

    def has(self, path: str) -> bool:
        """Whether there is such an entry."""
        return path in self._names


class _CautiousFile(io.FileIO):
    """A file that refuses the one long read by which ``zipfile`` loads a directory of any claimed length."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MAX_DIRECTORY_BYTES:
            raise zipfile.BadZipFile("its directory is too long")
        return super().read(size) or b""


def _check_entry(entry: zipfile.ZipInfo) -> None:
    name = entry.orig_filename
    if not name or not entry.filename:
        raise UnreadableWorkError("the archive has an entry without a name")
    if "\\" in name or name.startswith("/") or name[1:2] == ":" or ".." in name.split("/"):
        raise UnreadableWorkError("the archive has an entry whose name leads out of it")
    if entry.flag_bits & _ENCRYPTED:
        raise UnreadableWorkError("the archive has an encrypted entry")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UnreadableWorkError("the archive has an entry packed in a way that publications do not use")


def _package_path(files: ArchiveFiles) -> str:
    container = files.read(_CONTAINER)
    if container is None:
        raise UnreadableWorkError(f"the archive is no publication: {_CONTAINER} is missing")
    rootfile = next(parse_xml(container, _CONTAINER).iter(_ROOTFILE), None)
    path = None if rootfile is None else path_inside("", rootfile.get("full-path", ""))
    if path is None:
        raise UnreadableWorkError(f"{_CONTAINER} names no package document inside the archive")
    return path
