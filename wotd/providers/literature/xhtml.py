"""From the XHTML of a Standard Ebooks text to chapters of blocks: prose, verse with its lines, speeches.

Kept is what the author wrote for reading on: paragraphs, stanzas, letters, lists, dialogue. Left out
are front and back matter, headings and whatever stands with them in a chapter's header, notes and
their numbers, figures, and tables of figures.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from lxml import etree

from wotd.providers.text import MIN_WORDS, Block, clean, count_words
from wotd.providers.xml import parse_xml

_XHTML = "{http://www.w3.org/1999/xhtml}"
_MATH = "{http://www.w3.org/1998/Math/MathML}math"
_EPUB_TYPE = "{http://www.idpf.org/2007/ops}type"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _tags(names: str) -> frozenset[str]:
    return frozenset(_XHTML + name for name in names.split())


_ABBR = _XHTML + "abbr"
_BR = _XHTML + "br"
_DT = _XHTML + "dt"
_FOOTER = _XHTML + "footer"
_P = _XHTML + "p"
_SPAN = _XHTML + "span"
_TABLE = _XHTML + "table"
_TD = _XHTML + "td"
_TH = _XHTML + "th"
_TR = _XHTML + "tr"
_SECTIONS = _tags("article section")
_MARGINS = _tags("header footer")
_INLINE = _tags(
    "a abbr b bdi bdo big br cite code data del dfn em i ins kbd mark q ruby s samp small span strong sub sup time tt u"
    " var wbr"
) | {_MATH}
_SKIPPED_TAGS = _tags(
    "audio canvas caption colgroup figcaption figure form h1 h2 h3 h4 h5 h6 head hgroup hr iframe img map nav noscript"
    " object rp rt script style template title video"
)
_SKIPPED_TYPES = _words(
    "acknowledgments afterword annotation backlink backmatter bibliography bridgehead colophon contributors "
    "copyright-page dedication endnote endnotes epigraph footnote footnotes foreword frontmatter halftitlepage "
    "imprint index introduction landmarks loi lot noteref preamble preface rearnote rearnotes se:bridgehead "
    "subtitle title titlepage toc z3998:annotation z3998:bibliography z3998:dramatis-personae "
    "z3998:editorial-note z3998:frontispiece z3998:introductory-note z3998:publisher-logo"
)
_SKIPPED_INLINE_TYPES = frozenset({"backlink", "noteref"})
_VERSE = frozenset({"z3998:hymn", "z3998:lyrics", "z3998:poem", "z3998:song", "z3998:verse"})
_DRAMA = frozenset({"z3998:drama", "z3998:scene"})
_LETTER = frozenset({"z3998:diary", "z3998:diary-entry", "z3998:letter"})
_PERSONA = frozenset({"z3998:persona"})
_DIRECTION = frozenset({"z3998:stage-direction"})
_WITHIN_CHAPTER = frozenset({"z3998:subchapter"})

_LINE_BREAK = "\x0b"
"""Stands for ``<br/>`` until the line ends of the source file have become blanks."""

_DOUBLE_BRACKETS = re.compile(r"\(\(([^()]*)\)\)")
# Hair spaces only keep quotation marks and ellipses apart; the vertical ellipsis marks lines that are lost.
_PLAIN = str.maketrans(
    {"\t": " ", "\n": " ", "\r": " ", "\f": " ", _LINE_BREAK: "\n", "\u200a": None, "\u22ee": "\u2026"}
)


def parse_chapters(data: bytes, name: str) -> list[list[Block]]:
    """The chapters of one text file, none where it is front or back matter.

    A chapter is the file, or in it each article and each section that is typed (a poem, a story, a
    scene); a section without a type, or a subchapter, belongs to what holds it.

    Raises:
        UnreadableWorkError: if the file is not well-formed, too large, or declares entities.
    """
    body = parse_xml(data, name).find(_XHTML + "body")
    if body is None:
        return []
    reader = _ChapterReader()
    reader.read(body)
    return reader.chapters


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What the elements around a piece of text say of it."""

    verse: bool = False
    drama: bool = False

    def within(self, types: frozenset[str]) -> _Surroundings:
        """The same, one element further in."""
        if not types & (_VERSE | _DRAMA):
            return self
        return replace(self, verse=self.verse or bool(types & _VERSE), drama=self.drama or bool(types & _DRAMA))


class _ChapterReader:
    """Walks a document once and collects its chapters."""

    def __init__(self) -> None:
        self.chapters: list[list[Block]] = []
        self._blocks: list[Block] = []
        self._labels: list[str] = []

    def read(self, body: etree._Element) -> None:
        """Collect the chapters of a body."""
        self._element(body, _Surroundings())
        self._close_chapter()

    def _element(self, element: etree._Element, around: _Surroundings) -> None:
        types = _types(element)
        if element.tag in _SKIPPED_TAGS or types & _SKIPPED_TYPES or element.get("hidden") is not None:
            return
        around = around.within(types)
        if element.tag == _P:
            self._paragraph(element, around)
        elif element.tag == _TABLE:
            self._table(element, around)
        elif element.tag == _DT:
            self._labels.extend(_names(element))
        elif element.tag in _MARGINS:
            self._margin(element, around)
        elif element.tag in _SECTIONS and types and not types & _WITHIN_CHAPTER:
            self._close_chapter()
            self._contents(element, around)
            self._close_chapter()
        elif element.tag.startswith(_XHTML):
            self._contents(element, around)

    def _contents(self, element: etree._Element, around: _Surroundings, *, loose: bool = True) -> None:
        """The blocks within an element; text that stands between them, where it is not ``loose`` furniture."""
        run: list[str] = [element.text or ""]
        for child in element:
            if _is_inline(child):
                run.extend(_inline(child))
            else:
                if loose:
                    self._add("".join(run), verse=around.verse)
                run = []
                self._element(child, around)
            run.append(child.tail or "")
        if loose:
            self._add("".join(run), verse=around.verse)

    def _paragraph(self, paragraph: etree._Element, around: _Surroundings) -> None:
        lines = _count_lines(paragraph)
        run: list[str] = [paragraph.text or ""]
        for child in paragraph:
            run.extend(_inline(child))
            run.append(child.tail or "")
            if lines and child.tag == _SPAN:
                run.append(_LINE_BREAK)
        self._add("".join(run), verse=lines > 1 or around.verse)

    def _table(self, table: etree._Element, around: _Surroundings) -> None:
        """Speeches of a play; of any other table only the paragraphs, for its cells are figures."""
        spoken = around.drama or any(_types(cell) & _PERSONA for cell in table.iter(_TD))
        for row in _rows(table):
            for cell in row.iterchildren(_TD, _TH):
                types = _types(cell)
                if types & _PERSONA:
                    self._labels.extend(_names(cell))
                else:
                    self._contents(cell, around.within(types), loose=spoken)
            self._release_labels()

    def _margin(self, margin: etree._Element, around: _Surroundings) -> None:
        """What heads or closes a quoted letter or notice, and who speaks; of a chapter's own only what is long."""
        parent = margin.getparent()
        quoted = parent is not None and parent.tag not in _SECTIONS
        in_letter = parent is not None and bool(_types(parent) & _LETTER)
        if quoted and (in_letter or margin.tag == _FOOTER):
            self._contents(margin, around)
        elif quoted:
            self._labels.extend(name for part in margin.iter() if _types(part) & _PERSONA for name in _names(part))
        else:
            # Titles and summaries are typed, or short; a vignette that opens a chapter is neither.
            for paragraph in margin.iterchildren(_P):
                if not _types(paragraph) and count_words(" ".join(_names(paragraph))) >= MIN_WORDS:
                    self._paragraph(paragraph, around)

    def _add(self, text: str, *, verse: bool) -> None:
        """Add a block; prose that stands among verse has no line breaks and stays prose."""
        lines = [line for line in clean(_marked(text)).split("\n") if line]
        if not lines:
            return
        if self._labels:
            lines[0] = f"{', '.join(self._labels)}: {lines[0]}"
            self._labels = []
        verse = verse and _LINE_BREAK in text
        self._blocks.append(Block(("\n" if verse else " ").join(lines), verse=verse))

    def _release_labels(self) -> None:
        """Let a speaker who says nothing stand alone, lest the next one's words become his."""
        if self._labels:
            names, self._labels = ", ".join(self._labels), []
            self._add(names, verse=False)

    def _close_chapter(self) -> None:
        self._release_labels()
        if self._blocks:
            self.chapters.append(self._blocks)
            self._blocks = []


def _marked(text: str) -> str:
    """Text with its line breaks, and no other."""
    plain = text.translate(_PLAIN)
    # Some editors bracket stage directions themselves; once is enough.
    return _DOUBLE_BRACKETS.sub(r"(\1)", plain) if "((" in plain else plain


def _types(element: etree._Element) -> frozenset[str]:
    kinds = element.get(_EPUB_TYPE) if isinstance(element.tag, str) else None
    return frozenset(kinds.split()) if kinds else frozenset()


def _is_inline(element: etree._Element) -> bool:
    return element.tag in _INLINE or not isinstance(element.tag, str)


def _count_lines(paragraph: etree._Element) -> int:
    """How many lines of verse a paragraph is made of, a span each; 0 if it is made of anything else."""
    if (paragraph.text or "").strip():
        return 0
    lines = 0
    for child in paragraph:
        if child.tag not in (_SPAN, _BR) or (child.tail or "").strip():
            return 0
        lines += child.tag == _SPAN
    return lines


def _inline(element: etree._Element, *, in_direction: bool = False) -> Iterator[str]:
    """The text of an inline element; stage directions in round brackets, as the edition shows them."""
    kind: object = element.tag
    if not isinstance(kind, str):
        # An entity of HTML, such as &nbsp;, which the parser leaves as it is; comments say nothing.
        yield html.unescape(element.text or "") if kind is etree.Entity else ""
        return
    if kind == _BR:
        yield _LINE_BREAK
        return
    if kind == _MATH:
        yield element.get("alttext", "")
        return
    types = _types(element)
    skipped = kind in _SKIPPED_TAGS or types & _SKIPPED_INLINE_TYPES or not kind.startswith(_XHTML)
    if skipped or element.get("hidden") is not None:
        return
    direction = bool(types & _DIRECTION) and not in_direction and kind != _ABBR
    inner = [element.text or ""]
    for child in element:
        inner.extend(_inline(child, in_direction=in_direction or direction))
        inner.append(child.tail or "")
    if direction:
        text = "".join(inner)
        bracketed = text.strip().startswith(("(", "["))
        yield text if bracketed or not text.strip() else f"({text.strip()})"
    elif kind in _INLINE:
        yield from inner
    else:
        yield " ".join(["", *inner, ""])


def _names(element: etree._Element) -> list[str]:
    """The names of speakers or the terms in an element, one a line, without the stop after them."""
    parts = [element.text or ""]
    for child in element:
        parts.extend(_inline(child))
        parts.append(child.tail or "")
    return [name for line in clean(_marked("".join(parts))).split("\n") if (name := line.rstrip(" .:,"))]


def _rows(table: etree._Element) -> Iterator[etree._Element]:
    """The rows of a table itself, not of tables within it."""
    for part in table:
        if part.tag == _TR:
            yield part
        else:
            yield from part.iterchildren(_TR)
