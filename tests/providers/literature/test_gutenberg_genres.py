"""Headings, classes and shelves as genres, and the style that follows."""

from pathlib import Path

import pytest
import yaml

from wotd.providers.literature.genres import genres_of
from wotd.taxonomy import Fact, Taxonomy

CONF = Path(__file__).resolve().parents[3] / "conf"
STYLE = Taxonomy.from_mapping(yaml.safe_load((CONF / "taxonomy/literature.yaml").read_text(encoding="utf-8"))).levels[0]


def style(*evidence) -> str | None:
    code, _ = STYLE.code({"genres": Fact.stated(genres_of(*evidence))})
    return None if code is None else STYLE.codes[code]


@pytest.mark.parametrize(
    ("subject", "genres"),
    [
        ("Whaling -- Fiction", ["Fiction"]),
        ("Great Britain -- History -- Richard I, 1189-1199 -- Fiction", ["Fiction"]),
        ("Appearance (Philosophy) -- Fiction", ["Fiction"]),
        ("Courage -- Juvenile fiction", ["Children's", "Fiction"]),
        ("Magicians -- Drama", ["Drama"]),
        ("English drama (Comedy)", ["Comedy", "Drama"]),
        ("English drama -- 17th century", ["Drama"]),
        ("Comedy plays", ["Comedy", "Drama"]),
        ("Tragedies", ["Drama"]),
        ("Ballad operas -- Librettos", ["Drama"]),
        ("Drama in education", []),
        ("Fantasy poetry, American", ["Poetry"]),
        ("American poetry -- 19th century", ["Poetry"]),
        ("English poetry -- History and criticism", ["Nonfiction"]),
        ("Short stories", ["Fiction", "Shorts"]),
        ("Science fiction", ["Fiction", "Science Fiction"]),
        ("Fantasy fiction, American", ["Fantasy", "Fiction"]),
        ("Horror tales", ["Fiction", "Horror"]),
        ("Detective and mystery stories, English", ["Fiction", "Mystery"]),
        ("Western stories", ["Adventure", "Fiction"]),
        ("Satire", ["Satire"]),
        ("Vocabulary -- Humor", ["Comedy"]),
        ("English language -- Dictionaries -- Humor", ["Comedy"]),
        ("Autobiographical fiction", ["Fiction"]),
        ("Educators -- United States -- Biography", ["Biography", "Nonfiction"]),
        ("Europe -- Description and travel", ["Nonfiction", "Travel"]),
        ("Political science -- Philosophy -- Early works to 1800", ["Nonfiction", "Philosophy"]),
        ("Knowledge, Theory of", ["Philosophy"]),
        ("Philosophy, Ancient", ["Philosophy"]),
        ("Meditations", ["Spirituality"]),
        ("American essays -- 19th century", ["Nonfiction"]),
        ("Whales", []),
    ],
)
def test_subject_headings(subject, genres):
    assert genres_of([subject]) == genres


@pytest.mark.parametrize(
    ("letters", "genres"),
    [
        ("PS", []),
        ("PR", []),
        ("PZ", ["Children's"]),
        ("B", ["Philosophy"]),
        ("BJ", ["Philosophy"]),
        ("BF", ["Nonfiction"]),
        ("BV", ["Spirituality"]),
        ("E151", ["Nonfiction"]),
        ("G", ["Nonfiction", "Travel"]),
        ("GR", ["Nonfiction"]),
        ("JC", ["Nonfiction", "Philosophy"]),
        ("QH", ["Nonfiction"]),
        ("", []),
    ],
)
def test_classes(letters, genres):
    assert genres_of([], [letters]) == genres


@pytest.mark.parametrize(
    ("shelf", "genres"),
    [
        ("Browsing: Poetry", ["Poetry"]),
        ("Browsing: Fiction", ["Fiction"]),
        ("Science Fiction by Women", ["Fiction", "Science Fiction"]),
        ("Children's Literature", ["Children's"]),
        ("Plays", ["Drama"]),
        ("DE Drama", ["Drama"]),
        ("Browsing: Biographies", ["Biography", "Nonfiction"]),
        ("Browsing: Philosophy & Ethics", ["Philosophy"]),
        ("Christianity", ["Spirituality"]),
        ("Harvard Classics", []),
        ("Browsing: Literature", []),
        ("Best Books Ever Listings", []),
    ],
)
def test_shelves(shelf, genres):
    assert genres_of([], [], [shelf]) == genres


def test_a_form_outweighs_shelves_and_classes():
    assert genres_of(["Verona -- Drama"], ["PR"], ["Browsing: Poetry", "Browsing: Fiction"]) == ["Drama"]
    assert genres_of(["Utopias"], ["HX"], ["Browsing: Fiction"]) == ["Fiction"]
    assert genres_of(["Socialism"], ["HX"], []) == ["Nonfiction", "Philosophy"]


def test_fiction_is_never_nonfiction_and_wonders_for_children_are_no_fantasy():
    assert genres_of(["Voyages, Imaginary -- Early works to 1800", "Travelers -- Fiction"]) == ["Fiction"]
    assert genres_of(["Fantasy fiction", "Children's stories"]) == ["Children's", "Fiction"]


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        ((["Mills -- Drama", "Comedies"],), "dramatic"),
        ((["Mills -- Poetry"],), "poetic"),
        ((["Ethics"], ["BJ"]), "philosophical"),
        ((["Mills"], ["TJ"]), "expository"),
        ((["Satire", "Mills -- Fiction"],), "satirical"),
        ((["Science fiction"],), "speculative"),
        ((["Adventure stories"], ["PZ"]), "popular"),
        ((["Mills -- Fiction"], ["PR"]), "literary"),
        (([], ["PR"], ["Harvard Classics"]), None),
    ],
)
def test_styles(evidence, expected):
    assert style(*evidence) == expected


def test_order_does_not_matter():
    subjects = ["Satire", "Mills -- Fiction", "Short stories", "Ethics"]
    assert genres_of(subjects) == genres_of(reversed(subjects)) == sorted(genres_of(subjects))
