"""The provider on real works, where the folder ``shared/corpora`` lies beside the repository."""

import re
from collections import Counter
from pathlib import Path

import pytest
import yaml
from tiny_standard_ebooks import write_epub

from wotd.providers.literature.standard_ebooks import StandardEbooks
from wotd.providers.text import count_words
from wotd.taxonomy import Taxonomy

REPOSITORY = Path(__file__).resolve().parents[3]
CORPORA = REPOSITORY.parent / "shared" / "corpora"

pytestmark = pytest.mark.skipif(
    not (CORPORA / "standard_ebooks").is_dir(),
    reason=f"no real works to read: {CORPORA / 'standard_ebooks'} is absent",
)


@pytest.fixture(scope="module")
def provider():
    return StandardEbooks(CORPORA / "standard_ebooks", max_passages_per_work=None)


@pytest.fixture(scope="module")
def works(provider):
    return {work.id.removeprefix("standard_ebooks:"): work for work in provider.works()}


@pytest.fixture(scope="module")
def passages(works):
    return {name: work.passages() for name, work in works.items()}


@pytest.fixture(scope="module")
def table():
    """Rows of the table of works: name → author, date, genres, reading ease, words, size."""
    _, _, lines = (CORPORA / "README.md").read_text("utf-8").partition("## Works of Standard Ebooks")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines.splitlines()]
    return {row[0]: row[1:] for row in rows if len(row) == 7 and "_" in row[0]}


def _bounds(date: str) -> tuple[int, int]:
    """The first and last year that a date of the table admits."""
    sign = -1 if date.endswith("BC") else 1
    if century := re.search(r"(\d+)\w\w century", date):
        years = 100 * int(century.group(1))
        first, last = (-years, 100 - years) if sign < 0 else (years - 100, years)
        return (first, first + 33) if "early" in date else (first, last)
    found = [sign * int(year) for year in re.findall(r"\d+", date)]
    return min(found), max(found)


def test_all_works_are_read_in_order(works, table):
    assert len(works) == len(table) == 122
    assert list(works) == sorted(table)


def test_the_facts_are_those_of_the_table(works, table):
    for name, (author, _, genres, ease, whole, _) in table.items():
        work = works[name]
        assert work.authors == (author,)
        assert ", ".join(work.fact("genres").value) == genres
        assert work.fact("reading_ease").value == float(ease)
        assert work.fact("word_count").value == int(whole)
        assert work.fact("language").value in {"en-GB", "en-US", "en-CA"}


def test_every_year_is_the_middle_of_the_date_in_the_colophon(works, table):
    for name, (_, date, *_) in table.items():
        first, last = _bounds(date)
        year = works[name].fact("year_written").value
        assert year == pytest.approx((first + last) / 2, abs=0.5), (name, date, year)


def test_translations_have_the_year_of_their_text(works):
    translated = {name: work for name, work in works.items() if work.fact("translators").known}
    assert len(translated) == 25
    years = {name: work.fact("year_of_text").value for name, work in works.items() if work.fact("year_of_text").known}
    assert set(years) == set(translated)
    assert years["karel-capek_r-u-r_paul-selver_nigel-playfair"] == 1923
    assert years["jules-verne_twenty-thousand-leagues-under-the-seas_f-p-walter"] == 1991
    assert all(years[name] >= translated[name].fact("year_written").value for name in years)


def test_style_complexity_and_era_are_known_of_every_work(works):
    taxonomy = Taxonomy.from_mapping(yaml.safe_load((REPOSITORY / "conf/taxonomy/literature.yaml").read_text("utf-8")))
    labels = taxonomy.label_works((work.id, work.facts) for work in works.values())
    assert all(None not in label.codes for label in labels.values())
    eras = Counter(taxonomy.describe(label.codes[:3])[2] for label in labels.values())
    assert eras == {
        "ancient": 9, "medieval": 5, "renaissance": 9, "enlightenment": 14,
        "romantic": 7, "victorian": 35, "modernist": 35, "contemporary": 8,
    }  # fmt: skip


def test_every_work_gives_passages_and_little_is_dropped(provider, passages):
    assert not provider.dropped.works
    assert min(map(len, passages.values())) > 20
    total = sum(map(len, passages.values()))
    assert total > 50_000
    assert sum(provider.dropped.passages.values()) < 0.01 * total
    assert all(20 <= count_words(passage) <= 110 for found in passages.values() for passage in found)


@pytest.mark.parametrize(
    "furniture",
    [
        r"(?i)standard ebooks|public domain|\bendnotes?\b|\bcolophon\b|project gutenberg",
        "[\u00ad\u00a0\u200a-\u200f\u2028-\u202f\u2060-\u206f\ufeff]",
        r"[\t\r\f\v]|  |\n\n|(?m:^\s|\s$)",
        r"</?[a-z]+>|&[a-z]+;",
    ],
)
def test_passages_are_free_of_furniture(passages, furniture):
    assert not [
        (name, match.group())
        for name, found in passages.items()
        for text in found
        for match in re.finditer(furniture, text)
    ]


def test_no_digits_of_notes_stick_to_words(passages):
    glued = re.compile(r"\w*[^\W\d][,.;:!?”’)]{0,3}\d{1,3}\b")
    found = {match.group() for texts in passages.values() for text in texts for match in glued.finditer(text)}
    # What remains is the author's: postal districts, ranks, test groups, a space cruiser.
    assert found <= {"SW11", "W.1", "A1", "K3", "K12", "12B44", "B44"}


def test_verse_keeps_its_lines(passages):
    lines = [len(text.split("\n")) for text in passages["john-milton_paradise-lost"]]
    assert sorted(lines)[len(lines) // 2] >= 8


def test_an_epub_gives_the_same_as_the_tree_it_was_made_of(tmp_path, works, passages):
    name = "omar-khayyam_the-rubaiyat-of-omar-khayyam_edward-fitzgerald"
    tree = CORPORA / "standard_ebooks" / name / "src/epub"
    files = {str(path.relative_to(tree)): path.read_text("utf-8") for path in sorted(tree.rglob("*")) if path.is_file()}
    write_epub(tmp_path / f"{name}.epub", files)
    (work,) = StandardEbooks(tmp_path, max_passages_per_work=None).works()
    assert work.id == works[name].id
    assert work.facts == works[name].facts
    assert work.passages() == passages[name]
