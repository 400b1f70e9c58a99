"""What the columns of a user's table mean: which holds the text, the ID, and each fact of a work."""

from __future__ import annotations

import difflib
import logging
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from wotd.errors import ConfigurationError, CorpusError
from wotd.providers.literature.cells import as_list, as_number, as_text, as_text_or_list, as_year, is_empty
from wotd.providers.text import count_words
from wotd.taxonomy import NO_FACT, Fact

logger = logging.getLogger(__name__)

_TEXTS = ("title", "language", "licence", "source")
_LISTS = ("authors", "translators", "genres", "subjects")
_YEARS = ("year_written", "year_of_text")
_FACTS = (*_TEXTS, *_LISTS, *_YEARS, "reading_ease")
NAMES = ("id", "index", "text", *_FACTS)
"""Our names; a column of the same name is found without being named."""

COMPUTED = "word_count"
"""A fact that is always measured and never read."""

_SHOWN = 20


class Columns:
    """A mapping from our names to the user's columns, and the reading of cells by it."""

    def __init__(
        self, columns: Mapping[str, str | None] | None, facts: Mapping[str, str] | None, separator: str
    ) -> None:
        self.named = {ours: column for ours, column in (columns or {}).items() if column is not None}
        self.facts = dict(facts or {})
        self.separator = separator
        self.unreadable: Counter[str] = Counter()
        """Cells that could not be read as what they stand for, by our name."""
        _check_names(self.named, self.facts)
        self._stated = [(name, self.column(name)) for name in (*_FACTS, *self.facts)]

    def column(self, name: str) -> str:
        """The user's column for one of our names or for a further fact."""
        return self.named.get(name) or self.facts.get(name) or name

    @property
    def wanted(self) -> set[str]:
        """Every column that could be read."""
        return {self.column(name) for name in (*NAMES, *self.facts)}

    def text(self, cells: Mapping[str, Any]) -> str | None:
        """The text of a row, or None where there is not one word."""
        text = cells.get(self.column("text"))
        return text if isinstance(text, str) and count_words(text) else None

    def id(self, cells: Mapping[str, Any]) -> str:
        """The ID of the work a row belongs to, or nothing."""
        cell = cells.get(self.column("id"))
        try:
            return "" if is_empty(cell) else as_text(cell)
        except ValueError:
            return ""

    def index(self, cells: Mapping[str, Any]) -> float:
        """Where a row stands in its work; those that do not say so come last."""
        cell = cells.get(self.column("index"))
        try:
            return math.inf if is_empty(cell) else as_number(cell)
        except ValueError:
            self.unreadable["index"] += 1
            return math.inf

    def stated(self, rows: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, Fact]:
        """The facts that the rows of a work state; of several values the first that can be read counts.

        Args:
            rows: how to name each row to a person, and its cells.
        """
        facts: dict[str, Fact] = {}
        for place, cells in rows:
            for name, column in self._stated:
                cell = cells.get(column)
                if cell is None or is_empty(cell) or facts.get(name, NO_FACT).known:
                    continue
                try:
                    facts[name] = Fact.stated(self._value(name, cell))
                except ValueError as error:
                    self.unreadable[name] += 1
                    logger.info("%s: a cell for %s is left out: %s", place, name, error)
        return facts

    def _value(self, name: str, cell: Any) -> Any:
        if name in _TEXTS:
            return as_text(cell)
        if name in _LISTS:
            return as_list(cell, self.separator)
        if name in _YEARS:
            return as_year(cell)
        return as_number(cell) if name == "reading_ease" else as_text_or_list(cell, self.separator)

    def check(self, existing: Mapping[str, Iterable[str]]) -> None:
        """See that every file has the text, and that each column the user named is in one of them.

        Args:
            existing: file name → its columns, none for a file without rows.

        Raises:
            CorpusError: naming the column, those that exist, and the nearest.
        """
        every: dict[str, None] = {}
        for file, columns in existing.items():
            present = dict.fromkeys(columns)
            every |= present
            if present and self.column("text") not in present:
                raise CorpusError(_missing("columns.text", self.column("text"), file, present))
        settings = {f"columns.{ours}": column for ours, column in self.named.items()}
        settings |= {f"facts.{fact}": column for fact, column in self.facts.items()}
        for setting, column in settings.items():
            if every and column not in every:
                raise CorpusError(_missing(setting, column, ", ".join(list(existing)[:_SHOWN]), every))


def _check_names(columns: Mapping[str, str], facts: Mapping[str, str]) -> None:
    for ours in columns:
        if ours not in NAMES:
            near = difflib.get_close_matches(ours, NAMES, 1)
            hint = f"; did you mean {near[0]}?" if near else ", or a fact of your own in provider.facts."
            raise ConfigurationError(f"provider.columns names '{ours}'; expected {', '.join(NAMES)}{hint}")
    for fact in facts:
        if fact == COMPUTED:
            raise ConfigurationError(f"provider.facts names '{fact}', which is measured on the text.")
        if fact in NAMES:
            raise ConfigurationError(f"provider.facts names '{fact}', which is ours; set provider.columns.{fact}.")


def _missing(setting: str, column: str, where: str, columns: Iterable[str]) -> str:
    existing = [name for name in columns if name]
    folded = {name.casefold(): name for name in existing}
    near = difflib.get_close_matches(column.casefold(), folded, 1, cutoff=0.5)
    hint = f"; did you mean '{folded[near[0]]}'?" if near else "."
    shown = ", ".join(existing[:_SHOWN]) + (" …" if len(existing) > _SHOWN else "")
    return f"provider.{setting} is '{column}', a column that {where} does not have; it has {shown}{hint}"
