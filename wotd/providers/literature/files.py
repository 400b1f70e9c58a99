"""The user's own texts: JSONL, CSV or Parquet, one row a text, with a mapping from our names to their columns.

Rows that share an ID are one work, wherever they stand; its passages come in the order of the rows,
or of the column ``index`` where there is one. The files are read through once to find the rows of
each work (some 250 bytes of memory a row); texts are fetched again when they are asked for.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Literal, NamedTuple

from wotd.errors import ConfigurationError, CorpusError
from wotd.providers.base import Provider, Work, speaks
from wotd.providers.literature.columns import COMPUTED, Columns
from wotd.providers.literature.rows import Csv, JsonLines, Parquet, Table
from wotd.providers.text import MIN_WORDS, Block, clean, count_words, cut_passages, reading_ease
from wotd.taxonomy import Fact

logger = logging.getLogger(__name__)

FORMATS: dict[str, type[JsonLines] | type[Csv] | type[Parquet]] = {
    ".jsonl": JsonLines,
    ".ndjson": JsonLines,
    ".csv": Csv,
    ".tsv": Csv,
    ".parquet": Parquet,
}
"""What is read, by suffix."""

VERSE_WIDTH = 60
"""A paragraph of several lines is verse where no line is longer; prose is wrapped wider than that."""

NO_TEXT = "a row without text"
NO_ID = "a row without an ID"
NO_ROWS = "a file without rows"
NOT_A_FORMAT = "a file of a format that is not read"
NO_PASSAGE = f"no passage of {MIN_WORDS} words or more"
TOO_SHORT = f"shorter than {MIN_WORDS} words"


class Place(NamedTuple):
    """Where a row of a work stands; places sort by work and, within a work, in order of reading."""

    id: str
    position: float
    table: int
    number: int
    offset: int


class Files(Provider):
    """Works from a JSONL, CSV or Parquet file, or from a folder of such files."""

    name = "files"

    def __init__(
        self,
        *,
        root: str | Path | None = None,
        columns: Mapping[str, str | None] | None = None,
        facts: Mapping[str, str] | None = None,
        language: str | Sequence[str] | None = None,
        separator: str = ";",
        passages: Literal["cut", "keep"] = "cut",
        max_passages_per_work: int | None = 200,
    ) -> None:
        """Say where the rows are and what their columns mean.

        Args:
            root: a file, or a folder whose files are read in sorted order.
            columns: our name → the user's column; null or left out: the column of the same name, if any.
            facts: name of a further fact → the user's column, for a taxonomy that reads other facts.
            language: keep works in these languages (``en`` admits ``en-GB``); null keeps all.
            separator: stands between the items of a list in one cell.
            passages: ``cut`` cuts each text into passages, ``keep`` takes each text as one passage as it is.
            max_passages_per_work: spread evenly over the work; null keeps all.
        """
        super().__init__(max_passages_per_work)
        if passages not in ("cut", "keep"):
            raise ConfigurationError(f"provider.passages is '{passages}'; expected cut or keep.")
        self.root = root
        self.columns = Columns(columns, facts, separator)
        self.language = language
        self.cuts = passages == "cut"
        self._accounted: set[tuple[str, str]] = set()

    @property
    def configured(self) -> bool:
        """Whether a root is given."""
        return bool(self.root)

    def works(self) -> Iterator[Work]:
        """Yield the works in order of ID.

        Raises:
            CorpusError: if a file cannot be read at all, or lacks a column that is needed.
        """
        self.columns.unreadable.clear()
        tables = [self._table(path) for path in self._paths()]
        for name, places in groupby(self._places(tables), key=attrgetter("id")):
            work = self._work(f"{self.name}:{name}", tables, list(places))
            if work is not None:
                yield work
        for fact, count in sorted(self.columns.unreadable.items()):
            logger.warning("%s: %d cells could not be read and were left out", fact, count)

    def _paths(self) -> list[Path]:
        if not self.root:
            raise CorpusError("provider.root is not set; files reads the file or the folder it names.")
        root, expected = Path(self.root).expanduser(), f"expected {', '.join(FORMATS)}"
        if not root.exists():
            raise CorpusError(f"provider.root is {root}, which does not exist; {expected}, or a folder of such files.")
        if root.is_file():
            if root.suffix.lower() not in FORMATS:
                raise CorpusError(f"provider.root is {root}, a format that is not read; {expected}.")
            return [root]
        found = [path for path in root.iterdir() if not path.name.startswith((".", "_"))]
        found.sort(key=attrgetter("name"))
        paths = [path for path in found if path.is_file() and path.suffix.lower() in FORMATS]
        if not paths:
            others = ", ".join(path.name for path in found[:5]) or "nothing"
            raise CorpusError(f"provider.root is {root}, which holds {others}; {expected}.")
        for path in found:
            if path not in paths:
                self._drop_work(path.name, NOT_A_FORMAT)
        return paths

    def _table(self, path: Path) -> Table:
        kind = FORMATS[path.suffix.lower()]
        return kind(path, self.columns.wanted) if issubclass(kind, Parquet) else kind(path)

    def _places(self, tables: Sequence[Table]) -> list[Place]:
        """Where the rows of all works stand, sorted."""
        stems = Counter(table.stem for table in tables)
        places: list[Place] = []
        for number, table in enumerate(tables):
            places += self._places_in(table, number, table.stem if stems[table.stem] == 1 else table.name)
        self.columns.check({table.name: table.columns for table in tables})
        if not any(table.columns for table in tables):
            raise CorpusError(f"provider.root is {self.root}, which holds no rows.")
        return sorted(places)

    def _places_in(self, table: Table, number: int, stem: str) -> list[Place]:
        """Where the rows of one table stand; without a column of IDs, each row is a work of its own."""
        places: list[Place] = []
        problems: Counter[str] = Counter()
        for row in table.rows():
            if row.problem:
                problems[row.problem] += 1
                self.drop_passages(table.place(row.number), row.problem)
            else:
                ours = self.columns
                places.append(Place(ours.id(row.cells), ours.index(row.cells), number, row.number, row.offset))
        if problems and not places:
            raise CorpusError(f"{table.name}: every {table.unit} is {problems.most_common(1)[0][0]}.")
        if not places:
            self._drop_work(table.name, NO_ROWS)
        if self.columns.column("id") not in table.columns:
            return [place._replace(id=f"{stem}-{place.number:07d}") for place in places]
        for place in places:
            if not place.id:
                self.drop_passages(table.place(place.number), NO_ID)
        return [place for place in places if place.id]

    def drop_passages(self, name: str, reason: str, count: int = 1) -> None:
        """Count what a work or a row loses, once however often it is read."""
        if count and (name, reason) not in self._accounted:
            self._accounted.add((name, reason))
            self.dropped.passage(name, reason, count)
            logger.info("dropped %d of %s: %s", count, name, reason)

    def _drop_work(self, name: str, reason: str) -> None:
        if (name, reason) not in self._accounted:
            self._accounted.add((name, reason))
            self.dropped.work(name, reason)

    def _work(self, corpus_id: str, tables: Sequence[Table], places: Sequence[Place]) -> Work | None:
        rows = [(tables[place.table], place, tables[place.table].read(place.offset)) for place in places]
        facts = self.columns.stated((table.place(place.number), cells) for table, place, cells in rows)
        language = facts.get("language", Fact()).value
        if not speaks(language, self.language):
            self._drop_work(corpus_id, f"its language is {language}")
            return None
        texts: list[str] = []
        kept: list[Place] = []
        for table, place, cells in rows:
            if text := self.columns.text(cells):
                texts.append(text)
                kept.append(place)
            else:
                self.drop_passages(table.place(place.number), NO_TEXT)
        if not texts or (self.cuts and max(map(count_words, texts)) < MIN_WORDS):
            self._drop_work(corpus_id, NO_PASSAGE if texts else NO_TEXT)
            return None
        return Work(corpus_id, _measured(texts) | facts, Passages(self, corpus_id, tables, kept))


@dataclass(frozen=True)
class Passages:
    """The passages of one work, fetched and cut at each call."""

    provider: Files
    corpus_id: str
    tables: Sequence[Table]
    places: Sequence[Place]

    def __call__(self) -> Sequence[str]:
        """The passages in order of the rows."""
        passages: list[str] = []
        scraps = 0
        for place in self.places:
            text = self.provider.columns.text(self.tables[place.table].read(place.offset)) or ""
            cut, short = cut_passages(paragraphs(text)) if self.provider.cuts else ([text], 0)
            passages += cut
            scraps += short
        self.provider.drop_passages(self.corpus_id, TOO_SHORT, scraps)
        return self.provider.limited(passages)


def paragraphs(text: str) -> list[Block]:
    """Paragraphs between blank lines; one whose lines are all short is verse."""
    parts = [part for part in re.split(r"\n\s*\n", clean(text)) if part.strip()]
    return [Block(part, "\n" in part and max(map(len, part.split("\n"))) <= VERSE_WIDTH) for part in parts]


def _measured(texts: Sequence[str]) -> dict[str, Fact]:
    ease = reading_ease(block.text for text in texts for block in paragraphs(text))
    return {COMPUTED: Fact.computed(sum(map(count_words, texts))), "reading_ease": Fact.computed(ease)}
