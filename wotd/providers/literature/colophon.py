"""The year of a work, read from the sentence that opens a Standard Ebooks colophon.

That sentence is the only place where the date of a work stands: "was published in 1847 by", "is
thought to have been written between 800 and 700 BC", "was written in the early 15th century".
BC is negative; a range counts by its middle, a century or a decade by the middle of what is named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, takewhile

from lxml import etree

LATEST_YEAR = 2100
"""A number beyond it is no year."""

_LONGEST_SENTENCE = 10_000
"""Characters of a sentence that are looked through for a year."""

_XHTML = "{http://www.w3.org/1999/xhtml}"
_EPUB_TYPE = "{http://www.idpf.org/2007/ops}type"
_NAME_TAGS = frozenset(_XHTML + tag for tag in ("a", "cite", "em", "i"))
_TRANSLATION = re.compile(r"\b(?:It|They)\s+(?:was|were)\s+(?:\w+\s+)?translated\b")

# fmt: off
_ORDINAL_WORDS = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
    "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth",
    "twentieth", "twenty-first",
)
# fmt: on
_PARTS = {
    "early": (0, 1 / 3),
    "beginning": (0, 1 / 3),
    "first half": (0, 1 / 2),
    "mid": (1 / 3, 2 / 3),
    "middle": (1 / 3, 2 / 3),
    "second half": (1 / 2, 1),
    "late": (2 / 3, 1),
    "end": (2 / 3, 1),
}
_POINT = (
    rf"(?:(?P<part>{'|'.join(sorted(_PARTS, key=len, reverse=True))})(?:[\s-]+of\s+the)?[\s-]+)?"
    r"(?P<leading_era>A\.?D\.?\s*)?"
    rf"(?:(?P<ordinal>\d{{1,2}}(?=st|nd|rd|th)|{'|'.join(reversed(_ORDINAL_WORDS))})(?:st|nd|rd|th)?\b"
    r"(?:[\s-]+(?P<century>centur(?:y|ies)))?"
    r"|(?P<decade>\d{2,3}0)s\b"
    # A number that counts texts ("from 120 poems published in …") is no year.
    r"|(?P<year>\d{1,4})\b(?!\s+(?:[\w-]+\s+)?(?:essays|fables|letters|novellas|plays|poems|sonnets|stories|tales)\b))"
    r"(?:\s*(?P<era>B\.?C\.?E?\.?|C\.?E\.?|A\.?D\.?)(?![\w]))?"
)
_BETWEEN = r"\s*,?\s*(?:and|or|to|until|through|[-\u2013\u2014,])\s*(?:(?:in|the|circa|about|around)\s+)*"
_POINT_PATTERN = re.compile(r"(?<![\w.])" + _POINT, re.IGNORECASE)
_UNNAMED_POINT = re.sub(r"\?P<\w+>", "?:", _POINT)
_DATE_PATTERN = re.compile(rf"(?<![\w.]){_UNNAMED_POINT}(?:{_BETWEEN}{_UNNAMED_POINT})*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Dates:
    """When a work was written and, for a translation, when its text was; None where nobody says."""

    written: int | None = None
    translated: int | None = None


def read_dates(colophon: etree._Element) -> Dates:
    """The dates in the opening of a colophon, before it turns to the making of the ebook."""
    history = list(takewhile(lambda sentence: "ebook" not in sentence, _sentences(colophon)))
    if not history:
        return Dates()
    written = _TRANSLATION.split(history[0])[0]
    _, _, translation = " ".join(history).partition("translated")
    return Dates(parse_year(written), parse_year(translation))


def parse_year(sentence: str) -> int | None:
    """The year of the first date in a sentence without titles and names; None if it holds none."""
    # In one blank each: the patterns would try every way to share out a long run of them.
    plain = " ".join(sentence.replace("\u2060", "").replace("\u2011", "-").split())[:_LONGEST_SENTENCE]
    for date in _DATE_PATTERN.finditer(plain):
        spans = list(_spans([match.groupdict() for match in _POINT_PATTERN.finditer(date.group())]))
        if spans:
            return round(min(start for start, _ in spans) + max(end for _, end in spans)) // 2
    return None


def _spans(points: list[dict[str, str | None]]) -> Iterator[tuple[float, float]]:
    """First and last year of each point of a date; an era or "century" counts for the points before it too."""
    for earlier, later in pairwise(points):
        _spell_out(earlier, later)
    era, in_centuries = "", False
    for point in reversed(points):
        era = _letters(point["era"] or point["leading_era"]) or era
        in_centuries = bool(point["century"]) or (in_centuries and bool(point["ordinal"]))
        span = _span(point, era, in_centuries)
        if span:
            yield span


def _spell_out(earlier: dict[str, str | None], later: dict[str, str | None]) -> None:
    """Complete the shortened second year of a range such as 1904-30, in place."""
    first, second = earlier["year"], later["year"]
    shortened = first and second and len(second) < len(first) and int(second) < int(first)
    if first and second and shortened and not earlier["era"] and not later["era"]:
        later["year"] = first[: len(first) - len(second)] + second


def _span(point: dict[str, str | None], era: str, in_centuries: bool) -> tuple[float, float] | None:
    sign = -1 if era.startswith("B") else 1
    if point["year"]:
        year = int(point["year"])
        # Without an era, a number of one or two digits is a day, a volume or a count.
        return (sign * year, sign * year) if 0 < year <= LATEST_YEAR and (era or year >= 100) else None
    if point["decade"]:
        return _part_of(sign * int(point["decade"]), 10 * sign, point["part"])
    if point["ordinal"] and in_centuries:
        century = _number(point["ordinal"])
        start = 100 * (century - 1) if sign > 0 else -100 * century
        return _part_of(start, 100, point["part"])
    return None


def _part_of(start: float, length: float, part: str | None) -> tuple[float, float]:
    begin, end = _PARTS[part.lower()] if part else (0, 1)
    return start + begin * length, start + end * length


def _number(ordinal: str) -> int:
    return int(ordinal) if ordinal.isdigit() else _ORDINAL_WORDS.index(ordinal.lower()) + 1


def _letters(era: str | None) -> str:
    return (era or "").replace(".", "").strip().upper()


def _sentences(colophon: etree._Element) -> Iterator[str]:
    for paragraph in colophon.iter(_XHTML + "p"):
        yield " ".join("".join(_plain(paragraph)).split())


def _plain(element: etree._Element) -> Iterator[str]:
    """The text of an element without titles and names, whose numbers are not dates."""
    yield element.text or ""
    for child in element:
        if isinstance(child.tag, str) and not _is_name(child):
            yield from _time(child) if child.tag == _XHTML + "time" else _plain(child)
        yield child.tail or ""


def _is_name(element: etree._Element) -> bool:
    kinds = element.get(_EPUB_TYPE, "")
    return element.tag in _NAME_TAGS or "se:name" in kinds or "z3998:personal-name" in kinds


def _time(element: etree._Element) -> Iterator[str]:
    """The year of a ``<time>``, from its machine-readable form where it has one (0975 for "975")."""
    stated = re.match(r"\d{4}", element.get("datetime", ""))
    yield str(int(stated.group())) if stated else " ".join(str(text) for text in element.itertext())
