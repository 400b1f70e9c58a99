import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from tiny_standard_ebooks import colophon, xhtml

from wotd.providers.literature.colophon import Dates, parse_year, read_dates


def test_long_runs_of_blanks_are_one_blank() -> None:
    assert parse_year("was written in 1" + " \n" * 30_000 + "and 1847" + "\t" * 30_000 + "by") == 1847


def test_what_is_far_too_long_for_a_sentence_is_not_looked_through() -> None:
    assert parse_year("1 " * 4_000 + "in 1847") == 1847
    assert parse_year("1 " * 2_000_000 + "in 1847") is None


@pytest.mark.parametrize(
    ("sentence", "year"),
    [
        ("was published in 1847 by", 1847),
        ("was written in 1513 by", 1513),
        ("was completed circa 458 BC by", -458),
        ("and was compiled circa 340 BCE.", -340),
        ("was compiled circa 340 B.C. by", -340),
        ("was written in AD 98 by", 98),
        ("was written in 98 CE by", 98),
        ("is thought to have been written between 800 and 700 BC by", -750),
        ("was written sometime between 29 and 19 BC by", -24),
        ("was written between 50 BC and 20 AD by", -15),
        ("is thought to have been written between 975 and 1010.", 992),
        ("was written between 170 and 180 by", 175),
        ("is compiled from poems published from 1904\u2060\u2013\u20601930 by", 1917),
        ("is compiled from poems published from 1904-30 by", 1917),
        ("was compiled from essays published in 1841 and 1844 by", 1842),
        ("was published in 1868, 1869, and 1871 by", 1869),
        ("was compiled from short stories published between 1939 and 1951 by", 1945),
        ("was compiled from 120 poems and 15 short stories published between 1901 and 1913 by", 1907),
        ("includes poems first published between 1885 and 1928 by", 1906),
        ("was published in the 2nd century CE by", 150),
        ("was published in the 5th century BC by", -450),
        ("was written circa the sixth century BC by", -550),
        ("was written between the 3rd and 5th centuries by", 350),
        ("was written in the 8th or 9th century by", 800),
        ("was written in the mid-15th century by", 1450),
        ("was written in the first half of the twelfth century by", 1125),
        ("was written in the second half of the twelfth century by", 1175),
        ("was written in the 1590s by", 1595),
        ("was written in the year 12 by", None),
        ("is of unknown date and in its 5th edition by", None),
        ("was written by", None),
        ("", None),
    ],
)
def test_every_form_of_date(sentence, year):
    assert parse_year(sentence) == year


def test_the_parts_of_a_century_lie_in_order_within_it():
    parts = [parse_year(f"in the {part}15th century") for part in ("early ", "", "late ")]
    assert parts == sorted(parts)
    assert 1400 <= parts[0] < 1420
    assert parts[1] == 1450
    assert 1480 < parts[2] <= 1500
    early, late = (parse_year(f"in the {part} 5th century BC") for part in ("early", "late"))
    assert -500 <= early < -450 < late <= -400


@given(
    st.integers(100, 2090), st.integers(0, 200), st.sampled_from(["between {} and {}", "from {}\u2060\u2013\u2060{}"])
)
def test_a_range_counts_by_its_middle(start, length, form):
    end = min(start + length, 2100)
    assert parse_year(f"was written {form.format(start, end)} by") == (start + end) // 2


@given(st.integers(1, 3000), st.integers(1, 3000), st.sampled_from(["BC", "BCE", "B.C."]))
def test_before_christ_is_negative_and_the_era_counts_for_both_ends(one, two, era):
    later, earlier = sorted((min(one, 2100), min(two, 2100)))
    assert parse_year(f"was written between {earlier} and {later} {era} by") == -(earlier + later) // 2


@given(st.integers(1, 21), st.booleans())
def test_a_century_counts_by_its_middle(century, before_christ):
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(century % 10 if century // 10 != 1 else 0, "th")
    year = parse_year(f"was written in the {century}{suffix} century {'BC' if before_christ else 'CE'} by")
    assert year == (50 - 100 * century if before_christ else 100 * century - 50)


@given(st.text())
def test_no_sentence_breaks_it(sentence):
    assert parse_year(sentence) is None or -2100 <= parse_year(sentence) <= 2100


def _read(text: str) -> Dates:
    return read_dates(etree.fromstring(text.encode()))


def test_titles_and_names_are_no_dates():
    assert _read(colophon("was published in <time>1847</time> by<br/>")) == Dates(1847)


def test_a_translation_has_its_own_year():
    sentence = (
        'was completed circa 458 <abbr epub:type="se:era z3998:initialism">BC</abbr> by<br/> <a href="#">Ada</a>.<br/>'
        " It was translated from Old Heron in <time>1920</time> by<br/>"
    )
    assert _read(colophon(sentence)) == Dates(-458, 1920)


def test_a_translator_s_year_is_not_the_work_s():
    sentence = "was written by<br/> <a>Ada</a>.<br/> It was translated from Heron in <time>1920</time> by<br/>"
    assert _read(colophon(sentence)) == Dates(None, 1920)


def test_a_work_compiled_in_translation_has_one_year_for_both():
    sentence = "is based on tales of<br/> <a>Ada</a><br/> and was compiled and translated from Heron in 1859 by<br/>"
    assert _read(colophon(sentence)) == Dates(1859, 1859)


def test_the_translation_may_stand_in_a_paragraph_of_its_own():
    body = (
        '<section epub:type="colophon"><p><i>Title</i> was published in <time>1920</time> by Ada.</p>'
        "<p>It was translated from Heron in <time>1923</time> by Bo.</p>"
        "<p>This ebook was translated into bytes in <time>2020</time>.</p></section>"
    )
    assert _read(xhtml(body)) == Dates(1920, 1923)


def test_the_machine_readable_year_wins():
    assert _read(colophon('was written in <time datetime="0975">the year 7</time> by<br/>')) == Dates(975)


def test_an_edition_is_no_date_of_the_work():
    assert _read(xhtml("<p>This ebook was released in <time>2019</time>.</p>")) == Dates()
    assert _read(xhtml("")) == Dates()
