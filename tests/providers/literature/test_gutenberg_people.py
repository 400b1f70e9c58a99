"""Names and years of life as catalogues write them."""

import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from wotd.providers.literature.people import Life, Person, read_life, read_person, read_year


@pytest.mark.parametrize(
    ("written", "life", "year"),
    [
        ("1818-1883", Life(1818, 1883), 1853),
        ("1730?-1774", Life(1730, 1774), 1765),
        ("1842\u20131914?", Life(1842, 1914), 1877),
        ("1340 or 1341-1400", Life(1340, 1400), 1375),
        ("approximately 1343-1400", Life(1343, 1400), 1378),
        ("71 BCE-20 BCE", Life(-71, -20), -36),
        ("428? BCE-348? BCE", Life(-428, -348), -393),
        ("65-8 B.C.", Life(-65, -8), -30),
        ("4 BC-65", Life(-4, 65), 31),
        ("active 6th century B.C.", Life(active=-550), -550),
        ("active 12th century", Life(active=1150), 1150),
        ("active 2nd-3rd century", Life(active=200), 200),
        ("active 1566", Life(active=1566), 1566),
        ("fl. 1190-1225", Life(active=1207), 1207),
        ("1943-", Life(1943), 1978),
        ("b. 1850", Life(1850), 1885),
        ("-1471", Life(death=1471), 1441),
        ("d. 1700", Life(death=1700), 1670),
        ("1795-1821", Life(1795, 1821), 1821),
        ("1900-1800", Life(), None),
        ("approximately 1540", Life(), None),
        ("3rd Baron", Life(), None),
        ("-", Life(), None),
        ("", Life(), None),
    ],
)
def test_spans_of_years(written, life, year):
    assert read_life(written) == life
    assert life.writing_year() == year


@given(
    birth=st.integers(-900, 1990),
    age=st.integers(1, 99),
    doubt=st.sampled_from(("", "?")),
    era=st.sampled_from((" BCE", " B.C.", " BC")),
)
def test_any_life_comes_back_and_its_writing_lies_within(birth, age, doubt, era):
    death = birth + age
    assume(0 not in (birth, death))  # there is no such year
    written = "-".join(f"{abs(year)}{doubt}{era if year < 0 else ''}" for year in (birth, death))
    life = read_life(written)
    assert life == Life(birth, death)
    year = life.writing_year()
    assert year is not None
    assert birth <= year <= death


@given(st.text(max_size=40))
def test_any_text_is_read_without_fault(text):
    read_life(text)
    read_year(text)
    read_person(text)


def test_long_entries_take_no_time():
    before = time.process_time()  # seconds; a pattern that backtracks would take minutes
    read_person("1" + " " * 100_000 + "x, " + "(" * 100_000)
    assert time.process_time() - before < 20


@pytest.mark.parametrize(
    ("value", "year"),
    [
        (1809, 1809),
        (-70, -70),
        ("-70", -70),
        ("1730?", 1730),
        ("428 BCE", -428),
        (None, None),
        ("", None),
        (True, None),
        ([], None),
        (123456, None),
        ("unknown", None),
    ],
)
def test_years_of_metadata(value, year):
    assert read_year(value) == year


@pytest.mark.parametrize(
    ("entry", "person"),
    [
        ("Marsh, Tobias, 1818-1883", Person("Tobias Marsh", Life(1818, 1883))),
        ("Rook, John, 1817-1893 [Translator]", Person("John Rook", Life(1817, 1893), "translator")),
        ("Pell, A. D. (Ada Dora), -1927 [Editor]", Person("A. D. Pell", Life(death=1927), "editor")),
        ("Marsh, Tobias, Sir, -1471", Person("Tobias Marsh", Life(death=1471))),
        ("Tobias, à Weir, 1380-1471", Person("Tobias à Weir", Life(1380, 1471))),
        ("Weir, Johann Tobias von", Person("Johann Tobias von Weir")),
        ("Tobias, Saint, Bishop of Weir, 354-430", Person("Tobias", Life(354, 430))),
        ("Marsh, Tobias, Jr., 1929-1968", Person("Tobias Marsh Jr.", Life(1929, 1968))),
        ("Tobias (spurious works), 428? BCE-348? BCE", Person("Tobias", Life(-428, -348))),
        ("Sunweir, active 6th century B.C.", Person("Sunweir", Life(active=-550))),
        ("Homer", Person("Homer")),
        ("Anonymous", Person("Anonymous")),
        ("Various", None),
        ("Unknown", None),
        ("", None),
    ],
)
def test_entries_of_catalogues(entry, person):
    assert read_person(entry) == person


def test_a_life_given_apart_wins():
    assert read_person("Marsh, Tobias, 1700-1750", Life(1818)) == Person("Tobias Marsh", Life(1818))
    assert read_person("Marsh, Tobias, 1700-1750", Life()) == Person("Tobias Marsh", Life(1700, 1750))
