"""What is known of a Project Gutenberg text: RDF, ``metadata.yaml``, catalogue and header, each read to a record.

Every source may be missing, partial or broken. A broken one is logged and skipped; the records of
the others are laid over one another, and the first that knows a thing wins.
"""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from lxml import etree

from wotd.errors import UnreadableWorkError
from wotd.providers.base import first_unique
from wotd.providers.literature.people import Life, Person, read_person, read_year
from wotd.providers.xml import parse_xml

logger = logging.getLogger(__name__)

_MAX_CELL_CHARACTERS = 128 * 1024

MAX_YAML_BYTES = 64 * 1024
MAX_RDF_BYTES = 8 * 1024 * 1024
MAX_YAML_DEPTH = 50
MAX_YAML_NODES = 5000
MAX_YAML_ALIASES = 20
"""The record of one book repeats hardly anything; a document with more references than that is a trap."""

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_TERMS = "{http://purl.org/dc/terms/}"
_DCAM = "{http://purl.org/dc/dcam/}"
_PG = "{http://www.gutenberg.org/2009/pgterms/}"
_TRANSLATOR = "{http://id.loc.gov/vocabulary/relators/}trl"
_HOUSE_MARK = "GITenberg"  # stands among the subjects of every metadata.yaml and is none

_LANGUAGES = {
    "chinese": "zh", "czech": "cs", "danish": "da", "dutch": "nl", "english": "en", "esperanto": "eo", "finnish": "fi",
    "french": "fr", "german": "de", "greek": "el", "hungarian": "hu", "icelandic": "is", "irish": "ga", "italian": "it",
    "japanese": "ja", "latin": "la", "norwegian": "no", "polish": "pl", "portuguese": "pt", "russian": "ru",
    "spanish": "es", "swedish": "sv", "tagalog": "tl", "welsh": "cy",
}  # fmt: skip
_LABEL = re.compile(r"(Title|Author|Translator|Language):[ \t]*(.*)", re.IGNORECASE)
_NUMBER = re.compile(r"\[\s*E-?(?:book|text)\s*#\s*(\d{1,7})\s*\]", re.IGNORECASE)
_TITLE_PAGE = re.compile(
    r"\n[ \t]*\n(?P<title>[^\n]+(?:\n[^\n]+)?)\n[ \t]*\n[ \t]*by[ \t]+(?P<author>[^\n]+)\n\s*\n[^\n]*\[Etext",
    re.IGNORECASE,
)
_FIRST_LINE = re.compile(
    r"Project\s+Gutenberg(?:['\u2019]s|\s+(?:release|e-?book|e-?text|edition))?,?(?:\s+of:?)?\s+"
    r"(?P<title>\S[^\n]*?)(?:,?\s+by\s+(?P<author>[^\n]+?))?[ \t]*\**[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
_COPYRIGHTED = re.compile(r"\bCOPYRIGHTED\s+Project\s+Gutenberg")


@dataclass(frozen=True, slots=True)
class Record:
    """What one source says of a text; empty where it says nothing."""

    number: int | None = None
    title: str | None = None
    authors: tuple[Person, ...] = ()
    translators: tuple[Person, ...] = ()
    languages: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    shelves: tuple[str, ...] = ()
    rights: str | None = None


def merged(records: Iterable[Record]) -> Record:
    """Each thing as the first record says it that knows it."""
    result = Record()
    for record in records:
        gaps = {field.name: getattr(record, field.name) for field in fields(Record) if not getattr(result, field.name)}
        result = replace(result, **gaps)
    return result


def first_life(people: Iterable[Person]) -> Life:
    """The life of the first person whose years are known."""
    return next((person.life for person in people if person.life.known), Life())


def read_record(path: Path) -> Record:
    """What a ``.rdf`` or ``.yaml`` file says; a broken one is logged and says nothing."""
    limit, read = (MAX_RDF_BYTES, read_rdf) if path.suffix.lower() == ".rdf" else (MAX_YAML_BYTES, read_yaml)
    try:
        if (size := path.stat().st_size) > limit:
            raise UnreadableWorkError(f"{path.name} has {size} bytes; at most {limit} are read")
        return read(path.read_bytes(), path.name)
    except (UnreadableWorkError, OSError) as error:
        logger.warning("skipped the metadata file %s: %s", path, error)
        return Record()


def read_rdf(data: bytes, name: str) -> Record:
    """The record of Project Gutenberg's own RDF.

    Raises:
        UnreadableWorkError: if it is no RDF, or declares entities.
    """
    root = parse_xml(data, name)
    book = root.find(f"{_PG}ebook")
    if book is None:
        raise UnreadableWorkError(f"{name} describes no book of Project Gutenberg")
    agents = {agent.get(f"{_RDF}about"): agent for agent in root.iter(f"{_PG}agent")}
    number = re.search(r"(\d+)$", book.get(f"{_RDF}about") or "")
    subjects = [(_value(node), _scheme(node)) for node in book.iterfind(f"{_TERMS}subject")]
    return Record(
        number=int(number[1]) if number else None,
        title=_title(book.findtext(f"{_TERMS}title")),
        authors=_rdf_people(book, f"{_TERMS}creator", agents),
        translators=_rdf_people(book, _TRANSLATOR, agents),
        languages=_known(_value(node) for node in book.iterfind(f"{_TERMS}language")),
        subjects=_known(value for value, scheme in subjects if scheme == "LCSH"),
        classes=_known(value for value, scheme in subjects if scheme == "LCC"),
        shelves=_known(_value(node) for node in book.iterfind(f"{_PG}bookshelf")),
        rights=_rights(book.findtext(f"{_TERMS}rights")),
    )


def read_yaml(data: bytes, name: str) -> Record:
    """The record of a ``metadata.yaml`` as the GITenberg repositories carry it.

    Raises:
        UnreadableWorkError: if it is not YAML, holds no mapping, or repeats itself suspiciously often.
    """
    try:
        document = yaml.load(data, Loader=_MetadataLoader)  # a SafeLoader that knows two more tags
    except Exception as error:  # what a tag says and its value is not ("!!bool x") raises kinds of all sorts
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UnreadableWorkError(f"{name} is not readable YAML: {reason}") from error
    if not isinstance(document, Mapping):
        raise UnreadableWorkError(f"{name} holds no mapping")
    identifiers, subjects = document.get("identifiers"), _listed(document.get("subjects"))
    number = _number(identifiers.get("gutenberg")) if isinstance(identifiers, Mapping) else None
    return Record(
        number=number,
        title=_title(_text(document.get("title"))),
        authors=_yaml_people(document.get("creator"), "author"),
        translators=_yaml_people(document.get("contributor"), "translator"),
        languages=_known(map(_text, _listed(document.get("language")))),
        subjects=_known(
            _text(s) for s in subjects if not (isinstance(s, _Tagged) and s.tag == "!lcc") and s != _HOUSE_MARK
        ),
        classes=_known(s.text for s in subjects if isinstance(s, _Tagged) and s.tag == "!lcc"),
        shelves=_known(map(_text, _listed(document.get("gutenberg_bookshelf")))),
        rights=_rights(_text(document.get("rights"))),
    )


def read_catalogue(path: Path, numbers: Collection[int]) -> dict[int, Record]:
    """The rows of ``pg_catalog.csv`` that have the given numbers; a broken file is logged and says nothing."""
    records: dict[int, Record] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if "Text#" not in (rows.fieldnames or ()):
                raise csv.Error("its first line has no column 'Text#'")
            for row in rows:
                # The csv module's own limit is one for the whole process, and others raise it.
                if any(isinstance(cell, str) and len(cell) > _MAX_CELL_CHARACTERS for cell in row.values()):
                    raise csv.Error(f"line {rows.line_num} has a field of more than {_MAX_CELL_CHARACTERS} characters")
                number = _number(row["Text#"])
                if number is not None and number in numbers and number not in records:
                    records[number] = _catalogue_record(number, row)
    except (csv.Error, UnicodeError, OSError) as error:
        logger.warning("skipped the catalogue %s: %s", path, error)
        return {}
    return records


def read_header(header: str) -> Record:
    """What the header of a text says in labelled lines, or else on its title page or in its first line."""
    labelled = _labelled_lines(header)
    number = _NUMBER.search(header)
    page = _TITLE_PAGE.search(header[:8000]) or _FIRST_LINE.search(header[:800])
    title = " ".join(labelled.get("title", ())) or (page["title"] if page else None)
    authors = labelled.get("author") or [(page["author"] or "") if page else ""]
    return Record(
        number=int(number[1]) if number else None,
        title=_title(title.strip(' *\u201c\u201d"') if title else None),
        authors=_header_people(authors),
        translators=_header_people(labelled.get("translator", ())),
        languages=_header_languages(labelled.get("language", ())),
        rights="Copyrighted" if _COPYRIGHTED.search(header) else None,
    )


class _Tagged(NamedTuple):
    tag: str
    text: str


class _MetadataLoader(yaml.SafeLoader):
    """A safe loader that reads private tags as what they are tags of, and counts references and parts."""

    aliases = nodes = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose as usual; refuse documents that multiply by referring to themselves, or are all small parts."""
        self.nodes += 1
        if self.nodes > MAX_YAML_NODES:
            raise yaml.YAMLError(f"it has more than {MAX_YAML_NODES} parts")
        if self.check_event(yaml.AliasEvent):
            self.aliases += 1
            if self.aliases > MAX_YAML_ALIASES:
                raise yaml.YAMLError(f"it has more than {MAX_YAML_ALIASES} references to its own parts")
        return super().compose_node(parent, index)

    def fetch_flow_collection_start(self, TokenClass: Any) -> None:
        """Scan as usual; refuse brackets in brackets, for which scanning takes time that grows with their square."""
        if self.flow_level >= MAX_YAML_DEPTH:
            raise yaml.YAMLError(f"it has more than {MAX_YAML_DEPTH} brackets in one another")
        super().fetch_flow_collection_start(TokenClass)

    def construct_private(self, node: yaml.Node) -> Any:
        """The plain content of a node whose tag this loader knows or not; nothing is ever executed."""
        if isinstance(node, yaml.ScalarNode):
            return _Tagged(str(node.tag), str(node.value))
        if isinstance(node, yaml.SequenceNode):
            return self.construct_sequence(node, deep=True)
        return self.construct_mapping(node, deep=True) if isinstance(node, yaml.MappingNode) else None


for _tag in ("!lcsh", "!lcc", None):  # None: whatever other tag there is
    _MetadataLoader.add_constructor(_tag, _MetadataLoader.construct_private)


def _rdf_people(book: etree._Element, relation: str, agents: Mapping[str | None, etree._Element]) -> tuple[Person, ...]:
    people = []
    for node in book.iterfind(relation):
        agent = node.find(f"{_PG}agent")
        if agent is None:  # named elsewhere in the document and only referred to here
            agent = agents.get(node.get(f"{_RDF}resource"))
        if agent is not None:
            dates = agent.findtext(f"{_PG}birthdate"), agent.findtext(f"{_PG}deathdate")
            people.append(read_person(agent.findtext(f"{_PG}name") or "", Life(*map(read_year, dates))))
    return tuple(person for person in people if person)


def _yaml_people(group: Any, role: str) -> tuple[Person, ...]:
    if not isinstance(group, Mapping):
        return ()
    people = []
    for entry in (*_listed(group.get(role)), *_listed(group.get(f"{role}s"))):
        if isinstance(entry, Mapping):
            life = Life(read_year(entry.get("birthdate")), read_year(entry.get("deathdate")))
            people.append(read_person(_text(entry.get("agent_name")) or "", life))
    return tuple(person for person in people if person)


def _catalogue_record(number: int, row: Mapping[str, str | None]) -> Record:
    people = [person for entry in _split(row.get("Authors")) if (person := read_person(entry))]
    return Record(
        number=number,
        title=_title(row.get("Title")),
        authors=tuple(person for person in people if person.role in ("", "author")),
        translators=tuple(person for person in people if person.role == "translator"),
        languages=_split(row.get("Language")),
        subjects=_split(row.get("Subjects")),
        classes=_split(row.get("LoCC")),
        shelves=_split(row.get("Bookshelves")),
    )


def _labelled_lines(header: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in header.split("\n"):
        match = _LABEL.match(line)
        if match:
            current = found.setdefault(match[1].lower(), [])
            current.append(match[2].strip())
        elif current is not None and line[:1].isspace() and line.strip():
            current.append(line.strip())
        else:
            current = None
    return found


def _header_people(lines: Sequence[str]) -> tuple[Person, ...]:
    """Header lines give names in reading order; several stand in lines of their own or are joined by "and"."""
    names = [name for line in lines for name in re.split(r"\s+(?:and|&)\s+|;\s*", line)]
    people = (read_person(name.split(",")[0]) for name in names)
    return tuple(person for person in people if person)


def _header_languages(lines: Sequence[str]) -> tuple[str, ...]:
    names = [name for line in lines for name in re.split(r"[,;/]|\band\b|\bwith\b", line)]
    return _known(_LANGUAGES.get(name.strip().lower(), name.strip().lower()) for name in names)


def _value(node: etree._Element) -> str | None:
    return node.findtext(f".//{_RDF}value") or node.text


def _scheme(node: etree._Element) -> str:
    member = node.find(f".//{_DCAM}memberOf")
    return (member.get(f"{_RDF}resource") or "").rsplit("/", 1)[-1] if member is not None else ""


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _text(value: Any) -> str | None:
    if isinstance(value, _Tagged):
        return value.text
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return str(value)
    except ValueError:  # a number of thousands of digits, written in base 16
        return None


def _number(value: Any) -> int | None:
    text = (_text(value) or "").strip()
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def _split(text: str | None) -> tuple[str, ...]:
    return _known((text or "").split(";"))


def _known(values: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(first_unique(" ".join(value.split()) for value in values if value and value.strip()))


def _title(text: str | None) -> str | None:
    """A title on one line; what stood on a line of its own is a subtitle."""
    lines = [" ".join(line.split()) for line in (text or "").splitlines() if line.strip()]
    return ": ".join(lines) or None


def _rights(text: str | None) -> str | None:
    return " ".join((text or "").split()).rstrip(".") or None
