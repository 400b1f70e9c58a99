"""Rows grouped by code: the distinct codes in order, and behind each the rows that bear it.

Whatever begins alike stands together, so a prefix is a slice of the codes, found by binary search, and
a slice of the rows behind them. Grouping takes time linear in rows and levels, and working memory that
does not grow with the rows: arrays may be files that are mapped.

Shape letters: N rows, C distinct codes, L levels, K codes of a level, S slices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wotd.semantic_ids import IDPattern, SemanticID

NO_CODE = -1
"""Stands on the levels that a shorter ID does not have."""

_ROWS = 1 << 19
"""Rows that are looked at together while codes are grouped."""

_DIGIT_BITS = 16
"""Rows are sorted by so much of an index at a time."""

Whole = np.integer[Any]
Allocate = Callable[[str, int, np.dtype[Any]], NDArray[Any]]
"""Makes the array of that name, length and type; what it holds is of no account."""


@dataclass(frozen=True)
class CodeGroups:
    """Rows by code; all arrays may be mapped from a file.

    Attributes:
        levels: per level the indices of the distinct codes, C; ``NO_CODE`` where the ID ends before.
        starts: where the rows of each code begin, and the end of the last, C+1.
        rows: rows by code, those of one code in their order; rows without an ID are left out.
        places: of each row the place of its code among the distinct ones, N; C where it has no ID.
    """

    levels: tuple[NDArray[Whole], ...]
    starts: NDArray[Whole]
    rows: NDArray[Whole]
    places: NDArray[Whole]

    @classmethod
    def of(cls, codes_NL: NDArray[Whole]) -> CodeGroups:
        """Group codes that lie in memory; rows of nothing but ``NO_CODE`` have no ID."""
        levels = [np.ascontiguousarray(codes_N, dtype=index_type(codes_N)) for codes_N in codes_NL.T]
        return cls.grouped(levels, lambda _, length, dtype: np.empty(length, dtype))

    @classmethod
    def grouped(cls, levels: Sequence[NDArray[Whole]], allocate: Allocate) -> CodeGroups:
        """Group rows by the indices of all their levels, N each.

        Args:
            levels: indices of the rows; ``NO_CODE`` where an ID ends before.
            allocate: makes the arrays: in memory, or in files where they are large.
        """
        number = len(levels[0])
        row_type = np.dtype(np.uint32 if number < 1 << 32 else np.int64)
        rows = _with_id(levels[0], allocate("rows_a", number, row_type))
        spare = allocate("rows_b", len(rows), row_type)
        for level_N in reversed(levels):
            for digit, digits in _digits(level_N):
                _sort(rows, spare, digit, digits)
                rows, spare = spare, rows
        groups = _count(levels, rows)
        distinct = tuple(allocate(f"level_{number}", groups, level_N.dtype) for number, level_N in enumerate(levels))
        starts = allocate("starts", groups + 1, row_type)
        places = allocate("places", number, row_type)
        _name(levels, rows, distinct, starts, places)
        return cls(distinct, starts, rows, places)

    def __len__(self) -> int:
        """C, how many distinct codes there are."""
        return len(self.starts) - 1

    @cached_property
    def codes_CL(self) -> NDArray[np.int64]:  # noqa: N802  shape letters
        """The distinct codes, in order."""
        return np.stack([level_C.astype(np.int64) for level_C in self.levels], 1)

    @cached_property
    def counts_C(self) -> NDArray[np.int64]:  # noqa: N802  shape letters
        """How many rows bear each of them."""
        starts: NDArray[np.int64] = self.starts.astype(np.int64)
        return starts[1:] - starts[:-1]

    def below(self, prefix: SemanticID | Sequence[int]) -> slice:
        """Which of the distinct codes begin with a prefix; each level is two binary searches."""
        begin, end = 0, len(self)
        indices = tuple(prefix)
        if len(indices) > len(self.levels):
            return slice(0, 0)
        for level_C, index in zip(self.levels, indices, strict=False):
            if index > np.iinfo(level_C.dtype).max:
                return slice(0, 0)
            sought = level_C.dtype.type(index)  # of another type, it would have the whole array converted
            part = level_C[begin:end]
            begin, end = begin + int(part.searchsorted(sought)), begin + int(part.searchsorted(sought, "right"))
        return slice(begin, end)

    def slices(self, pattern: SemanticID | IDPattern) -> NDArray[np.int64]:
        """Which of the distinct codes match a pattern, as slices that do not touch, in order: S×2, begin and end.

        The levels before the first of any index narrow it to one slice; the rest is looked at code by code.
        """
        leading = [index for index in takewhile(lambda index: index is not None, pattern.indices) if index is not None]
        within = self.below(leading)
        if len(pattern) > len(self.levels) or within.start == within.stop:
            return np.zeros((0, 2), dtype=np.int64)
        levels = zip(self.levels, pattern.indices, strict=False)
        rest = [(level_C[within], index) for level_C, index in levels if index is not None][len(leading) :]
        if not rest:
            return np.array([(within.start, within.stop)])
        places = np.flatnonzero(rest[0][0] == rest[0][1])
        for part, index in rest[1:]:
            places = places[part[places] == index]
        return _slices(places + within.start)

    def count(self, pattern: SemanticID | IDPattern) -> int:
        """How many rows bear a code that matches."""
        return int(np.diff(self.starts[self.slices(pattern)].astype(np.int64)).sum())

    def rows_of(self, places: slice) -> NDArray[Whole]:
        """The rows behind a slice of the distinct codes, code after code: a view."""
        return self.rows[int(self.starts[places.start]) : int(self.starts[places.stop])]

    def matching(self, pattern: SemanticID | IDPattern) -> NDArray[np.int64]:
        """The rows that bear a code that matches, in their own order."""
        parts = [self.rows_of(slice(*part)) for part in self.slices(pattern).tolist()]
        return np.sort(np.concatenate([np.zeros(0, dtype=np.int64), *parts]))

    def children(self, prefix: SemanticID) -> list[tuple[SemanticID, int]]:
        """IDs one level below a prefix that rows bear, in order, and how many bear each; none behind the last level."""
        depth, within = len(prefix), self.below(prefix)
        if depth >= len(self.levels) or within.start == within.stop:
            return []
        part = self.levels[depth][within]
        first, last = max(0, int(part[0])), int(part[-1])
        indices = np.arange(first, last + 1) if last - first < len(part) else np.unique(part[part >= first])
        begins = within.start + part.searchsorted(indices.astype(part.dtype))
        counts = np.diff(self.starts[np.append(begins, within.stop)].astype(np.int64))
        pairs = zip(indices.tolist(), counts.tolist(), strict=True)
        return [(SemanticID((*prefix, index)), count) for index, count in pairs if count]

    def code(self, row: int) -> SemanticID | None:
        """The ID of a row; None where it has none."""
        place = int(self.places[row])
        if place >= len(self):
            return None
        indices = (int(level_C[place]) for level_C in self.levels)
        return SemanticID(tuple(index for index in indices if index != NO_CODE))


def index_type(codes: NDArray[Whole]) -> np.dtype[Any]:
    """The narrowest type that holds these indices, and ``NO_CODE`` where it occurs."""
    least, most = (int(codes.min()), int(codes.max())) if codes.size else (0, 0)
    return narrowest(least, most)


def narrowest(least: int, most: int) -> np.dtype[Any]:
    """The narrowest type that holds these two numbers; unsigned if it can be."""
    kinds = (np.uint8, np.uint16, np.uint32) if least >= 0 else (np.int8, np.int16, np.int32)
    return next((np.dtype(kind) for kind in kinds if most <= np.iinfo(kind).max), np.dtype(np.int64))


def _chunks(length: int) -> Iterator[slice]:
    for start in range(0, length, _ROWS):
        yield slice(start, min(start + _ROWS, length))


def _with_id(level_N: NDArray[Whole], rows: NDArray[Whole]) -> NDArray[Whole]:
    """The rows that have an ID, in order, written to the front of an array."""
    filled = 0
    for chunk in _chunks(len(level_N)):
        found = np.flatnonzero(level_N[chunk] != NO_CODE) + chunk.start
        rows[filled : filled + len(found)] = found
        filled += len(found)
    return rows[:filled]


def _slices(places: NDArray[np.intp]) -> NDArray[np.int64]:
    """Ascending places as slices of those that follow each other, S×2."""
    if not len(places):
        return np.zeros((0, 2), dtype=np.int64)
    gaps = np.flatnonzero(np.diff(places) > 1)
    return np.stack([places[np.r_[0, gaps + 1]], places[np.r_[gaps, len(places) - 1]] + 1], 1)


Digit = Callable[[NDArray[Whole]], NDArray[Whole]]
"""Gives the digits, 0 to 65535, of rows."""


def _digits(level_N: NDArray[Whole]) -> Iterator[tuple[Digit, int]]:
    """What a level is sorted by, and how many digits there are: its indices, or parts of them, the lesser first."""
    most = max((int(level_N[chunk].max()) for chunk in _chunks(len(level_N))), default=0) - NO_CODE
    for shift in range(0, max(1, most.bit_length()), _DIGIT_BITS):

        def digit(rows: NDArray[Whole], shift: int = shift) -> NDArray[Whole]:
            raised = level_N[rows].astype(np.int64) - NO_CODE
            return ((raised >> shift) & ((1 << _DIGIT_BITS) - 1)).astype(np.uint16)

        yield digit, min((most >> shift) + 1, 1 << _DIGIT_BITS)


def _sort(rows: NDArray[Whole], into: NDArray[Whole], digit: Digit, digits: int) -> None:
    """Put rows in the order of a digit, equal ones in the order in which they are: a pass of a radix sort."""
    counts = np.zeros(digits, dtype=np.int64)
    for chunk in _chunks(len(rows)):
        counts += np.bincount(digit(rows[chunk]), minlength=digits)
    free = np.cumsum(counts) - counts  # where the next row of each digit goes
    for chunk in _chunks(len(rows)):
        part = rows[chunk]
        digit_n = digit(part)
        order = np.argsort(digit_n, kind="stable")
        here = np.bincount(digit_n, minlength=digits)
        before = np.cumsum(here) - here
        into[(free - before)[digit_n[order]] + np.arange(len(part))] = part[order]
        free += here


def _runs(levels: Sequence[NDArray[Whole]], rows: NDArray[Whole]) -> Iterator[tuple[slice, NDArray[np.bool_]]]:
    """Part by part, which of the sorted rows bear another code than the row before them."""
    last: list[Whole] | None = None
    for chunk in _chunks(len(rows)):
        begins = np.zeros(chunk.stop - chunk.start, dtype=np.bool_)
        ends: list[Whole] = []
        for number, level_N in enumerate(levels):
            indices = level_N[rows[chunk]]
            begins[1:] |= indices[1:] != indices[:-1]
            begins[0] |= last is None or indices[0] != last[number]
            ends.append(indices[-1])
        last = ends
        yield chunk, begins


def _count(levels: Sequence[NDArray[Whole]], rows: NDArray[Whole]) -> int:
    return sum(int(np.count_nonzero(begins)) for _, begins in _runs(levels, rows))


def _name(
    levels: Sequence[NDArray[Whole]],
    rows: NDArray[Whole],
    distinct: Sequence[NDArray[Whole]],
    starts: NDArray[Whole],
    places: NDArray[Whole],
) -> None:
    """Fill in the distinct codes, where their rows begin, and the place of each row."""
    for chunk in _chunks(len(places)):
        places[chunk] = len(starts) - 1
    done = 0
    for chunk, begins in _runs(levels, rows):
        firsts = np.flatnonzero(begins)
        named = slice(done, done + len(firsts))
        starts[named] = firsts + chunk.start
        places[rows[chunk]] = done - 1 + np.cumsum(begins)
        for level_N, level_C in zip(levels, distinct, strict=True):
            level_C[named] = level_N[rows[chunk][firsts]]
        done += len(firsts)
    starts[done] = len(rows)
