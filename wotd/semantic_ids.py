"""Semantic IDs and patterns of them as values: parsing, text form, prefixes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wotd.errors import InputError

_TEXT_FORM = re.compile(r"\d{1,9}(-\d{1,9}){0,63}", re.ASCII)
_PATTERN_FORM = re.compile(r"(\d{1,9}|\*)(-(\d{1,9}|\*)){0,63}", re.ASCII)


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
        _check_sizes(f"semantic ID {self}", self.indices, sizes)


@dataclass(frozen=True, slots=True)
class IDPattern:
    """Which IDs are meant: an index per level, or any (None). Levels behind the last one are any, too.

    So a prefix is a pattern, and the empty pattern means all IDs.
    """

    indices: tuple[int | None, ...] = ()

    def __post_init__(self) -> None:
        """Give equal meanings one form, and refuse negative indices."""
        if any(index is not None and index < 0 for index in self.indices):
            raise InputError(f"ID pattern {list(self.indices)} has a negative index; expected 0 or more, or any.")
        meant = self.indices
        while meant and meant[-1] is None:
            meant = meant[:-1]
        object.__setattr__(self, "indices", meant)

    @classmethod
    def parse(cls, text: str) -> IDPattern:
        """Read the text form, such as ``5-*-6`` (any index on level 1) or the prefix ``5-3``.

        Raises:
            InputError: if the text is anything but non-negative integers and asterisks joined by hyphens.
        """
        stripped = text.strip()
        if not stripped:
            return cls()
        if not _PATTERN_FORM.fullmatch(stripped):
            raise InputError(
                f"ID pattern is {text[:80]!r}; expected indices, or * for any, joined by hyphens, such as 5-*-6."
            )
        return cls(tuple(None if part == "*" else int(part) for part in stripped.split("-")))

    def __str__(self) -> str:
        """The text form."""
        return "-".join("*" if index is None else str(index) for index in self.indices)

    def __len__(self) -> int:
        """How many levels it speaks of."""
        return len(self.indices)

    def matches(self, semantic_id: SemanticID) -> bool:
        """Whether the ID is one of those that are meant."""
        return len(semantic_id) >= len(self) and all(
            wanted in (None, index) for wanted, index in zip(self.indices, semantic_id, strict=False)
        )

    def check_sizes(self, sizes: Sequence[int]) -> None:
        """Refuse a pattern that no ID of a quantizer with these level sizes can match.

        Raises:
            InputError: the first level that is too many or out of range.
        """
        _check_sizes(f"ID pattern {self}", self.indices, sizes)


def _check_sizes(what: str, indices: Sequence[int | None], sizes: Sequence[int]) -> None:
    if len(indices) > len(sizes):
        raise InputError(f"{what} has {len(indices)} levels; these artifacts have {len(sizes)}.")
    for level, (index, size) in enumerate(zip(indices, sizes, strict=False)):
        if index is not None and index >= size:
            raise InputError(f"{what}: level {level} is {index}; expected 0 to {size - 1}.")
