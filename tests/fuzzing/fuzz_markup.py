"""Targets: publications, which are XML in folders and archives."""

from __future__ import annotations

from pathlib import Path

import fuzz_seeds as seeds
import tiny_standard_ebooks
from fuzz_hostile_files import epubs
from fuzz_hostile_texts import xml
from fuzz_target import Target, cut, provided

from wotd.errors import CorpusError, UnreadableWorkError
from wotd.providers.literature.colophon import read_dates
from wotd.providers.literature.gutenberg_metadata import read_rdf
from wotd.providers.literature.opf import parse_package
from wotd.providers.literature.standard_ebooks import StandardEbooks
from wotd.providers.literature.xhtml import parse_chapters
from wotd.providers.xml import parse_xml

_LINKS = ("link.xhtml", "up/canary.txt")


def targets() -> list[Target]:
    """All of them."""
    unreadable = (UnreadableWorkError,)
    packages, texts = seeds.packages(), seeds.texts()
    colophons, descriptions = seeds.colophons(), seeds.descriptions()
    return [
        Target("opf", "xml", _package, packages, xml(packages[0]), unreadable),
        Target("xhtml", "xml", _text, texts, xml(texts[0]), unreadable),
        Target("colophon", "xml", _colophon, colophons, xml(colophons[0])[:12], unreadable),
        Target("rdf", "xml", _description, descriptions, xml(descriptions[0])[:12], unreadable),
        Target("epub", "zip", _archive, seeds.archives(), epubs(seeds.publication()), (CorpusError,)),
        Target("source tree", "xml", _tree, packages, (), (CorpusError,), 0.5, _plant),
    ]


def _package(case: bytes, _: Path) -> None:
    parse_package(case, "src/epub/content.opf")


def _text(case: bytes, _: Path) -> None:
    cut(parse_chapters(case, "chapter.xhtml"))


def _colophon(case: bytes, _: Path) -> None:
    read_dates(parse_xml(case, "colophon.xhtml"))


def _description(case: bytes, _: Path) -> None:
    read_rdf(case, "pg1.rdf")


def _archive(case: bytes, folder: Path) -> None:
    (folder / "book.epub").write_bytes(case)
    provided(StandardEbooks(folder))


def _plant(folder: Path) -> None:
    """A tree with links out of it: to a canary, and to the folder above."""
    text = tiny_standard_ebooks.write_tree(folder / "book", tiny_standard_ebooks.tiny_work()) / "src/epub/text"
    (text / "link.xhtml").symlink_to(folder.parents[1] / "canary.txt")
    (text / "up").symlink_to(folder.parents[1])


def _tree(case: bytes, folder: Path) -> None:
    """The case as a package document that also names those links."""
    items = "".join(f'<item href="text/{link}" id="{link}" media-type="application/xhtml+xml"/>' for link in _LINKS)
    spine = "".join(f'<itemref idref="{link}"/>' for link in _LINKS)
    case = case.replace(b"<manifest>", b"<manifest>" + items.encode())
    case = case.replace(b"<spine>", b"<spine>" + spine.encode())
    (folder / "book/src/epub/content.opf").write_bytes(case)
    provided(StandardEbooks(folder))
