"""The provider on small invented books: what it finds, names, states, cuts, and what it leaves out and why."""

import os
import re
from pathlib import Path

import pytest
import yaml
from tiny_gutenberg import BODY, CATALOGUE, PROSE, RDF, ROW, STANZA, YAML, book, write

from wotd.errors import CorpusError, UnreadableWorkError
from wotd.providers.literature import gutenberg
from wotd.providers.literature.gutenberg import Gutenberg
from wotd.providers.literature.gutenberg_layout import find_texts, name_texts
from wotd.providers.text import count_words
from wotd.taxonomy import Fact, Origin

CONF = Path(__file__).resolve().parents[3] / "conf/provider/gutenberg.yaml"


def works(root, **settings):
    return {work.id: work for work in Gutenberg(root=root, **settings).works()}


def test_one_text_with_everything_beside_it(tmp_path):
    write(tmp_path / "The-Lamp_7/7-0.txt", book(number=7))
    write(tmp_path / "The-Lamp_7/metadata.yaml", YAML.format(birth=1820, number=7))
    provider = Gutenberg(root=tmp_path)
    (work,) = provider.works()
    assert work.id == "gutenberg:7"
    ease = work.fact("reading_ease")
    assert ease.origin is Origin.COMPUTED
    assert 60 < ease.value < 110
    assert {name: fact for name, fact in work.facts.items() if name != "reading_ease"} == {
        "title": Fact.stated("The Lamp: A Tale of the Bar"),
        "authors": Fact.stated(["Ada Pell"]),
        "translators": Fact.stated(["John Rook"]),
        "year_written": Fact.estimated(1855),
        "year_of_text": Fact.estimated(1875),
        "genres": Fact.stated(["Fiction"]),
        "subjects": Fact.stated(["Lighthouses -- Fiction"]),
        "language": Fact.stated("en"),
        "source": Fact.stated("https://www.gutenberg.org/ebooks/7"),
        "licence": Fact.stated("Public domain in the USA"),
        "word_count": Fact.computed(2 * count_words(PROSE) + count_words(STANZA)),
    }
    *first_chapter, second_chapter = work.passages()
    assert " ".join(first_chapter).split() == [*PROSE.split(), *PROSE.split()]
    assert second_chapter == "\n".join(line.strip() for line in STANZA.split("\n"))
    assert not provider.dropped.works
    assert not provider.dropped.passages


def test_each_source_of_metadata_suffices_alone(tmp_path):
    bare = book(author=None, language=None, title="X")
    write(tmp_path / "a/1-0.txt", bare)
    write(tmp_path / "a/metadata.yaml", YAML.format(birth="'1820?'", number=1))
    write(tmp_path / "b/2-0.txt", bare)
    write(tmp_path / "b/pg2.rdf", RDF.format(number=2, doctype=""))
    write(tmp_path / "c/pg3.txt", bare)
    write(tmp_path / "pg_catalog.csv", CATALOGUE + ROW.format(number=3))
    write(tmp_path / "d/4.txt", book(title="The Bell"))
    stated = works(tmp_path)
    assert [(work.title, work.authors) for work in stated.values()] == [
        ("The Lamp: A Tale of the Bar", ("Ada Pell",)),
        ("The Weir", ("Tobias Marsh",)),
        ("The Mill Play", ("Tobias Marsh",)),
        ("The Bell", ("Ada Pell",)),
    ]
    assert [work.fact("year_written").value for work in stated.values()] == [1855, -35, 1765, None]
    assert [work.fact("year_of_text").value for work in stated.values()] == [1875, 1875, 1875, None]
    assert [work.fact("genres").value for work in stated.values()] == [["Fiction"], ["Poetry"], ["Drama"], None]
    assert [work.fact("licence").origin.value for work in stated.values()] == ["stated"] * 2 + ["estimated"] * 2


def test_what_one_source_does_not_know_the_next_one_says(tmp_path):
    write(tmp_path / "9-0.txt", book(number=9))
    write(tmp_path / "metadata.yaml", "title: The First\nidentifiers: {gutenberg: '9'}\n")
    write(
        tmp_path / "pg9.rdf", RDF.format(number=9, doctype="").replace("<pgterms:birthdate>-70</pgterms:birthdate>", "")
    )
    write(tmp_path / "pg_catalog.csv", CATALOGUE + ROW.format(number=9))
    (work,) = works(tmp_path).values()
    assert work.title == "The First"
    assert work.authors == ("Tobias Marsh",)
    assert work.fact("year_written") == Fact.estimated(1765)


def test_the_first_author_counts_even_if_only_another_source_knows_the_years(tmp_path):
    write(tmp_path / "9-0.txt", book(number=9))
    write(
        tmp_path / "metadata.yaml",
        "creator: {authors: [{agent_name: 'Marsh, Tobias'}, {agent_name: 'Pell, Ada', birthdate: 1820}]}\n",
    )
    assert works(tmp_path)["gutenberg:9"].fact("year_written").value == 1855
    write(tmp_path / "pg9.rdf", RDF.format(number=9, doctype=""))
    assert works(tmp_path)["gutenberg:9"].fact("year_written").value == -35


def test_metadata_of_another_book_in_the_folder_say_nothing(tmp_path):
    write(tmp_path / "9-0.txt", book(number=9))
    write(tmp_path / "metadata.yaml", YAML.format(birth=1820, number=8))
    write(tmp_path / "pg8.rdf", RDF.format(number=8, doctype=""))
    (work,) = works(tmp_path).values()
    assert work.title == "The Lamp"
    assert not work.fact("genres").known


@pytest.mark.parametrize("broken", ["metadata.yaml", "pg9.rdf", "pg_catalog.csv"])
def test_a_broken_source_is_logged_and_the_rest_is_used(tmp_path, caplog, broken):
    write(tmp_path / "9-0.txt", book(number=9))
    write(tmp_path / "pg_catalog.csv", CATALOGUE + ROW.format(number=9))
    write(tmp_path / "pg9.rdf", RDF.format(number=9, doctype=""))
    write(tmp_path / broken, "<[{")
    (work,) = works(tmp_path).values()
    assert work.authors == ("Tobias Marsh",)
    assert broken in caplog.text


@pytest.mark.parametrize(
    ("path", "header", "name"),
    [
        ("pg84.txt", 1, "84"),
        ("1513-0.txt", 1, "1513"),
        ("19942-8.txt", 1, "19942"),
        ("61.TXT", 1, "61"),
        ("pg84-images.txt", 1, "84"),
        ("lamp10.txt", 236, "236"),
        ("The-Lamp_26/old/lamp10.txt", None, "26"),
        ("The-Lamp_26/lamp10.txt", None, "26"),
        ("lamp10.txt", None, "lamp10"),
        ("The old lamp.txt", None, "The-old-lamp"),
    ],
)
def test_where_the_number_of_a_text_comes_from(tmp_path, path, header, name):
    write(tmp_path / path, book(number=header))
    assert list(works(tmp_path)) == [f"gutenberg:{name}"]


@pytest.mark.parametrize(
    ("file", "text"),
    [("metadata.yaml", YAML.format(birth=1, number=33)), ("pg33.rdf", RDF.format(number=33, doctype=""))],
)
def test_the_number_may_come_from_metadata_beside_the_folder_old(tmp_path, file, text):
    write(tmp_path / "Lamp/old/lamp10.txt", book())
    write(tmp_path / "Lamp" / file, text)
    (work,) = works(tmp_path).values()
    assert work.id == "gutenberg:33"
    assert work.title != "The Lamp"


def test_two_texts_of_one_book_and_works_in_order_of_id(tmp_path):
    write(tmp_path / "Alice_11/old/alice30.txt", book(number=11))
    write(tmp_path / "Alice_11/11-0.txt", book(number=11))
    write(tmp_path / "plain/pg11.txt", book(number=11))
    write(tmp_path / "9.txt", book())
    write(tmp_path / "b/one.txt", book())
    write(tmp_path / "a/one.txt", book())
    ids = list(works(tmp_path))
    assert ids == sorted(ids)
    assert ids == [f"gutenberg:{name}" for name in ("11", "11-alice30", "11-pg11", "9", "one", "one-2")]


def test_other_encodings_of_a_text_are_dropped(tmp_path):
    for name in ("7.txt", "7-8.txt", "7-0.txt"):
        write(tmp_path / name, book(number=7, title=name))
    provider = Gutenberg(root=tmp_path)
    assert [work.title for work in provider.works()] == ["7-0.txt"]
    assert provider.dropped.works == {"another encoding of a text that is kept": 2}
    assert sorted(*provider.dropped.examples.values()) == ["gutenberg:7-7", "gutenberg:7-7-8"]


def test_other_languages_are_left_out_and_counted(tmp_path):
    for number, language in enumerate(("English", "German", "French, Dutch", None, "English, Latin"), 1):
        write(tmp_path / f"{number}.txt", book(language=language))
    provider = Gutenberg(root=tmp_path)
    assert [work.id for work in provider.works()] == ["gutenberg:1", "gutenberg:4"]
    assert provider.dropped.works == {"its language is de": 1, "its language is fr, nl": 1, "its language is en, la": 1}
    assert len(works(tmp_path, language=None)) == 5
    assert list(works(tmp_path, language=["de", "la", "en"])) == [f"gutenberg:{number}" for number in (1, 2, 4, 5)]


def test_reading_ease_is_measured_where_its_formula_holds(tmp_path):
    write(tmp_path / "1.txt", book(language="German"))
    write(tmp_path / "2.txt", book(language=None))
    german, unknown = works(tmp_path, language=None).values()
    assert not german.fact("reading_ease").known
    assert unknown.fact("reading_ease").known


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (b"\0\1\2 Project Gutenberg", "it is not plain text"),
        (book("Too short."), "no passage of 20 words or more"),
        (
            book("\n\n\n\n\n".join(["Ten words and no more stand in each of these."] * 5)),
            "no passage of 20 words or more",
        ),
        (book(""), "no passage of 20 words or more"),
    ],
)
def test_texts_that_cannot_serve_are_dropped_with_their_reason(tmp_path, data, reason):
    write(tmp_path / "1.txt", data)
    write(tmp_path / "2.txt", book())
    provider = Gutenberg(root=tmp_path)
    for _ in range(2):
        assert [work.id for work in provider.works()] == ["gutenberg:2"]
    assert provider.dropped.works == {reason: 1}


def test_a_huge_text_is_dropped_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(gutenberg, "MAX_TEXT_BYTES", 2**20)
    write(tmp_path / "1.txt", b"x" * (2**20 + 1))
    provider = Gutenberg(root=tmp_path)
    assert not list(provider.works())
    assert provider.dropped.works == {"it is larger than 1 MB": 1}


def test_a_text_that_is_gone_when_its_passages_are_asked_for(tmp_path):
    write(tmp_path / "1.txt", book())
    write(tmp_path / "2.txt", book())
    first, _ = works(tmp_path).values()
    (tmp_path / "1.txt").unlink()
    with pytest.raises(UnreadableWorkError, match="cannot be read"):
        first.passages()


def test_scraps_are_counted_once_and_the_limit_is_kept(tmp_path):
    body = (
        "\n\n\n".join(f"CHAPTER {number}\n\n{PROSE}" for number in range(1, 9)) + "\n\n\nCHAPTER 9\n\nAnd he went out."
    )
    write(tmp_path / "1.txt", book(body))
    provider = Gutenberg(root=tmp_path, max_passages_per_work=3)
    for _ in range(2):
        (work,) = provider.works()
        assert len(work.passages()) == 3
    assert provider.dropped.passages == {"shorter than 20 words": 1}
    assert not provider.dropped.works


def test_passages_never_cross_a_chapter(tmp_path):
    sentence = "The {} went down to the water and looked for the twelve ships that lay there."
    body = "\n\n\n\n".join(f"CHAPTER {n}\n\n" + "\n\n".join([sentence.format(f"man of {n}")] * 3) for n in (1, 2, 3))
    write(tmp_path / "1.txt", book(body))
    for passage in works(tmp_path)["gutenberg:1"].passages():
        assert len(set(re.findall(r"man of (\d)", passage))) == 1


def test_the_same_twice_and_lazily(tmp_path):
    for number in range(1, 4):
        write(tmp_path / f"{number}.txt", book(title=f"Lamp {number}"))
    provider = Gutenberg(root=tmp_path)
    once, twice = ([(work.id, work.facts, work.passages()) for work in provider.works()] for _ in range(2))
    assert once == twice
    write(tmp_path / "3.txt", b"")
    early = provider.works()
    assert next(early).title == "Lamp 1"


@pytest.mark.parametrize("root", [None, ""])
def test_without_a_root_it_is_not_configured(root):
    provider = Gutenberg(root=root)
    assert not provider.configured
    with pytest.raises(CorpusError, match=r"provider\.root is not set"):
        list(provider.works())


def test_roots_that_are_no_corpus(tmp_path):
    def refusal(root):
        with pytest.raises(CorpusError) as caught:
            list(Gutenberg(root=root).works())
        return str(caught.value)

    assert Gutenberg(root=tmp_path).configured
    assert "does not exist" in refusal(tmp_path / "absent")
    assert "is empty" in refusal(tmp_path)
    assert "is a file" in refusal(write(tmp_path / "x.csv", "x"))
    write(tmp_path / "README.txt", "no book")
    write(tmp_path / "12-readme.txt", "no book")
    assert "holds no text; expected .txt files" in refusal(tmp_path)


def test_links_that_leave_the_root_are_not_followed(tmp_path):
    outside = write(tmp_path / "outside/66.txt", book(number=66))
    write(tmp_path / "outside/metadata.yaml", YAML.format(birth=1820, number=5))
    root = tmp_path / "root"
    write(root / "5.txt", book(number=5, title="Mine"))
    write(root / "sub/6.txt", book(number=6))
    (root / "66.txt").symlink_to(outside)
    (root / "folder").symlink_to(tmp_path / "outside")
    (root / "loop").symlink_to(root)
    (root / "metadata.yaml").symlink_to(tmp_path / "outside/metadata.yaml")
    (root / "pg_catalog.csv").symlink_to(write(tmp_path / "outside/c.csv", CATALOGUE + ROW.format(number=5)))
    (root / "7.txt").symlink_to(root / "sub/6.txt")
    (root / "dangling.txt").symlink_to(root / "nowhere")
    found = works(root)
    assert list(found) == ["gutenberg:5", "gutenberg:6", "gutenberg:7"]
    assert found["gutenberg:5"].title == "Mine"


def test_a_root_may_itself_be_a_link_or_relative(tmp_path, monkeypatch):
    write(tmp_path / "real/5.txt", book(number=5))
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.chdir(tmp_path)
    assert list(works("link")) == list(works(tmp_path / "link")) == ["gutenberg:5"]


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_folders_that_may_not_be_read_are_logged(tmp_path, caplog):
    write(tmp_path / "5.txt", book(number=5))
    locked = tmp_path / "locked"
    locked.mkdir(mode=0)
    assert list(works(tmp_path)) == ["gutenberg:5"]
    locked.chmod(0o700)
    assert "locked" in caplog.text


def test_folders_are_searched_to_a_depth(tmp_path, caplog):
    write(tmp_path / "1/2/3/4/12345.txt", book())
    write(tmp_path / "/".join("abcdefghijklmn") / "6.txt", book())
    assert list(works(tmp_path)) == ["gutenberg:12345"]
    assert "levels deep" in caplog.text


def test_names_do_not_depend_on_the_order_of_files(tmp_path):
    for name, number in {"a/11": 11, "b/pg11": 11, "old/alice": 11, "x": None, "y/x": None}.items():
        write(tmp_path / f"{name}.txt", book(number=number))
    texts = find_texts(tmp_path)
    assert name_texts(texts) == name_texts(texts[::-1])
    assert list(name_texts(texts)[0]) == ["11", "11-alice", "11-pg11", "x", "x-2"]


def test_the_configuration_names_the_arguments():
    config = yaml.safe_load(CONF.read_text(encoding="utf-8"))
    assert config.pop("_target_") == f"{Gutenberg.__module__}.{Gutenberg.__name__}"
    assert config.pop("root") == "???"
    provider = Gutenberg()
    assert config == {"language": provider.language, "max_passages_per_work": provider.max_passages_per_work}


def test_headings_of_a_book_are_no_part_of_its_passages(tmp_path):
    write(tmp_path / "1.txt", book(BODY))
    assert not any("CHAPTER" in passage for passage in works(tmp_path)["gutenberg:1"].passages())
