"""Fill the folder that a provider reads, by ID or name, politely; a step of its own that nothing else starts.

``python -m wotd.providers.download gutenberg 84 1513 --folder BOOKS`` does the same from the shell.
For more than a few books, Project Gutenberg asks to use a mirror: give it as ``base_url``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from wotd.errors import ConfigurationError
from wotd.providers.download.client import Client, DownloadError, Politeness, UnavailableError
from wotd.providers.download.parts import Part, Record

__all__ = [
    "Client",
    "DownloadError",
    "Politeness",
    "UnavailableError",
    "download_gutenberg",
    "download_standard_ebooks",
]

logger = logging.getLogger(__name__)

GUTENBERG = "https://www.gutenberg.org"
STANDARD_EBOOKS = "https://standardebooks.org"

_LOCK = ".downloads.lock"
_ID = re.compile(r"[1-9]\d{0,6}")
_NAME = re.compile(r"[a-z0-9-]+(?:[_/][a-z0-9-]+)+")
_MAX_NAME = 200

Report = Callable[[str], None]
"""Told what happens, one line at a time."""


@dataclass(frozen=True)
class Item:
    """One file to fetch: its name in the folder, where it is, and how its content begins or does not."""

    name: str
    url: str
    begins: re.Pattern[bytes]
    kind: str


_TEXT = re.compile(rb"(?!\s*(?:\xef\xbb\xbf)?\s*<(?:!doctype|html|head|\?xml))", re.IGNORECASE)
_XML = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:\?xml|rdf:RDF)", re.IGNORECASE)
_ZIP = re.compile(rb"PK\x03\x04")


def download_gutenberg(
    ids: Iterable[int | str],
    folder: str | Path,
    *,
    base_url: str = GUTENBERG,
    client: Client | None = None,
    report: Report = logger.info,
) -> list[Path]:
    """Fetch texts of Project Gutenberg and their metadata (``pg84.txt``, ``pg84.rdf``) into a folder.

    Args:
        ids: numbers of the books.
        folder: where they go; made if it is not there. What is there already, whole, is not fetched again.
        base_url: the site, or a mirror that has ``cache/epub``.
        client: how to fetch; a default one is polite.
        report: told what happens.

    Returns:
        Paths of all files, new or there before.

    Raises:
        ConfigurationError: if an ID or the address of the site is none.
        DownloadError: if files could not be had; those that could are in the folder.
    """
    base = _base(base_url)
    books = []
    for number in dict.fromkeys(str(number).strip() for number in ids):
        if not _ID.fullmatch(number):
            raise ConfigurationError(f"the ID of a Project Gutenberg book is '{number}'; expected a number such as 84.")
        stem = f"{base}/cache/epub/{number}/pg{number}"
        text = Item(f"pg{number}.txt", f"{stem}.txt", _TEXT, "plain text")
        books.append([text, Item(f"pg{number}.rdf", f"{stem}.rdf", _XML, "RDF")])
    return _download(books, Path(folder).expanduser(), client or Client(), report)


def download_standard_ebooks(
    names: Iterable[str],
    folder: str | Path,
    *,
    base_url: str = STANDARD_EBOOKS,
    client: Client | None = None,
    report: Report = logger.info,
) -> list[Path]:
    """Fetch ``.epub`` files of Standard Ebooks into a folder.

    Args:
        names: ``author_title`` or ``author_title_translator``, as the files are called; where several
            authors share a part of the address, write it with slashes: ``a-one_b-two/title``.
        folder: where they go; made if it is not there. What is there already, whole, is not fetched again.
        base_url: the site.
        client: how to fetch; a default one is polite.
        report: told what happens.

    Returns:
        Paths of all files, new or there before.

    Raises:
        ConfigurationError: if a name or the address of the site is none.
        DownloadError: if files could not be had; those that could are in the folder.
    """
    base = _base(base_url)
    books = []
    for name in dict.fromkeys(name.strip() for name in names):
        if not _NAME.fullmatch(name) or len(name) > _MAX_NAME:
            raise ConfigurationError(
                f"the name of a Standard Ebook is '{name}'; expected one such as jane-austen_emma (a-z, 0-9, - and _)."
            )
        path, stem = name if "/" in name else name.replace("_", "/"), name.replace("/", "_")
        # Without `source` the site answers with a page that says thank you.
        url = f"{base}/ebooks/{path}/downloads/{stem}.epub?source=download"
        books.append([Item(f"{stem}.epub", url, _ZIP, "EPUB")])
    return _download(books, Path(folder).expanduser(), client or Client(), report)


def _base(url: str) -> str:
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        fits = False
    if not fits or parts.query or parts.fragment:
        raise ConfigurationError(f"base_url is '{url}'; expected the address of a site, such as {GUTENBERG}.")
    return url.rstrip("/")


def _download(books: Sequence[Sequence[Item]], folder: Path, client: Client, report: Report) -> list[Path]:
    failures: list[str] = []
    paths: list[Path] = []
    with _filling(folder) as record:
        for number, items in enumerate(books, 1):
            for item in items:
                try:
                    news = _fetch(item, folder, record, client)
                except UnavailableError as error:
                    failures.append(str(error))
                    report(f"[{number}/{len(books)}] {error}")
                    break
                report(f"[{number}/{len(books)}] {item.name}: {news}")
                paths.append(folder / item.name)
    if failures:
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        raise DownloadError(f"{len(failures)} of {len(books)} books could not be had: {failures[0]}{more}")
    return paths


@contextmanager
def _filling(folder: Path) -> Iterator[Record]:
    """The record of a folder that nobody else fills meanwhile."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / _LOCK, timeout=0):
            yield Record(folder)
    except Timeout as error:
        raise DownloadError(f"another download is filling {folder}; wait for it to end.") from error
    except OSError as error:
        raise DownloadError(f"cannot write to {folder}: {error.strerror or error}.") from error


def _fetch(item: Item, folder: Path, record: Record, client: Client) -> str:
    if record.holds(item.name):
        return "already here"
    part = Part(folder, item.name)
    client.fill(item.url, part)
    size = part.size
    if not size or not item.begins.match(part.head()):
        part.discard()
        raise UnavailableError(f"{item.url}: the server sent something else than {item.kind}.")
    record.add(item.name, item.url, part.finish())
    return f"{size} bytes"
