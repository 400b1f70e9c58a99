"""Project Gutenberg: a folder of plain texts, with RDF, ``metadata.yaml`` or ``pg_catalog.csv`` where there are any.

Works come in order of their IDs as strings (``gutenberg:1065`` before ``gutenberg:11``). The
catalogue holds no year of writing, so that is estimated from the author's life, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from wotd.errors import CorpusError, UnreadableWorkError
from wotd.providers.base import Work, corpus_folder, first_unique, speaks
from wotd.providers.folders import FolderProvider
from wotd.providers.literature.genres import genres_of
from wotd.providers.literature.gutenberg_envelope import Envelope, decode, open_envelope
from wotd.providers.literature.gutenberg_layout import TextFile, find_texts, is_inside, metadata_files, name_texts
from wotd.providers.literature.gutenberg_metadata import (
    Record,
    first_life,
    merged,
    read_catalogue,
    read_header,
    read_record,
)
from wotd.providers.literature.gutenberg_text import chapters
from wotd.providers.literature.people import Person
from wotd.providers.text import MIN_WORDS, Block, count_words, reading_ease
from wotd.taxonomy import Fact

CATALOGUE = "pg_catalog.csv"
MAX_TEXT_BYTES = 64 * 1024 * 1024

_PUBLIC_DOMAIN = "Public domain in the USA"


class Gutenberg(FolderProvider):
    """Works of Project Gutenberg with the facts that its catalogue states and those read off the text."""

    name = "gutenberg"

    def __init__(
        self,
        root: str | Path | None = None,
        language: str | list[str] | None = "en",
        max_passages_per_work: int | None = 200,
    ) -> None:
        """Read the texts below a folder that is searched for ``.txt`` files, with metadata beside them."""
        super().__init__(root, language, max_passages_per_work)
        self._last: tuple[Path, list[list[Block]]] | None = None

    def works(self) -> Iterator[Work]:
        """Yield the works in order of ID; their passages are cut when they are asked for.

        Raises:
            CorpusError: if the folder cannot be read or holds no text.
        """
        folder = corpus_folder(self.root, self.name)
        texts, repeated = name_texts(find_texts(folder))
        if not texts:
            raise CorpusError(
                f"provider.root is {folder}, which holds no text; expected .txt files of Project Gutenberg in it or in "
                f"folders below it (BOOK/84-0.txt), with metadata.yaml or pg84.rdf beside them or {CATALOGUE} in it."
            )
        for text in repeated:
            self.drop(f"{self.name}:{text.number}-{text.path.stem}", "another encoding of a text that is kept")
        numbers = {text.number for text in texts.values() if text.number is not None}
        catalogue = folder / CATALOGUE
        rows = read_catalogue(catalogue, numbers) if is_inside(catalogue, folder.resolve()) else {}
        for name, text in texts.items():
            corpus_id = f"{self.name}:{name}"
            try:
                work = self._work(corpus_id, text, folder, rows)
            except UnreadableWorkError as error:
                self.drop(corpus_id, str(error))
            else:
                yield work

    def _work(self, corpus_id: str, text: TextFile, folder: Path, rows: dict[int, Record]) -> Work:
        envelope = _open(text.path)
        beside = [read_record(file) for file in metadata_files(text.path, text.number, folder)]
        records = [record for record in beside if record.number in (None, text.number)]
        records += [rows.get(text.number or 0, Record()), read_header(envelope.header)]
        languages = merged(records).languages
        if not all(speaks(language, self.language) for language in languages):
            raise UnreadableWorkError(f"its language is {', '.join(languages)}")
        found = self._chapters(text.path, envelope)
        words = [sum(count_words(block.text) for block in chapter) for chapter in found]
        if max(words, default=0) < MIN_WORDS:
            raise UnreadableWorkError(f"no passage of {MIN_WORDS} words or more")
        facts = _stated(records, text.number, envelope.header) | {"word_count": Fact.computed(sum(words))}
        if not languages or speaks(languages[0], "en"):  # the formula knows English syllables and sentences only
            facts["reading_ease"] = Fact.computed(reading_ease(block.text for chapter in found for block in chapter))
        return Work(corpus_id, facts, partial(self._passages, corpus_id, text.path))

    def _passages(self, corpus_id: str, path: Path) -> Sequence[str]:
        """The passages of a work, cut within chapters.

        Raises:
            UnreadableWorkError: if its text can no longer be read; who asked drops the work.
        """
        return self.passages(corpus_id, self._chapters(path))

    def _chapters(self, path: Path, envelope: Envelope | None = None) -> list[list[Block]]:
        """The chapters of a text; those of the latest one are kept, as its passages are mostly asked for next."""
        if self._last is None or self._last[0] != path or envelope is not None:
            self._last = (path, chapters((envelope or _open(path)).body))
        return self._last[1]


def _open(path: Path) -> Envelope:
    try:
        if path.stat().st_size > MAX_TEXT_BYTES:
            raise UnreadableWorkError(f"it is larger than {MAX_TEXT_BYTES // 2**20} MB")
        return open_envelope(decode(path.read_bytes()))
    except OSError as error:
        raise UnreadableWorkError(f"it cannot be read ({error.strerror})") from error


def _stated(records: Sequence[Record], number: int | None, header: str) -> dict[str, Fact]:
    """The known facts of a text: what its metadata state, and the years that lives make likely."""
    record = merged(records)
    written = _writing_year([source.authors for source in records])
    translated = _writing_year([source.translators for source in records])
    if written is not None and translated is not None:
        translated = max(written, translated)
    ours = number is not None or "project gutenberg" in header.lower()
    facts = {
        "title": Fact.stated(record.title),
        "authors": Fact.stated(first_unique(person.name for person in record.authors)),
        "translators": Fact.stated(first_unique(person.name for person in record.translators)),
        "year_written": Fact.estimated(written),
        "year_of_text": Fact.estimated(translated),
        "genres": Fact.stated(genres_of(record.subjects, record.classes, record.shelves)),
        "subjects": Fact.stated(list(record.subjects)),
        "language": Fact.stated(record.languages[0] if record.languages else None),
        "source": Fact.stated(f"https://www.gutenberg.org/ebooks/{number}" if number is not None else None),
        # A text that does not say it is copyrighted is in the public domain where the project is.
        "licence": Fact.stated(record.rights) if record.rights else Fact.estimated(_PUBLIC_DOMAIN if ours else None),
    }
    return {name: fact for name, fact in facts.items() if fact.known}


def _writing_year(named: Sequence[Sequence[Person]]) -> int | None:
    """The year that the life of the first person named makes likely, or else of the first one with a known life."""
    people = [person for group in named for person in group]
    first = [person for person in people if person.name == people[0].name]
    return first_life([*first, *people]).writing_year()
