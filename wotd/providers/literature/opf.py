"""What the package document (``content.opf``) of a Standard Ebooks work says: its facts and its reading order.

The provider renamed its fields in 2026 (``se:subject`` became ``schema:genre`` and so on); both
vocabularies are read. A ``meta`` with ``refines`` belongs to another element and never to the work.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from lxml import etree

from wotd.errors import UnreadableWorkError
from wotd.providers.base import first_unique
from wotd.providers.epub import path_inside
from wotd.providers.text import clean
from wotd.providers.xml import parse_xml
from wotd.taxonomy import Fact

GENRE = ("schema:genre", "se:subject")
READING_EASE = ("schema:educationalLevel", "se:reading-ease.flesch")
WORD_COUNT = ("schema:wordCount", "se:word-count")
OTHER_NAME = ("schema:alternateName", "se:name.person.full-name")

_OPF = "{http://www.idpf.org/2007/opf}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_XHTML_TYPE = "application/xhtml+xml"


@dataclass(frozen=True, slots=True)
class Package:
    """Facts of a work, the paths of its documents in reading order, and the path of its colophon."""

    facts: dict[str, Fact]
    documents: tuple[str, ...]
    colophon: str


def parse_package(data: bytes, path: str) -> Package:
    """Read a package document.

    Args:
        data: the document.
        path: where it lies in its publication; the paths it names are relative to it.

    Raises:
        UnreadableWorkError: if it is no well-formed package document or has no metadata.
    """
    root = parse_xml(data, PurePosixPath(path).name)
    metadata = root.find(_OPF + "metadata")
    if metadata is None or len(metadata) == 0:
        raise UnreadableWorkError("the package document has no metadata")
    manifest = {item.get("id", ""): item for item in root.iterfind(f"{_OPF}manifest/{_OPF}item")}
    spine = [manifest.get(ref.get("idref", "")) for ref in root.iterfind(f"{_OPF}spine/{_OPF}itemref")]
    documents = first_unique(
        target for item in spine if item is not None and (target := _document_path(item, path)) is not None
    )
    listed = [target for item in manifest.values() if (target := _document_path(item, path)) is not None]
    colophon = next((p for p in listed if PurePosixPath(p).stem == "colophon"), None)
    return Package(
        _facts(metadata),
        tuple(documents),
        colophon or str(PurePosixPath(path).parent / "text/colophon.xhtml"),
    )


def _document_path(item: etree._Element, package_path: str) -> str | None:
    """Where a text of the manifest lies; None for images, navigation and what lies outside the publication."""
    if item.get("media-type") != _XHTML_TYPE or "nav" in item.get("properties", "").split():
        return None
    return path_inside(package_path, item.get("href", ""))


def _facts(metadata: etree._Element) -> dict[str, Fact]:
    authors, translators = _people(metadata, "aut"), _people(metadata, "trl")
    facts = {
        "title": Fact.stated(_main_title(metadata)),
        "authors": Fact.stated(_names(authors)),
        "alternate_names": Fact.stated(_refining(metadata, authors, OTHER_NAME)),
        "translators": Fact.stated(_names(translators)),
        "genres": Fact.stated(_plain_metas(metadata, GENRE)),
        "subjects": Fact.stated(tuple(_subject(text) for text in _all(metadata, "subject"))),
        "reading_ease": Fact.stated(_first_number(_plain_metas(metadata, READING_EASE))),
        "word_count": Fact.stated(_whole(_first_number(_plain_metas(metadata, WORD_COUNT)))),
        "language": Fact.stated(next(iter(_all(metadata, "language")), None)),
        "source": Fact.stated(_all(metadata, "source")),
        "licence": Fact.stated(" ".join(_all(metadata, "rights"))),
    }
    return {name: fact for name, fact in facts.items() if fact.known}


def _text(element: etree._Element) -> str:
    return " ".join(clean("".join(str(text) for text in element.itertext())).split())


def _texts(elements: Iterable[etree._Element]) -> tuple[str, ...]:
    return tuple(first_unique(text for element in elements if (text := _text(element))))


def _all(metadata: etree._Element, name: str) -> tuple[str, ...]:
    return _texts(metadata.iterfind(_DC + name))


def _plain_metas(metadata: etree._Element, properties: Sequence[str]) -> tuple[str, ...]:
    """Values of the metas that speak of the work itself."""
    metas = metadata.iterfind(_OPF + "meta")
    return _texts(meta for meta in metas if meta.get("property") in properties and meta.get("refines") is None)


def _refining(
    metadata: etree._Element, elements: Iterable[etree._Element], properties: Sequence[str]
) -> tuple[str, ...]:
    """Values of the metas that speak of the given elements."""
    targets = {"#" + element.get("id", "") for element in elements}
    metas = metadata.iterfind(_OPF + "meta")
    return _texts(meta for meta in metas if meta.get("property") in properties and meta.get("refines") in targets)


def _people(metadata: etree._Element, role: str) -> list[etree._Element]:
    """Creators and contributors with a MARC relator; a creator without any is an author."""
    roles: dict[str, set[str]] = {}
    for meta in metadata.iterfind(_OPF + "meta"):
        if meta.get("property") == "role":
            roles.setdefault(meta.get("refines", ""), set()).add(_text(meta))
    people = [*metadata.iterfind(_DC + "creator"), *metadata.iterfind(_DC + "contributor")]
    return [
        person
        for person in people
        if role in roles.get("#" + person.get("id", ""), {"aut"} if person.tag == _DC + "creator" else ())
    ]


def _names(people: Iterable[etree._Element]) -> tuple[str, ...]:
    return _texts(people)


def _main_title(metadata: etree._Element) -> str | None:
    """The title that is refined as the main one, else the first."""
    titles = list(metadata.iterfind(_DC + "title"))
    main = [title for title in titles if _refining(metadata, [title], ("title-type",)) == ("main",)]
    return next(iter(_texts(main or titles)), None)


def _subject(heading: str) -> str:
    """A library subject heading, its parts joined in one way."""
    return re.sub(r"\s*--\s*", " -- ", heading)


def _first_number(values: Iterable[str]) -> float | None:
    for value in values:
        if re.fullmatch(r"-?\d{1,300}(?:\.\d+)?", value):  # one of more digits would be infinite
            return float(value)
    return None


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)
