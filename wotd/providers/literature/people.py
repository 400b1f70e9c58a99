"""People as library catalogues write them: ``Virgil, 71 BCE-20 BCE`` → a name in reading order and a life.

A catalogue says when someone lived, not when they wrote; :meth:`Life.writing_year` estimates that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

AGE_AT_WRITING = 35
YEARS_WRITTEN_BEFORE_DEATH = 30
"""The 70 authors of known life in the catalogue this was checked on lived 64.5 years in the median: 30 after 35."""

_LONGEST = 300
"""Characters of an entry that are read; what is longer is no name and no span of years."""

_ERA = r"(?:\s*(?P<{0}era>b\.?\s?c\.?(?:\s?e\.?)?|c\.?\s?e\.|ce|a\.?\s?d\.?))?"
_POINT = (
    r"(?:(?:approximately|about|circa|ca?\.|before|after|born|died|[bd]\.)\s*)*(?P<{0}year>\d{{1,4}})"
    r"(?P<{0}century>(?:st|nd|rd|th)(?:\s+cent(?:ury|\.))?)?\s?\??(?:\s+or\s+\d{{1,4}}\??)?" + _ERA
)
_LIFE = re.compile(
    rf"(?P<active>(?:active|flourished|fl\.)\s+)?(?:{_POINT.format('from_')})?\s*(?P<dash>-)?\s*(?:{_POINT.format('to_')})?",
    re.IGNORECASE,
)
_YEAR = re.compile(_POINT.format(""), re.IGNORECASE)
_DEATH_ONLY = re.compile(r"(?:d\.|died)", re.IGNORECASE)
_BIRTH_ONLY = re.compile(r"(?:b\.|born)", re.IGNORECASE)
_BRACKETS = re.compile(r"\s*\([^()]*\)")
_ROLE = re.compile(r"\s*\[([^\]]*)\]\s*$")
_GENERATION = re.compile(r"jr\.?|sr\.?|i{2,3}|iv|fils|père", re.IGNORECASE)
_TITLE = re.compile(
    r"(?:sir|saint|lord|lady|dame|mrs|mr|dr|rev|baron|baroness|count|countess|graf|freiherr|pope|king|queen|emperor"
    r"|prince|princess|duke|duchess|earl|marquis|viscount|bishop|archbishop|captain|st)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Life:
    """Years of birth and death, or the year around which someone was active; BC is negative."""

    birth: int | None = None
    death: int | None = None
    active: int | None = None

    @property
    def known(self) -> bool:
        """Whether any year is known."""
        return (self.birth, self.death, self.active) != (None, None, None)

    def writing_year(self) -> int | None:
        """The year such a life makes likeliest for a work: at 35, but not after death."""
        if self.active is not None:
            return self.active
        if self.birth is not None:
            year = self.birth + AGE_AT_WRITING
            return year if self.death is None else min(year, self.death)
        return None if self.death is None else self.death - YEARS_WRITTEN_BEFORE_DEATH


@dataclass(frozen=True, slots=True)
class Person:
    """A name in reading order (``Karl Marx``), a life, and the role the catalogue gives (empty: author)."""

    name: str
    life: Life = Life()
    role: str = ""


def read_life(text: str) -> Life:
    """The life that a span of years tells, as in ``1730?-1774``, ``-1471`` or ``active 6th century B.C.``."""
    plain = re.sub(r"[\u2010-\u2015\u2212]", "-", text[:_LONGEST]).strip()
    match = _LIFE.fullmatch(plain)
    if not match or not any(char.isdigit() for char in plain):
        return Life()
    later = match["to_era"] or ""
    start = _year(match["from_year"], match["from_century"] or match["to_century"], match["from_era"] or _if_bc(later))
    end = _year(match["to_year"], match["to_century"], later)
    if match["active"]:
        years = [year for year in (start, end) if year is not None]
        return Life(active=sum(years) // len(years))
    if not match["dash"]:
        return Life(start if _BIRTH_ONLY.match(plain) else None, start if _DEATH_ONLY.match(plain) else None)
    return Life() if start is not None and end is not None and start > end else Life(start, end)


def read_year(value: object) -> int | None:
    """A year as metadata hold it: a number, or text such as ``1730?`` or ``428 BCE``."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) < 10_000 else None
    plain = str(value or "").strip()
    if re.fullmatch(r"-\d{1,4}", plain):
        return int(plain)
    match = _YEAR.fullmatch(plain)
    return _year(match["year"], match["century"], match["era"]) if match else None


def read_person(text: str, life: Life | None = None) -> Person | None:
    """The person a catalogue entry names; None for the entries that stand for nobody in particular.

    Args:
        text: ``Family, Given (Full Given), Title, 1818-1883 [Role]``, of which only the first part is needed.
        life: the life where the metadata hold it apart from the name.
    """
    text = " ".join(text[:_LONGEST].split())
    role = _ROLE.search(text)
    parts = [part.strip() for part in _BRACKETS.sub("", _ROLE.sub("", text)).split(",")]
    told = read_life(parts[-1]) if len(parts) > 1 else Life()
    if told.known:
        parts.pop()
    name = _reading_order([part for part in parts if part])
    if name.casefold() in ("", "various", "unknown", "various authors"):
        return None
    return Person(name, life if life and life.known else told, role[1].strip().casefold() if role else "")


def _reading_order(parts: list[str]) -> str:
    if len(parts) < 2 or _TITLE.match(parts[1]):
        return " ".join(parts[0].split()) if parts else ""
    family, given, *rest = parts
    epithet = given[0].islower() and not family[0].islower()  # "Thomas, à Kempis": no given name, nothing to turn round
    suffix = [part for part in rest if _GENERATION.fullmatch(part)]
    return " ".join(" ".join([family, given] if epithet else [given, family, *suffix]).split())


def _year(digits: str | None, century: str | None, era: str | None) -> int | None:
    if not digits:
        return None
    year = int(digits) * 100 - 50 if century else int(digits)
    return -year if _if_bc(era) else year


def _if_bc(era: str | None) -> str:
    return era if era and era.lower().startswith("b") else ""
