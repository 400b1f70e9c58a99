"""Semantic IDs as values: parsing, text form, prefixes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wotd.errors import InputError

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
