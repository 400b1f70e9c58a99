"""The levels of a semantic ID, the names of their codes, and the rules that turn facts into labels.

A taxonomy is data (``conf/taxonomy/*.yaml``); this module only reads it. Three kinds of rule say how
a level gets its code from one fact of a work:

``first_match``
    codes in order; the first whose ``any`` shares a value with the fact, and whose ``none`` does not.
``edges``
    ordered numbers cut the line into ``len(edges) + 1`` codes; a value on an edge belongs to the
    code that begins there (ascending edges) or, where edges descend, to the easier code above it.
``rank``
    the rank of a work among the works that share all other codes; only on the last level.

What no fact says stays unknown (``None``): nothing here guesses, and nothing hashes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from wotd.errors import ConfigurationError

MAX_RANKS = 100_000
"""The most codes that a ranked level may have."""

UNKNOWN_CODE = -1
"""How an unknown code is written in a tensor or a table; in JSON it is null, in Python ``None``."""


class Origin(StrEnum):
    """Where a fact comes from."""

    STATED = "stated"
    ESTIMATED = "estimated"
    COMPUTED = "computed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing a provider's metadata says of a work, and how it came to say so."""

    value: Any = None
    origin: Origin = Origin.UNKNOWN

    @classmethod
    def stated(cls, value: Any) -> Fact:
        """A fact the metadata states; an empty value is no fact."""
        return cls(value, Origin.STATED) if value not in (None, "", [], ()) else cls()

    @classmethod
    def computed(cls, value: Any) -> Fact:
        """A fact measured on the text itself; None (nothing could be measured) is no fact."""
        return cls(value, Origin.COMPUTED) if value is not None else cls()

    @classmethod
    def estimated(cls, value: Any) -> Fact:
        """A fact inferred from another one, such as a year from an author's life."""
        return cls(value, Origin.ESTIMATED) if value is not None else cls()

    @property
    def known(self) -> bool:
        """Whether there is a value."""
        return self.origin is not Origin.UNKNOWN


Facts = Mapping[str, Fact]
"""Facts of a work by name: ``title``, ``authors``, ``genres``, ``reading_ease``, ``year_written`` …"""

NO_FACT = Fact()


@dataclass(frozen=True, slots=True)
class Label:
    """One code per level as the rules derive it, and the origin of the fact behind each."""

    codes: tuple[int | None, ...]
    origins: tuple[Origin, ...]


@dataclass(frozen=True, slots=True)
class FirstMatch:
    """Codes tried in order against a fact that holds one value or several."""

    any_of: tuple[frozenset[str], ...]
    none_of: tuple[frozenset[str], ...]

    def code(self, value: Any) -> int | None:
        """The first code that wants one of the values and refuses none of them."""
        values = {_folded(v) for v in ([value] if isinstance(value, str) else value)}
        for code, (wanted, refused) in enumerate(zip(self.any_of, self.none_of, strict=True)):
            if values & wanted and not values & refused:
                return code
        return None


@dataclass(frozen=True, slots=True)
class Edges:
    """Numbers that cut a measured fact into codes, ascending or descending."""

    edges: tuple[float, ...]

    @property
    def descending(self) -> bool:
        """Whether high values come first, as with reading ease."""
        return len(self.edges) > 1 and self.edges[0] > self.edges[-1]

    def code(self, value: Any) -> int | None:
        """How many edges lie before the value."""
        number = float(value)
        if number != number:
            return None
        if self.descending:
            return sum(number < edge for edge in self.edges)
        return sum(number >= edge for edge in self.edges)


@dataclass(frozen=True, slots=True)
class Level:
    """One level: its name, the names of its codes, and the rule that picks one (None: by rank)."""

    name: str
    codes: tuple[str, ...]
    fact: str | None = None
    rule: FirstMatch | Edges | None = None

    @property
    def size(self) -> int:
        """How many codes the level has."""
        return len(self.codes)

    @property
    def ranked(self) -> bool:
        """Whether the level counts works instead of describing them."""
        return self.rule is None

    @property
    def ordered(self) -> bool:
        """Whether neighbouring codes are neighbours in meaning, such as eras: the rule cuts a line."""
        return isinstance(self.rule, Edges)

    def code(self, facts: Facts) -> tuple[int | None, Origin]:
        """The code of a described level and the origin of the fact it rests on."""
        fact = facts.get(self.fact or "", NO_FACT)
        if self.rule is None or not fact.known:
            return None, Origin.UNKNOWN
        try:
            code = self.rule.code(fact.value)
        except (TypeError, ValueError) as error:
            raise ConfigurationError(
                f"taxonomy level {self.name}: the fact '{self.fact}' is {fact.value!r}, which its rule cannot read."
            ) from error
        return (None, Origin.UNKNOWN) if code is None else (code, fact.origin)


@dataclass(frozen=True, slots=True)
class Overflow:
    """A cell that holds more works than the ranked level has codes."""

    cell: tuple[int, ...]
    works: int
    size: int


@dataclass(frozen=True)
class Taxonomy:
    """Named levels in order, with a version that changes whenever a label could change."""

    name: str
    version: int
    levels: tuple[Level, ...]

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> Taxonomy:
        """Read a taxonomy from plain data, as a YAML or JSON file holds it.

        Raises:
            ConfigurationError: what is missing or contradictory, by the name of its level.
        """
        for key in ("name", "version", "levels"):
            if key not in data:
                raise ConfigurationError(f"taxonomy: the key '{key}' is missing; expected name, version, levels.")
        where = f"taxonomy {data['name']}"
        levels = tuple(_level(f"{where}, level {n}", entry) for n, entry in enumerate(_listed(where, data, "levels")))
        if not levels:
            raise ConfigurationError(f"{where}: levels is empty; expected at least one level.")
        names = [level.name for level in levels]
        if len(set(names)) != len(names):
            raise ConfigurationError(f"{where}: two levels share a name among {names}.")
        if any(level.ranked for level in levels[:-1]):
            raise ConfigurationError(f"{where}: only the last level may have the rule 'rank'.")
        return cls(str(data["name"]), _whole(where, data, "version"), levels)

    def to_mapping(self) -> dict[str, Any]:
        """The plain data that :meth:`from_mapping` reads back to an equal taxonomy."""
        return {"name": self.name, "version": self.version, "levels": [_plain(level) for level in self.levels]}

    @property
    def sizes(self) -> tuple[int, ...]:
        """Codes per level."""
        return tuple(level.size for level in self.levels)

    @property
    def level_names(self) -> tuple[str, ...]:
        """Names of the levels."""
        return tuple(level.name for level in self.levels)

    def describe(self, code: Sequence[int]) -> list[str]:
        """Names of the codes of an ID or of a prefix of one.

        Raises:
            ConfigurationError: if the code is longer than the taxonomy or an index is out of range.
        """
        if len(code) > len(self.levels):
            raise ConfigurationError(f"code has {len(code)} levels; the taxonomy {self.name} has {len(self.levels)}.")
        for level, index in zip(self.levels, code, strict=False):
            if not 0 <= index < level.size:
                raise ConfigurationError(f"{level.name} is {index}; expected 0 to {level.size - 1}.")
        return [level.codes[index] for level, index in zip(self.levels, code, strict=False)]

    def describe_label(self, label: Sequence[int | None]) -> list[str | None]:
        """Names of a label's codes: None where it has none; the number of a rank, which may go beyond the codes."""
        return [
            None if code is None else str(code) if level.ranked else level.codes[code]
            for level, code in zip(self.levels, label, strict=False)
        ]

    def label_works(
        self,
        works: Iterable[tuple[str, Facts]],
        published: Mapping[str, Sequence[int | None]] | None = None,
    ) -> dict[str, Label]:
        """Label works by the rules; rank each within its cell.

        Args:
            works: pairs of corpus ID and facts; they arrive together, so ties are broken by ID.
            published: corpus ID → label of an earlier ``semantic_ids.json``. Those labels do not
                move, and the ranks they hold stay taken whether or not their works come again.

        Returns:
            corpus ID → label, in order of ID.

        Raises:
            ConfigurationError: if a published label has another number of levels, or a fact is of
                a kind that the rule of its level cannot read.
        """
        published = published or {}
        for corpus_id, codes in published.items():
            if len(codes) != len(self.levels):
                raise ConfigurationError(
                    f"taxonomy: the published label of {corpus_id} has {len(codes)} levels; "
                    f"the taxonomy {self.name} has {len(self.levels)}."
                )
        taken: dict[tuple[int, ...], set[int]] = {}
        if self.levels[-1].ranked:
            for codes in published.values():
                *cell, rank = codes
                if rank is not None:
                    taken.setdefault(tuple(c for c in cell if c is not None), set()).add(rank)
        labels: dict[str, Label] = {}
        for corpus_id, facts in sorted(works, key=lambda pair: pair[0]):
            described = [level.code(facts) for level in self.levels if not level.ranked]
            origins = [origin for _, origin in described]
            if corpus_id in published:
                codes = list(published[corpus_id])
                origins += [Origin.COMPUTED] * (len(codes) - len(origins))
                kept = zip(codes, origins, strict=True)
                labels[corpus_id] = Label(
                    tuple(codes),
                    tuple(
                        Origin.UNKNOWN if c is None else (o if o.value != "unknown" else Origin.STATED) for c, o in kept
                    ),
                )
                continue
            codes = [code for code, _ in described]
            if self.levels[-1].ranked:
                rank = _next_rank(codes, taken)
                codes.append(rank)
                origins.append(Origin.UNKNOWN if rank is None else Origin.COMPUTED)
            labels[corpus_id] = Label(tuple(codes), tuple(origins))
        return labels

    def overflows(self, labels: Iterable[Label]) -> list[Overflow]:
        """Cells whose works outnumber the codes of the ranked level, the fullest first."""
        if not self.levels[-1].ranked:
            return []
        cells: dict[tuple[int, ...], int] = {}
        for label in labels:
            *cell, rank = label.codes
            if rank is not None:
                key = tuple(c for c in cell if c is not None)
                cells[key] = max(cells.get(key, 0), rank + 1)
        size = self.levels[-1].size
        over = [Overflow(cell, works, size) for cell, works in cells.items() if works > size]
        return sorted(over, key=lambda o: (-o.works, o.cell))


def _next_rank(cell: Sequence[int | None], taken: dict[tuple[int, ...], set[int]]) -> int | None:
    known = tuple(code for code in cell if code is not None)
    if len(known) < len(cell):
        return None
    ranks = taken.setdefault(known, set())
    rank = max(ranks, default=-1) + 1
    ranks.add(rank)
    return rank


def _level(where: str, entry: Any) -> Level:
    if not isinstance(entry, Mapping):
        raise ConfigurationError(f"{where} is {entry!r}; expected a mapping of name, fact and rule.")
    if not entry.get("name"):
        raise ConfigurationError(f"{where}: the key 'name' is missing.")
    name, rule = str(entry["name"]), entry.get("rule")
    where = f"taxonomy level {name}"
    if rule not in ("first_match", "edges", "rank"):
        raise ConfigurationError(f"{where}: rule is {rule!r}; expected first_match, edges or rank.")
    if rule == "rank":
        size = _whole(where, entry, "size")
        if not 1 <= size <= MAX_RANKS:
            raise ConfigurationError(f"{where}: size is {size}; the rule 'rank' needs 1 to {MAX_RANKS}.")
        return Level(name, tuple(str(rank) for rank in range(size)))
    if not entry.get("fact"):
        raise ConfigurationError(f"{where}: the key 'fact' is missing; the rule '{rule}' reads one.")
    codes, reading = _first_match(where, entry) if rule == "first_match" else _edges(where, entry)
    if twins := [code for code, count in Counter(codes).items() if count > 1]:
        raise ConfigurationError(f"{where}: two codes are named '{twins[0]}'.")
    return Level(name, codes, str(entry["fact"]), reading)


def _edges(where: str, entry: Mapping[str, Any]) -> tuple[tuple[str, ...], Edges]:
    edges, codes = list(_listed(where, entry, "edges")), tuple(map(str, _listed(where, entry, "codes")))
    for edge in edges:
        if not isinstance(edge, int | float) or edge != edge:
            raise ConfigurationError(f"{where}: edges holds {edge!r}; expected numbers.")
    if len(codes) != len(edges) + 1:
        raise ConfigurationError(
            f"{where}: {len(edges)} edges make {len(edges) + 1} codes, but {len(codes)} are named."
        )
    if edges not in (sorted(set(edges)), sorted(set(edges), reverse=True)):
        raise ConfigurationError(f"{where}: edges {edges} neither rise nor fall throughout.")
    return codes, Edges(tuple(map(float, edges)))


def _first_match(where: str, entry: Mapping[str, Any]) -> tuple[tuple[str, ...], FirstMatch]:
    names, any_of, none_of = [], [], []
    for code in _listed(where, entry, "codes"):
        if not isinstance(code, Mapping):
            raise ConfigurationError(f"{where}: codes holds {code!r}; expected a mapping of name, any and none.")
        if "name" not in code:
            raise ConfigurationError(f"{where}: a code holds {dict(code)}; the key 'name' is missing.")
        strange = sorted(map(str, set(code) - {"name", "any", "none"}))
        if strange:
            raise ConfigurationError(f"{where}: a code has the key '{strange[0]}'; expected name, any or none.")
        names.append(str(code["name"]))
        any_of.append(frozenset(map(_folded, _listed(where, {"any": (), **code}, "any"))))
        none_of.append(frozenset(map(_folded, _listed(where, {"none": (), **code}, "none"))))
    if not names:
        raise ConfigurationError(f"{where}: codes is empty; the rule 'first_match' needs some.")
    return tuple(names), FirstMatch(tuple(any_of), tuple(none_of))


def _listed(where: str, entry: Mapping[str, Any], key: str) -> Sequence[Any]:
    """The list under a key; a text is refused, for its letters would pass as a list."""
    value = entry.get(key)
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ConfigurationError(f"{where}: {key} is {value!r}; expected a list.")
    return value


def _whole(where: str, entry: Mapping[str, Any], key: str) -> int:
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigurationError(f"{where}: {key} is {value!r}; expected a whole number.")
    return value


def _plain(level: Level) -> dict[str, Any]:
    if level.rule is None:
        return {"name": level.name, "rule": "rank", "size": level.size}
    entry: dict[str, Any] = {"name": level.name, "fact": level.fact}
    if isinstance(level.rule, Edges):
        return entry | {"rule": "edges", "edges": list(level.rule.edges), "codes": list(level.codes)}
    rows = zip(level.codes, level.rule.any_of, level.rule.none_of, strict=True)
    return entry | {
        "rule": "first_match",
        "codes": [{"name": name, "any": sorted(wanted), "none": sorted(refused)} for name, wanted, refused in rows],
    }


def _folded(value: Any) -> str:
    return str(value).replace("\u2019", "'").casefold().strip()
