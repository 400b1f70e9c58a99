"""Standard Ebooks: source trees (``<work>/src/epub/content.opf``) or ``.epub`` files in one folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from wotd.errors import CorpusError, UnreadableWorkError
from wotd.providers.base import Work, corpus_folder, speaks
from wotd.providers.epub import FOLDER_PACKAGE, Files, open_publication
from wotd.providers.folders import FolderProvider
from wotd.providers.literature.colophon import Dates, read_dates
from wotd.providers.literature.opf import Package, parse_package
from wotd.providers.literature.xhtml import parse_chapters
from wotd.providers.text import Block, reading_ease
from wotd.providers.xml import parse_xml
from wotd.taxonomy import NO_FACT, Fact


class StandardEbooks(FolderProvider):
    """Works of Standard Ebooks with the facts their metadata and colophons state.

    Its folder holds source trees and ``.epub`` files, or is one source tree.
    """

    name = "standard_ebooks"

    def works(self) -> Iterator[Work]:
        """Yield the works in order of their names; their texts are parsed when passages are asked for."""
        seen: set[str] = set()
        for name, path in _sources(corpus_folder(self.root, self.name)):
            if name in seen:
                self.drop(f"{self.name}:{path.name}", "another source has its name")
                continue
            seen.add(name)
            try:
                work = self._work(name, path)
            except UnreadableWorkError as error:
                self.drop(f"{self.name}:{name}", str(error))
            else:
                yield work

    def _work(self, name: str, path: Path) -> Work:
        with open_publication(path) as (files, package_path):
            package = _package(files, package_path)
            language = package.facts.get("language", NO_FACT).value
            if not speaks(language, self.language):
                raise UnreadableWorkError(f"its language is {language}")
            if not any(files.has(path) for path in package.documents if path != package.colophon):
                raise UnreadableWorkError("it has no text")
            facts = package.facts | _dated(_dates(files, package))
            if "reading_ease" not in facts:
                texts = (block.text for chapter in _chapters(files, package) for block in chapter)
                facts["reading_ease"] = Fact.computed(reading_ease(texts))
        return Work(f"{self.name}:{name}", facts, partial(self._passages, name, path))

    def _passages(self, name: str, path: Path) -> Sequence[str]:
        """The passages of a work, cut within chapters.

        Raises:
            UnreadableWorkError: if one of its texts cannot be read; who asked drops the work.
        """
        with open_publication(path) as (files, package_path):
            return self.passages(f"{self.name}:{name}", _chapters(files, _package(files, package_path)))


def _sources(folder: Path) -> list[tuple[str, Path]]:
    """Names and paths of the works in a folder, in order of name.

    Raises:
        CorpusError: if nothing in it is a source tree or an ``.epub``.
    """
    if (folder / FOLDER_PACKAGE).is_file():
        return [(folder.resolve().name, folder)]
    paths = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    archives = [(path.stem, path) for path in paths if path.suffix.lower() == ".epub" and path.is_file()]
    folders = [(path.name, path) for path in paths if path.is_dir()]
    if not archives and not any((path / FOLDER_PACKAGE).is_file() for _, path in folders):
        raise CorpusError(
            f"provider.root is {folder}, which holds no work; expected source trees (<work>/{FOLDER_PACKAGE}) "
            "or .epub files directly in it."
        )
    return sorted([*folders, *archives])


def _package(files: Files, path: str) -> Package:
    data = files.read(path)
    if data is None:
        raise UnreadableWorkError("it has no package document (content.opf)")
    return parse_package(data, path)


def _dates(files: Files, package: Package) -> Dates:
    data = files.read(package.colophon)
    return Dates() if data is None else read_dates(parse_xml(data, "colophon.xhtml"))


def _dated(dates: Dates) -> dict[str, Fact]:
    facts = {"year_written": Fact.stated(dates.written), "year_of_text": Fact.stated(dates.translated)}
    return {name: fact for name, fact in facts.items() if fact.known}


def _chapters(files: Files, package: Package) -> Iterator[list[Block]]:
    """Chapters in reading order; files that the package names but that are not here are passed over."""
    for document in package.documents:
        data = files.read(document)
        if data is not None:
            yield from parse_chapters(data, document)
