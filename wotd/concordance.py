"""Words in passages: which passages contain a word, and where in them it stands.

A word is a run of letters, digits and the marks on them, with apostrophes inside: *fog* is found in "fog-bank" and
"_fog_", not in "foggy" or "fog's". Case does not count, accents do, typographic apostrophes and hyphens are as straight
ones, and composed letters are as decomposed ones. Several words are found where they follow each other.

Texts are scanned as they are, by Arrow and without the interpreter's lock: no index has to be built, held in memory or
kept in step. One expression says what a word is to both Arrow, which finds passages, and Python, which finds places.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wotd.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

MAX_CHARACTERS = 200
"""The longest word, or words, that are looked for."""

_APOSTROPHES, _HYPHENS = "'\u2019", "-\u2010\u2011"
_BEFORE = r"(?:^['\x{2019}]?|[^\p{L}\p{M}\p{N}'\x{2019}]|[^\p{L}\p{M}\p{N}]['\x{2019}])"
_AFTER = r"(?:$|[^\p{L}\p{M}\p{N}'\x{2019}]|['\x{2019}](?:$|[^\p{L}\p{M}\p{N}]))"
_CLUSTER = re.compile("(?s).[\u0300-\u036f]*")
_PLAIN = re.compile("[a-z]+(?![a-z]*[\u0300-\u036f])|[a-z]+(?=[a-z][\u0300-\u036f])")
_SCANNED_ROWS = 65_536


class Word:
    """A word, or several in a row, as something to look for."""

    def __init__(self, text: str) -> None:
        """Read what somebody typed.

        Raises:
            InputError: if there is no letter or digit in it, or it is too long.
        """
        if len(text) > MAX_CHARACTERS:
            raise InputError(f"word has {len(text)} characters; at most {MAX_CHARACTERS} are looked for.")
        parts = [_trimmed(part) for part in unicodedata.normalize("NFD", text).lower().split()]
        self._parts = [part for part in parts if part]
        if not self._parts:
            raise InputError(f"word is {text!r}; expected letters or digits, such as fog.")
        self._spelling = r"\s+".join(map(_spelling, self._parts))

    def __str__(self) -> str:
        """As it is looked for."""
        return unicodedata.normalize("NFC", " ".join(self._parts))

    def rows(self, texts: pa.ChunkedArray, rows_N: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """Rows whose text contains it, ascending.

        Args:
            texts: a column of strings.
            rows_N: where to look, ascending; None: everywhere.
        """
        where_N = np.arange(len(texts)) if rows_N is None else rows_N
        starts = range(0, len(where_N), _SCANNED_ROWS)
        found = [self._scan(texts, where_N[first : first + _SCANNED_ROWS]) for first in starts]
        return np.concatenate([np.empty(0, dtype=np.int64), *found])

    def places(self, text: str) -> list[tuple[int, int]]:
        """Where it stands in a text: first character and the one behind the last, in code points."""
        found = re.finditer(self._spelling, text, re.IGNORECASE)
        return [match.span() for match in found if _is_whole(text, *match.span())]

    def _scan(self, texts: pa.ChunkedArray, rows_N: NDArray[np.int64]) -> NDArray[np.int64]:
        import pyarrow.compute as pc

        plain = max((run for part in self._parts for run in _PLAIN.findall(part)), key=len, default="")
        # Plain letters are found several times faster than the whole expression, and few passages have them.
        for expression in filter(None, (plain, f"{_BEFORE}{self._spelling}{_AFTER}")):
            some = texts.take(rows_N)
            mask = pc.fill_null(pc.match_substring_regex(some, f"(?i){expression}"), False)
            rows_N = rows_N[mask.to_numpy()]
        return rows_N


def _spelling(part: str) -> str:
    """An expression, for RE2 and Python, of all ways to write a decomposed word in lower case."""
    return "".join(map(_spelled, _CLUSTER.findall(part)))


def _spelled(cluster: str) -> str:
    for same in (_APOSTROPHES, _HYPHENS):
        if cluster in same:
            return f"[{re.escape(same)}]"
    composed = unicodedata.normalize("NFC", cluster)
    if composed == cluster:
        return re.escape(cluster)
    return f"(?:{re.escape(composed)}|{re.escape(cluster)})"


def _trimmed(part: str) -> str:
    """Without the marks of punctuation around it."""
    kept = [place for place, character in enumerate(part) if _in_word(character)]
    return part[kept[0] : kept[-1] + 1] if kept else ""


def _is_whole(text: str, first: int, end: int) -> bool:
    """Whether no word goes on across either border."""
    before, after = text[max(0, first - 2) : first][::-1], text[end : end + 2]
    return not any(_goes_on(beside) for beside in (before, after))


def _goes_on(beside: str) -> bool:
    """Whether a word goes on into the characters beside it, nearest first."""
    if beside[:1] and beside[0] in _APOSTROPHES:
        beside = beside[1:]
    return bool(beside) and _in_word(beside[0])


def _in_word(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN"
