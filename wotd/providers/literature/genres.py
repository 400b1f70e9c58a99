"""The genres of the taxonomy, read from what Project Gutenberg's catalogue says of a work.

Three kinds of evidence, all of them tables here: Library of Congress subject headings, whose last
part often names the form (``Whaling -- Fiction``); the letters of the Library of Congress
classification; and the bookshelves of volunteers. Headings are the most exact and are read first;
shelves add kinds and stand in for a form that no heading names; a class of knowledge says something
only of a work that is neither fiction, drama nor poetry. What no table knows says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

FORMS = frozenset({"Fiction", "Drama", "Poetry", "Comedy", "Satire"})
"""Genres that say what a work is; next to them, a class of knowledge says only what it is about."""

HIDDEN_BY: dict[str, frozenset[str]] = {"Nonfiction": FORMS, "Fantasy": frozenset({"Children's"})}
"""Genres that others make untrue: a form hides Nonfiction, and wonders in a children's book do not make it Fantasy."""

SUBDIVISIONS: dict[str, tuple[str, ...]] = {
    "fiction": ("Fiction",),
    "juvenile fiction": ("Children's", "Fiction"),
    "drama": ("Drama",),
    "juvenile drama": ("Children's", "Drama"),
    "librettos": ("Drama",),
    "poetry": ("Poetry",),
    "juvenile poetry": ("Children's", "Poetry"),
    "songs and music": ("Poetry",),
    "juvenile literature": ("Children's", "Nonfiction"),
    "juvenile humor": ("Children's", "Comedy"),
    "humor": ("Comedy",),
    "biography": ("Biography", "Nonfiction"),
    "personal narratives": ("Memoir", "Nonfiction"),
    "diaries": ("Memoir", "Nonfiction"),
    "correspondence": ("Nonfiction",),
    "anecdotes": ("Nonfiction",),
    "description and travel": ("Nonfiction", "Travel"),
    "discovery and exploration": ("Nonfiction", "Travel"),
    "travel": ("Nonfiction", "Travel"),
    "guidebooks": ("Nonfiction", "Travel"),
    "philosophy": ("Philosophy",),
    "moral and ethical aspects": ("Philosophy",),
    "sermons": ("Spirituality",),
    "prayers and devotions": ("Spirituality",),
    "doctrines": ("Spirituality",),
    "history": ("Nonfiction",),
    "folklore": ("Nonfiction",),
    "early works to 1800": ("Nonfiction",),
}
"""What a part after ``--`` names. A form in any part settles the heading; the others add up."""

ABOUT = re.compile(
    r"history and criticism|study and teaching|criticism|criticism and interpretation|appreciation|authorship|technique"
    r"|bibliography|catalogs|dictionaries|encyclopedias|handbooks, manuals, etc\.|indexes|textbooks|periodicals"
)
"""Parts that make a heading one *about* a form: a history of poetry is no poetry."""

HEADINGS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"comed(y|ies)( plays)?|[\w ]*drama \(comedy\)|farces", ("Comedy", "Drama")),
    (r"[\w ]*\b(dramas?|tragedies|tragicomed(y|ies)|plays|melodramas?|masques|operas|pantomimes)", ("Drama",)),
    (r"[\w ]*\b(poetry|poems|sonnets|ballads|odes|elegies|hymns|nursery rhymes|songs)", ("Poetry",)),
    (r"children's (poetry|songs)|nursery rhymes", ("Children's",)),
    (r"children's plays", ("Children's",)),
    (
        r"children's (stories|literature)|fairy tales|picture books|school stories|animal stories",
        ("Children's", "Fiction"),
    ),
    (
        r"science fiction|dystopias|dystopian fiction|time travel fiction|interplanetary voyages",
        ("Fiction", "Science Fiction"),
    ),
    (r"fantas(y|tic) (fiction|literature|stories|tales)|fantasy", ("Fantasy", "Fiction")),
    (r"(horror|ghost|occult|vampire) (tales|stories|fiction)", ("Fiction", "Horror")),
    (r"(detective|mystery)( and mystery)? (stories|fiction)|noir fiction|suspense fiction", ("Fiction", "Mystery")),
    (r"(adventure|western|sea|pirate|spy) (stories|fiction)|adventure and adventurers", ("Adventure", "Fiction")),
    (r"satire|political satire|satire, [\w ]+", ("Satire",)),
    (r"[\w ]*wit and humor|humor|parodies|comic stories|limericks", ("Comedy",)),
    (r"short stories|tales|fables|parables|legends|folk literature", ("Fiction", "Shorts")),
    (r"[\w ]*\b(fiction|novels?|stories|romances|bildungsromans|allegories|picaresque literature)", ("Fiction",)),
    (r"[\w ]*\b(essays|lectures|letters|prose literature)|speeches, addresses, etc\.", ("Nonfiction",)),
    (r"autobiograph(y|ies)", ("Autobiography", "Nonfiction")),
    (r"biograph(y|ies)", ("Biography", "Nonfiction")),
    (r"memoirs|diaries", ("Memoir", "Nonfiction")),
    (r"voyages and travels|voyages around the world|travel|travelers' writings", ("Nonfiction", "Travel")),
    (r"[\w ]*\b(philosophy|ethics|metaphysics|ontology|logic|aesthetics|stoics|utilitarianism)", ("Philosophy",)),
    (
        r"knowledge, theory of|[\w ]+ \(philosophy\)|[\w ]+ \(philosophical concept\)|sophists \(greek philosophy\)",
        ("Philosophy",),
    ),
    (
        r"spiritual life|meditations|devotional (literature|exercises)|christian life|theology|mysticism|sermons",
        ("Spirituality",),
    ),
)
"""What the part before the first ``--`` names, with anything that follows a comma or in brackets."""

CLASSES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("BF", ("Nonfiction",)),
    ("BL", ("Spirituality",)),
    ("BM", ("Spirituality",)),
    ("BP", ("Spirituality",)),
    ("BQ", ("Spirituality",)),
    ("BR", ("Spirituality",)),
    ("BS", ("Spirituality",)),
    ("BT", ("Spirituality",)),
    ("BV", ("Spirituality",)),
    ("BX", ("Spirituality",)),
    ("B", ("Philosophy",)),
    ("CT", ("Biography", "Nonfiction")),
    ("GN", ("Nonfiction",)),
    ("GR", ("Nonfiction",)),
    ("GT", ("Nonfiction",)),
    ("GV", ("Nonfiction",)),
    ("G", ("Nonfiction", "Travel")),
    ("HB", ("Nonfiction", "Philosophy")),  # economic, social and political theory
    ("HM", ("Nonfiction", "Philosophy")),
    ("HX", ("Nonfiction", "Philosophy")),
    ("JC", ("Nonfiction", "Philosophy")),
    ("PB", ()),
    ("PC", ("Nonfiction",)),
    ("PE", ("Nonfiction",)),
    ("P", ()),
    ("", ("Nonfiction",)),
)
"""Class letters, the first prefix that fits; literature (P) says nothing of form."""

SHELVES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"children's|children & young|children and young|jugend|jeunesse", ("Children's",)),
    (r"science fiction", ("Fiction", "Science Fiction")),
    (r"^fantasy$", ("Fantasy", "Fiction")),
    (r"^horror$", ("Fiction", "Horror")),
    (r"^(detective|mystery) fiction$", ("Fiction", "Mystery")),
    (r"^(adventure|western|pirates)", ("Adventure", "Fiction")),
    (r"^humor$", ("Comedy",)),  # the shelf that was picked by hand; "Browsing: Humour" holds any novel that smiles
    (r"^philosophy$|philosophy & ethics", ("Philosophy",)),
    (r"christianity|religion|buddhism|islam|judaism|hinduism|bahá'í", ("Spirituality",)),
    (r"biograph", ("Biography", "Nonfiction")),
    (r"travel", ("Nonfiction", "Travel")),
)

SHELF_FORMS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"plays|one act|\bdrama\b|théâtre", ("Drama",)),
    (r"poetry|poésie|lyrik", ("Poetry",)),
    (r"fiction|prosa|roman|novels|short stories", ("Fiction",)),
)


def genres_of(subjects: Iterable[str], classes: Iterable[str] = (), shelves: Iterable[str] = ()) -> list[str]:
    """The genres that headings, classes and bookshelves name together, sorted; empty where they name none."""
    names = [shelf.casefold().strip() for shelf in shelves]
    found = {genre for heading in subjects for genre in _of_heading(heading)}
    found |= {genre for name in names for genre in _searched(SHELVES, name)}
    if not found & FORMS:
        found |= {genre for name in names for genre in _searched(SHELF_FORMS, name)}
    for letters in classes:
        if letters.strip().upper() == "PZ":
            found.add("Children's")
        elif not found & FORMS:
            found |= set(_of_class(letters))
    return sorted(genre for genre in found if not found & HIDDEN_BY.get(genre, frozenset()))


def _of_heading(heading: str) -> set[str]:
    main, *parts = (part.strip().casefold() for part in heading.split("--"))
    for part in reversed(parts):
        named = SUBDIVISIONS.get(part, ())
        if FORMS & set(named):
            return set(named)
        if ABOUT.fullmatch(part):
            return {"Nonfiction"}
    spellings = (main, main.split(",")[0])
    found = {g for pattern, genres in HEADINGS if any(re.fullmatch(pattern, s) for s in spellings) for g in genres}
    return found.union(*(SUBDIVISIONS.get(part, ()) for part in parts))


def _of_class(letters: str) -> tuple[str, ...]:
    letters = letters.strip().upper()
    return next((genres for prefix, genres in CLASSES if letters.startswith(prefix)), ()) if letters else ()


def _searched(table: tuple[tuple[str, tuple[str, ...]], ...], name: str) -> set[str]:
    return {genre for pattern, genres in table if re.search(pattern, name) for genre in genres}
