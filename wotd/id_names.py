"""What levels and codes are called, and which of them a name means."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wotd.errors import InputError
from wotd.semantic_ids import IDPattern, SemanticID
from wotd.taxonomy import Taxonomy


@dataclass(frozen=True)
class IDNames:
    """The names of an encoder's levels and codes.

    Attributes:
        level_sizes: codes per level.
        taxonomy: what names them; None where levels are free, which are called by their numbers.
    """

    level_sizes: tuple[int, ...]
    taxonomy: Taxonomy | None

    @property
    def levels(self) -> tuple[str, ...]:
        """Names of the levels; ``level_0`` … where they are free."""
        if self.taxonomy is not None:
            return self.taxonomy.level_names
        return tuple(f"level_{level}" for level in range(len(self.level_sizes)))

    def codes(self, level: int) -> tuple[str, ...]:
        """Names of all codes of a level; their numbers where levels are free."""
        if self.taxonomy is not None:
            return self.taxonomy.levels[level].codes
        return tuple(map(str, range(self.level_sizes[level])))

    def of(self, semantic_id: SemanticID) -> list[str]:
        """Names of the codes of an ID or a prefix, level by level; a suffix is its number."""
        if self.taxonomy is None:
            return [str(index) for index in semantic_id]
        levels = len(self.level_sizes)
        return self.taxonomy.describe(semantic_id.indices[:levels]) + [
            str(rank) for rank in semantic_id.indices[levels:]
        ]

    def narrowed(self, pattern: IDPattern, levels: Mapping[str, str | int]) -> IDPattern:
        """The pattern with levels chosen by name, and of each the name or the number of a code.

        Raises:
            InputError: if there is no such level or code, or a level is asked to be two things.
        """
        chosen = [*pattern.indices, *[None] * (len(self.level_sizes) - len(pattern))]
        for name, wanted in levels.items():
            level = _place(name, self.levels, "level")
            codes = self.codes(level)
            index = int(wanted) if str(wanted).isdecimal() and str(wanted) not in codes else None
            if index is None:
                index = _place(str(wanted), codes, name)
            elif index >= len(codes):
                raise InputError(f"{name} is {wanted}; expected 0 to {len(codes) - 1}, or a name.")
            if chosen[level] not in (None, index):
                raise InputError(f"{name} is to be both {codes[chosen[level] or 0]} and {codes[index]}; expected one.")
            chosen[level] = index
        return IDPattern(tuple(chosen))


def _place(wanted: str, names: Sequence[str], what: str) -> int:
    """Where a name stands among others, whatever its case and however its words are joined."""
    plain = [_plain(name) for name in names]
    if _plain(wanted) in plain:
        return plain.index(_plain(wanted))
    near = difflib.get_close_matches(_plain(wanted), plain, n=1, cutoff=0.5)
    hint = f"; the nearest is {names[plain.index(near[0])]}" if near else ""
    listed = names if len(names) <= 16 else (*names[:3], "…", names[-1])
    raise InputError(f"{what} is {wanted[:80]!r}, and there are {', '.join(listed)}{hint}.")


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("-", " ").replace("_", " ").split())
