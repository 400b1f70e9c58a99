"""Semantic IDs as values: parsing, text form, prefixes, and the index from IDs to what bears them."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from wotd.errors import InputError

Item = TypeVar("Item", bound=Hashable)

_TEXT_FORM = re.compile(r"\d{1,9}(-\d{1,9}){0,63}", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class SemanticID:
    """A code of one index per level, coarse to fine; a shorter one is a prefix of many."""

    indices: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse negative indices: an unknown level is a shorter ID, not a special number."""
        if any(index < 0 for index in self.indices):
            raise InputError(
                f"semantic ID {list(self.indices)} has a negative index; expected 0 or more on each level."
            )

    @classmethod
    def parse(cls, text: str) -> SemanticID:
        """Read the text form, such as ``2-3-5-1``; the empty text is the empty prefix.

        Raises:
            InputError: if the text is anything but non-negative integers joined by hyphens.
        """
        stripped = text.strip()
        if not stripped:
            return cls(())
        if not _TEXT_FORM.fullmatch(stripped):
            raise InputError(f"semantic ID is {text[:80]!r}; expected indices joined by hyphens, such as 2-3-5-1.")
        return cls(tuple(int(part) for part in stripped.split("-")))

    def __str__(self) -> str:
        """The text form."""
        return "-".join(map(str, self.indices))

    def __len__(self) -> int:
        """How many levels it speaks of."""
        return len(self.indices)

    def __iter__(self) -> Iterator[int]:
        """The indices, coarse to fine."""
        return iter(self.indices)

    def prefix(self, depth: int) -> SemanticID:
        """Its first ``depth`` levels.

        Raises:
            InputError: if depth is negative or greater than its length.
        """
        if not 0 <= depth <= len(self):
            raise InputError(f"depth is {depth}; expected 0 to {len(self)} for the semantic ID {self}.")
        return SemanticID(self.indices[:depth])

    def startswith(self, prefix: SemanticID) -> bool:
        """Whether the prefix leads to it."""
        return self.indices[: len(prefix)] == prefix.indices

    def check_sizes(self, sizes: Sequence[int]) -> None:
        """Refuse an ID that no quantizer with these level sizes can say.

        Raises:
            InputError: the first level that is too many or out of range.
        """
        if len(self) > len(sizes):
            raise InputError(f"semantic ID {self} has {len(self)} levels; these artifacts have {len(sizes)}.")
        for level, (index, size) in enumerate(zip(self.indices, sizes, strict=False)):
            if index >= size:
                raise InputError(f"semantic ID {self}: level {level} is {index}; expected 0 to {size - 1}.")


class SemanticIDIndex(Generic[Item]):
    """Which items bear an ID or lie below a prefix; prefix look-ups by bisection."""

    def __init__(self, entries: Iterable[tuple[SemanticID, Item]]) -> None:
        """Sort the entries by ID; items of one ID keep the order they came in."""
        ordered = sorted(entries, key=lambda entry: entry[0].indices)
        self._ids = [semantic_id.indices for semantic_id, _ in ordered]
        self._items = [item for _, item in ordered]

    def __len__(self) -> int:
        """How many items it holds."""
        return len(self._items)

    def _span(self, prefix: SemanticID) -> tuple[int, int]:
        first = bisect_left(self._ids, prefix.indices)
        if not prefix.indices:
            return 0, len(self._ids)
        *head, last = prefix.indices
        return first, bisect_left(self._ids, (*head, last + 1))

    def items(self, prefix: SemanticID) -> list[Item]:
        """Items below the prefix, in order of ID."""
        first, end = self._span(prefix)
        return self._items[first:end]

    def children(self, prefix: SemanticID) -> dict[SemanticID, int]:
        """IDs one level below the prefix that bear items, and how many each."""
        first, end = self._span(prefix)
        depth = len(prefix) + 1
        counts: dict[SemanticID, int] = {}
        for indices in self._ids[first:end]:
            if len(indices) >= depth:
                child = SemanticID(indices[:depth])
                counts[child] = counts.get(child, 0) + 1
        return counts
