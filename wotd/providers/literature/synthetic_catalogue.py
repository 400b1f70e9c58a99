"""Which works the synthetic corpus holds: who wrote what, when, in which cell, and with whose names in it.

Everything here is cheap and drawn before a word is written, so that works can be written one by one,
each on its own. Draws use nothing of :mod:`random` but string seeds and ``random()``, which Python
promises to keep the same in every version.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from wotd.providers.literature.synthetic_lexicon import Era, Style, eras, styles
from wotd.providers.text import count_syllables

Item = TypeVar("Item")

SIDE = 8
"""Styles, complexities and eras are eight each."""

_TWICE = (0, 2, 4, 6, 3, 1, 7, 5)
"""Doubling in the field of eight elements; it makes the square of complexities orthogonal to that of eras."""

_CAST = 8
_TOWNS = 4


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in a work, and the pronouns that go with the name."""

    name: str
    pronouns: tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Plan:
    """A work before it is written."""

    style: Style
    era: Era
    complexity: int
    """0 easiest to 7 hardest: what the writer aims at; the label is measured on what was written."""
    author: str
    year: int
    cast: tuple[Person, ...]
    towns: tuple[str, ...]


def draw(rng: random.Random, items: Sequence[Item]) -> Item:
    """One of the items."""
    return items[int(rng.random() * len(items))]


def shuffled(rng: random.Random, items: Sequence[Item]) -> list[Item]:
    """The items in a random order."""
    return sorted(items, key=lambda _: rng.random())


def slug(text: str) -> str:
    """Lower-case letters and digits joined by hyphens."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return "-".join(re.findall(r"[a-z0-9]+", re.sub(r"['’]", "", plain.lower())))


def plans(seed: int, n_works: int) -> list[Plan]:
    """The works in the order they are thought of: every eight use each style, complexity and era once."""
    rng = random.Random(f"{seed}:cells")
    orders = [shuffled(rng, range(SIDE)) for _ in range(3)]
    cells = [tuple(order[code] for order, code in zip(orders, cell(n), strict=True)) for n in range(n_works)]
    planned: dict[int, Plan] = {}
    for number, era in enumerate(eras()):
        names = _EraNames(era, seed)
        # The easiest works choose their names first, and the shortest come first.
        works = sorted((n for n in range(n_works) if cells[n][2] == number), key=lambda n: (cells[n][1], n))
        for nth, n in enumerate(works):
            planned[n] = _plan(seed, n, cells[n], names, nth)
    return [planned[n] for n in range(n_works)]


def cell(index: int) -> tuple[int, int, int]:
    """Style, complexity and era of the n-th work, before each is shuffled.

    64 works fill every pair of style and era once. The second 64 come back to the same cells, so
    that works differ by variation alone; the later rounds move to other complexities.
    """
    round_, place = divmod(index, SIDE * SIDE)
    diagonal, style = divmod(place, SIDE)
    return style, _TWICE[style] ^ diagonal ^ (round_ // 2 * 3 % SIDE), style ^ diagonal


def _plan(seed: int, index: int, codes: Sequence[int], names: _EraNames, nth: int) -> Plan:
    # Each author has a style of their own in the first round, then takes up others'.
    author = (cell(index)[0] + 3 * (index // SIDE**2)) % SIDE
    return Plan(
        style=styles()[codes[0]],
        era=names.era,
        complexity=codes[1],
        author=names.authors[author],
        year=_year(seed, names.era, author, random.Random(f"{seed}:{index}:year")),
        cast=names.cast(nth),
        towns=names.towns(nth),
    )


def _year(seed: int, era: Era, author: int, rng: random.Random) -> int:
    """A year of the author's working life, which lies in one era."""
    first, last = era.years
    working_life = min(30, last - first)
    begins = first + int(random.Random(f"{seed}:{era.name}:{author}").random() * (last - first - working_life + 1))
    return begins + int(rng.random() * (working_life + 1))


class _EraNames:
    """Hands out an era's names so that no two works share any, until the stock is used up."""

    def __init__(self, era: Era, seed: int) -> None:
        rng = random.Random(f"{seed}:{era.name}:names")
        self.era = era
        people = [(name, True) for name in era.names.women] + [(name, False) for name in era.names.men]
        people = shuffled(rng, people)
        families, towns = shuffled(rng, era.names.families), shuffled(rng, era.names.towns)
        self.authors = [
            era.author.format(given=people[n][0], family=families[n % len(families)], town=towns[n])
            for n in range(SIDE)
        ]
        self._towns = sorted(towns[SIDE:], key=count_syllables)
        self._people = self._titled(rng, families[SIDE:]) if era.names.women_titles else people[SIDE:]
        self._people.sort(key=lambda person: count_syllables(person[0]))

    def _titled(self, rng: random.Random, families: Sequence[str]) -> list[tuple[str, bool]]:
        names = self.era.names
        women = [rng.random() < 0.5 for _ in families]
        return [
            (f"{draw(rng, names.women_titles if woman else names.men_titles)} {family}", woman)
            for woman, family in zip(women, families, strict=True)
        ]

    def cast(self, nth: int) -> tuple[Person, ...]:
        """The people of the era's n-th work."""
        people = [self._people[(nth * _CAST + n) % len(self._people)] for n in range(_CAST)]
        return tuple(Person(name, ("she", "her", "her") if woman else ("he", "him", "his")) for name, woman in people)

    def towns(self, nth: int) -> tuple[str, ...]:
        """The towns of the era's n-th work."""
        return tuple(self._towns[(nth * _TOWNS + n) % len(self._towns)] for n in range(_TOWNS))
