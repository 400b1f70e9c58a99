"""Values from the cells of a user's table: text, lists, numbers and years, or a :class:`ValueError` in plain words."""

from __future__ import annotations

import math
import re
from datetime import date
from typing import Any

from wotd.providers.text import clean

FIRST_YEAR, LAST_YEAR = -4000, 2100
"""A year outside is a placeholder or a slip."""

_ERA = r"(?P<{0}_era>bce|bc|b\.c\.e\.|b\.c\.|ce|c\.e\.|ad|a\.d\.)?"
_ONE = r"(?:(?:circa|about|ca|c)\.? *)?(?:ad *)?(?P<{0}>-?\d{{1,4}}) *" + _ERA + r" *\??"
_YEAR = re.compile(_ONE.format("first") + "(?: *(?:-|/|to) *" + _ONE.format("last") + ")?")
_DATE = re.compile(r"(-?\d{1,4})-\d{2}-\d{2}(?:[t ].*)?")
_WHOLE = re.compile(r"(-?\d+)\.0*")
_DASHES = str.maketrans("\u2010\u2011\u2012\u2013\u2014\u2212", "------")


def is_empty(value: Any) -> bool:
    """Whether a cell says nothing: null, NaN, blanks, an empty list."""
    if isinstance(value, float):
        return math.isnan(value)
    return not value.strip() if isinstance(value, str) else value is None or value in ([], {})


def as_text(value: Any) -> str:
    """One line of text; whole numbers lose the ``.0`` that a table with gaps gives them."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, str | int | float):
        raise ValueError(f"{value!r} is no text")
    return " ".join(clean(str(value)).split())


def as_list(value: Any, separator: str) -> list[str]:
    """The items of a list, or of a cell that holds several between separators."""
    if not isinstance(value, list):
        value = as_text(value).split(separator) if separator else [value]
    return [as_text(item) for item in value if not is_empty(item)]


def as_text_or_list(value: Any, separator: str) -> str | list[str]:
    """A list where the cell holds several items, else text; what a fact of unknown meaning becomes.

    Numbers become text too: both kinds of taxonomy rule read it, the one as a number, the other as a name.
    """
    items = as_list(value, separator)
    return items[0] if len(items) == 1 and not isinstance(value, list) else items


def as_number(value: Any) -> float:
    """A finite number."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is no number")
    return number


def as_year(value: Any) -> int:
    """A year, BC negative; a range counts by its middle.

    Understood are ``1847``, ``"1847"``, ``"1847.0"``, ``"-458"``, ``"458 BC"``, ``"c. 1600"``,
    ``"1771–1790"``, ``"1850-51"``, ``"27 BC – AD 14"`` and ISO dates.
    """
    year = _year(value.year if isinstance(value, date) else value)
    if year is None or not FIRST_YEAR <= year <= LAST_YEAR:
        raise ValueError(f"{value!r} is no year from {FIRST_YEAR} to {LAST_YEAR}")
    return year


def _year(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if not isinstance(value, str):
        return int(value) if math.isfinite(value) and value == int(value) else None
    text = value.strip().casefold().translate(_DASHES)
    if match := _WHOLE.fullmatch(text) or _DATE.fullmatch(text):
        return int(match[1])
    match = _YEAR.fullmatch(text)
    return _middle(match) if match else None


def _middle(match: re.Match[str]) -> int | None:
    first, last = match["first"], match["last"]
    first_era, last_era = match["first_era"], match["last_era"]
    if last is None:
        return _signed(first, first_era)
    if not (first_era or last_era) and first.isdigit() and len(last) < len(first):
        last = first[: -len(last)] + last  # "1850-51" writes only the digits that change
    begin, end = _signed(first, first_era or last_era), _signed(last, last_era)
    return (begin + end) // 2 if begin <= end else None


def _signed(digits: str, era: str | None) -> int:
    return -abs(int(digits)) if era and era.startswith("b") else int(digits)
