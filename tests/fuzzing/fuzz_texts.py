"""Targets: Project Gutenberg, and what is read off any text."""

from __future__ import annotations

from pathlib import Path

import fuzz_seeds as seeds
from fuzz_hostile_texts import csv_tables, gutenberg_texts, prose, yaml_documents
from fuzz_target import Target, cut, placed, provided, within
from tiny_standard_ebooks import PARAGRAPH

from wotd.errors import CorpusError, UnreadableWorkError
from wotd.providers.literature.colophon import parse_year
from wotd.providers.literature.files import paragraphs
from wotd.providers.literature.gutenberg import Gutenberg
from wotd.providers.literature.gutenberg_envelope import decode, open_envelope
from wotd.providers.literature.gutenberg_metadata import read_catalogue, read_header, read_yaml
from wotd.providers.literature.gutenberg_text import chapters
from wotd.providers.literature.people import read_life, read_person, read_year
from wotd.providers.text import clean, reading_ease

_NAMES = (
    *(b"Virgil, 71 BCE-20 BCE", b"Marx, Karl (Heinrich), Sir, 1730?-1774 [Translator]", b"active 6th century B.C."),
    *(b"was published in 1847", b"between the late 1730s and 12 AD", b"written 1904-30"),
)
_SOUND = seeds.books()[0]
_BESIDE = {
    "12.txt": seeds.books,
    "metadata.yaml": seeds.records,
    "pg12.rdf": seeds.descriptions,
    "pg_catalog.csv": seeds.catalogues,
}


def targets() -> list[Target]:
    """All of them."""
    unreadable = (UnreadableWorkError,)
    books = seeds.books()
    beside = [case for name, found in _BESIDE.items() for case in within(name, found()[:6])]
    return [
        Target("gutenberg text", "text", _book, books, [*gutenberg_texts(), *prose()], unreadable),
        Target("metadata.yaml", "text", _record, seeds.records(), yaml_documents(), unreadable),
        Target("catalogue", "csv", _catalogue, seeds.catalogues(), csv_tables(), ()),
        Target("gutenberg folder", "text", _folder, beside, (), (CorpusError,), 0.5),
        Target("people and years", "text", _people, _NAMES, prose(), ()),
        Target("prose", "text", _prose, [PARAGRAPH.encode(), *books[:4]], prose(), ()),
    ]


def _book(case: bytes, _: Path) -> None:
    envelope = open_envelope(decode(case))
    read_header(envelope.header)
    cut(chapters(envelope.body))


def _record(case: bytes, _: Path) -> None:
    read_yaml(case, "metadata.yaml")


def _catalogue(case: bytes, folder: Path) -> None:
    (folder / "pg_catalog.csv").write_bytes(case)
    read_catalogue(folder / "pg_catalog.csv", {1, 11, 12, 84, 9999999})


def _folder(case: bytes, folder: Path) -> None:
    for name in _BESIDE:
        (folder / name).unlink(missing_ok=True)
    (folder / "12.txt").write_bytes(_SOUND)
    placed(case, folder, tuple(_BESIDE))
    provided(Gutenberg(folder, language=None))


def _people(case: bytes, _: Path) -> None:
    text = case.decode("utf-8", "replace")
    for read in (read_life, read_year, read_person, parse_year):
        read(text)


def _prose(case: bytes, _: Path) -> None:
    blocks = paragraphs(clean(case.decode("utf-8", "replace")))
    reading_ease(block.text for block in blocks)
    cut([blocks])
