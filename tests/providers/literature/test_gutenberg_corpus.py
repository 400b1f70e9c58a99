"""The provider on real texts, where the folder ``shared/corpora`` lies beside the repository."""

import re
import time
from pathlib import Path

import pytest
import yaml
from lxml import etree

from wotd.providers.literature.genres import genres_of
from wotd.providers.literature.gutenberg import Gutenberg
from wotd.providers.literature.gutenberg_envelope import decode, open_envelope
from wotd.providers.literature.gutenberg_layout import find_texts, name_texts
from wotd.providers.literature.gutenberg_metadata import read_catalogue
from wotd.providers.text import MAX_WORDS, MIN_WORDS, count_words
from wotd.taxonomy import Origin, Taxonomy

REPOSITORY = Path(__file__).resolve().parents[3]
CORPORA = REPOSITORY.parent / "shared" / "corpora"

pytestmark = pytest.mark.skipif(
    not (CORPORA / "gutenberg").is_dir(), reason=f"no real texts to read: {CORPORA / 'gutenberg'} is absent"
)

ENGLISH = [
    *("1065", "11", "11-alice30", "1513", "17997", "1952", "1952-ylwlp10", "19942", "20170", "20171", "21849", "21937"),
    *("236", "25063", "26", "26184", "31251", "3261", "58585", "61", "84", "8948", "9198"),
]
OTHERS = ["2229", "22367", "31894", "44157", "6099"]
WRAPPING = re.compile(
    r"Gutenberg|\beBook|\be-?text\b|www\.|https?:|Produced by|Transcriber|Project.s trademark|public domain"
    r"|\[\d+\]|_|\ufeff|\x1d|\[Illustration|\[Footnote|\bFOOTNOTES?\b|SMALL PRINT|(?:^|\s)\*+(?:\s|$)|\+--|={3}",
)
LICENCE = re.compile(
    r"\b(?:this licen[sc]e|licen[sc]e terms|terms of (?:use|this)|copyright|trademark|royalties to|a refund)\b", re.I
)
TIMES = 100
"""How much longer reading may take than finding the words of what was read."""


@pytest.fixture(scope="module")
def provider():
    return Gutenberg(root=CORPORA / "gutenberg", language=None, max_passages_per_work=None)


@pytest.fixture(scope="module")
def read(provider):
    """Works and all their passages, with the seconds that took on one core."""
    start = time.process_time()
    found = {work.id.removeprefix("gutenberg:"): (work, work.passages()) for work in provider.works()}
    return found, time.process_time() - start


@pytest.fixture(scope="module")
def works(read):
    return {name: work for name, (work, _) in read[0].items()}


@pytest.fixture(scope="module")
def passages(read):
    return {name: passages for name, (_, passages) in read[0].items()}


def test_all_texts_are_read_and_named(works, provider):
    assert list(works) == sorted(ENGLISH + OTHERS)
    assert not provider.dropped.works


def test_all_texts_are_read_in_time(read, passages):
    text = "\n".join(passage for ps in passages.values() for passage in ps)
    assert read[1] < TIMES * min(seconds_to_find_words(text) for _ in range(5))


def seconds_to_find_words(text):
    start = time.process_time()
    re.findall(r"\w+", text)
    return time.process_time() - start


def test_other_languages_are_reported():
    provider = Gutenberg(root=CORPORA / "gutenberg")
    assert [work.id for work in provider.works()] == [f"gutenberg:{name}" for name in ENGLISH]
    assert provider.dropped.works == {
        "its language is de": 2,
        "its language is fr": 1,
        "its language is fr, nl": 1,
        "its language is la": 1,
    }


def test_nothing_of_the_wrapping_is_left(passages):
    found = [(name, p) for name, ps in passages.items() for p in ps if WRAPPING.search(p) or LICENCE.search(p)]
    assert not found


def test_passages_are_as_long_as_they_may_be(passages):
    assert all(MIN_WORDS <= count_words(passage) <= MAX_WORDS for ps in passages.values() for passage in ps)


def test_hardly_anything_is_lost(works, passages, provider):
    assert provider.dropped.passages["shorter than 20 words"] < 0.02 * sum(map(len, passages.values()))
    for name, work in works.items():
        assert sum(map(count_words, passages[name])) > 0.95 * work.fact("word_count").value


@pytest.mark.parametrize("name", ["11", "11-alice30", "26", "84", "1065", "1952", "236", "8948"])
def test_texts_begin_after_the_title_page_and_end_before_the_licence(passages, name):
    texts, _ = name_texts(find_texts(CORPORA / "gutenberg"))
    body = open_envelope(decode(texts[name].path.read_bytes())).body.replace("--", "\u2014").split()
    first, last = passages[name][0].split()[:3], passages[name][-1].split()[-2:]
    begins = next(index for index in range(len(body)) if body[index : index + 3] == first)
    ends = next(index for index in reversed(range(len(body))) if body[index : index + 2] == last)
    assert begins < 120
    assert len(body) - ends < 30


@pytest.mark.parametrize("name", ["26", "1065", "2229", "6099", "8948", "1513"])
def test_verse_keeps_its_lines(passages, name):
    assert sum("\n" in passage for passage in passages[name]) > 0.9 * len(passages[name])


@pytest.mark.parametrize("name", ["84", "19942", "3261", "61", "22367"])
def test_paragraphs_of_prose_are_rejoined(passages, name):
    lines = [line for passage in passages[name] for line in passage.split("\n")[1:]]
    assert sum(line[:1].islower() for line in lines) < 0.01 * len(lines)


def test_facts_as_the_metadata_state_them(works):
    assert works["19942"].title == "Candide"
    assert works["19942"].authors == ("Voltaire",)
    assert works["61"].authors == ("Karl Marx", "Friedrich Engels")
    assert works["21937"].fact("translators").value == ["Henninge Margrethe Krohn Schanche"]
    assert works["84"].title == "Frankenstein; Or, The Modern Prometheus"
    assert works["9198"].fact("year_written").value == 1593 + 35
    assert not works["20170"].fact("year_written").known
    for work in works.values():
        assert work.fact("title").origin is Origin.STATED
        assert work.fact("year_written").origin in (Origin.ESTIMATED, Origin.UNKNOWN)
        assert work.fact("licence").value == "Public domain in the USA"
        assert work.fact("word_count").origin is Origin.COMPUTED
        assert work.fact("reading_ease").known == (work.fact("language").value == "en")


def test_two_texts_of_one_book_read_alike(works, passages):
    for name, other in (("11", "11-alice30"), ("1952", "1952-ylwlp10")):
        ease, other_ease = (works[n].fact("reading_ease").value for n in (name, other))
        assert ease == pytest.approx(other_ease, abs=4)
        assert len(passages[name]) == pytest.approx(len(passages[other]), rel=0.02)


def test_styles_agree_with_those_of_standard_ebooks():
    taxonomy = yaml.safe_load((REPOSITORY / "conf/taxonomy/literature.yaml").read_text(encoding="utf-8"))
    style = Taxonomy.from_mapping(taxonomy).levels[0].rule
    pairs = list(_shared_works())
    assert len(pairs) == 71
    assert sum(style.code(theirs) == style.code(ours) for theirs, ours in pairs) >= 54


def _shared_works():
    """Genres by Standard Ebooks and by our reading of the catalogue, of the works that both hold."""
    rows = read_catalogue(CORPORA / "gutenberg/pg_catalog.csv", range(100_000))
    for path in sorted((CORPORA / "standard_ebooks").glob("*/src/epub/content.opf")):
        package = etree.parse(str(path)).getroot()
        sources = [node.text or "" for node in package.iter("{*}source")]
        numbers = [int(match[1]) for source in sources if (match := re.search(r"gutenberg\.org/\D*(\d+)", source))]
        genres = [
            node.text
            for node in package.iter("{*}meta")
            if node.get("property") in ("se:subject", "schema:genre") and not node.get("refines")
        ]
        row = next((rows[number] for number in numbers if number in rows), None)
        if row:
            yield genres, genres_of(row.subjects, row.classes, row.shelves)
