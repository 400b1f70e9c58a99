"""RDF, metadata.yaml, catalogue and header: what each says alone, what breaks, and who wins."""

import pytest
from tiny_gutenberg import CATALOGUE, RDF, ROW, YAML, book, write

from wotd.errors import UnreadableWorkError
from wotd.providers.literature import gutenberg_metadata
from wotd.providers.literature.gutenberg_metadata import (
    MAX_YAML_BYTES,
    MAX_YAML_NODES,
    Record,
    first_life,
    merged,
    read_catalogue,
    read_header,
    read_rdf,
    read_record,
    read_yaml,
)
from wotd.providers.literature.people import Life, Person

ADA = Person("Ada Pell", Life(1820, 1890))
TOBIAS = Person("Tobias Marsh", Life(-70))
BOMB = '<!DOCTYPE r [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'


def test_yaml_alone_says_what_it_has():
    assert read_yaml(YAML.format(birth=1820, number=7).encode(), "metadata.yaml") == Record(
        number=7,
        title="The Lamp: A Tale of the Bar",
        authors=(ADA,),
        translators=(Person("John Rook", Life(1840)),),
        languages=("en",),
        subjects=("Lighthouses -- Fiction",),
        classes=("PR",),
        shelves=("Harvard Classics",),
        rights="Public domain in the USA",
    )


def test_yaml_with_several_of_everything():
    document = b"""
creator:
  authors: [{agent_name: 'Pell, Ada', birthdate: '1820?'}, {agent_name: Various}, oddity, {agent_name: 'Rook, J.'}]
language: [fr, nl]
title: 1984
subjects: [GITenberg, Mills]
gutenberg_bookshelf: [Poetry, Plays]
identifiers: oddity
"""
    record = read_yaml(document, "metadata.yaml")
    assert record.authors == (Person("Ada Pell", Life(1820)), Person("J. Rook"))
    assert record.languages == ("fr", "nl")
    assert record.title == "1984"
    assert record.subjects == ("Mills",)
    assert record.shelves == ("Poetry", "Plays")
    assert record.number is None


def test_unknown_tags_are_plain_text_and_execute_nothing(tmp_path):
    target = tmp_path / "made"
    document = f"title: !!python/object/apply:os.mkdir ['{target}']\nlanguage: !private en\n".encode()
    assert read_yaml(document, "metadata.yaml").languages == ("en",)
    assert not target.exists()


@pytest.mark.parametrize(
    "document",
    [
        b"a: [1, 2",
        b"- just\n- a list\n",
        b"plain",
        b"",
        b"title: \xff\xfe",
        b"issued: 2008-13-45",
        b"[" * 5000,
        b"a: &a [1,1]\n" + b"".join(b"b%d: *a\n" % n for n in range(40)),
        b"? [a]\n: b",
        b"title: !!bool x",
        b"title: !!timestamp x",
        b"a: " + b"[" * 60 + b"]" * 60,
    ],
)
def test_broken_yaml_is_named(document):
    with pytest.raises(UnreadableWorkError, match=r"metadata\.yaml"):
        read_yaml(document, "metadata.yaml")


def test_documents_that_refer_to_themselves_end():
    document = b"title: &t {x: *t}\nlanguage: &l [*l, en]\nsubjects: &s [*s]\ncreator: &c {author: *c}\n"
    assert read_yaml(document, "metadata.yaml") == Record(languages=("en",))


def test_rdf_alone_says_what_it_has():
    assert read_rdf(RDF.format(number=8, doctype="").encode(), "pg8.rdf") == Record(
        number=8,
        title="The Weir",
        authors=(TOBIAS,),
        translators=(Person("John Rook", Life(1840)),),
        languages=("en",),
        subjects=("Rivers -- Poetry",),
        classes=("PA",),
        shelves=("Poetry",),
        rights="Public domain in the USA",
    )


def test_an_agent_that_rdf_only_refers_to_is_found():
    rdf = RDF.format(number=8, doctype="").replace(
        "<marcrel:trl>",
        '<dcterms:creator rdf:resource="2009/agents/2"/><dcterms:creator rdf:resource="x"/><marcrel:trl>',
    )
    assert read_rdf(rdf.encode(), "pg8.rdf").authors == (TOBIAS, Person("John Rook", Life(1840)))


@pytest.mark.parametrize("document", [RDF.format(number=8, doctype=BOMB), "<rdf", "<a/>", ""])
def test_broken_rdf_is_named(document):
    with pytest.raises(UnreadableWorkError, match=r"pg8\.rdf"):
        read_rdf(document.encode(), "pg8.rdf")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("metadata.yaml", b"a: ["),
        ("metadata.yaml", b"a: b\n" * (MAX_YAML_BYTES // 5 + 1)),
        ("metadata.yaml", b"a: b\n" * (MAX_YAML_NODES // 2)),
        ("pg8.rdf", b"<rdf"),
        ("pg8.rdf", RDF.format(number=8, doctype=BOMB).encode()),
    ],
)
def test_a_broken_file_is_logged_and_says_nothing(tmp_path, caplog, name, data):
    assert read_record(write(tmp_path / name, data)) == Record()
    assert name in caplog.text


def test_the_catalogue_alone_says_what_it_has(tmp_path):
    path = write(tmp_path / "pg_catalog.csv", "\ufeff" + CATALOGUE + ROW.format(number=9) + ROW.format(number=10))
    assert read_catalogue(path, {9, 11}) == {
        9: Record(
            number=9,
            title="The Mill Play",
            authors=(Person("Tobias Marsh", Life(1730, 1774)),),
            translators=(Person("John Rook", Life(1840), "translator"),),
            languages=("en",),
            subjects=("Mills -- Drama",),
            classes=("PR",),
        )
    }


def test_of_rows_with_the_same_number_the_first_is_read_alone(tmp_path, monkeypatch):
    read = []
    whole = gutenberg_metadata._catalogue_record
    monkeypatch.setattr(gutenberg_metadata, "_catalogue_record", lambda *row: read.append(row) or whole(*row))
    rows = "Text#,Title\n9,The Mill\n" + "9,The Millers\n" * 100
    assert read_catalogue(write(tmp_path / "pg_catalog.csv", rows), {9})[9].title == "The Mill"
    assert len(read) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"Number,Title\n9,X\n",
        CATALOGUE.encode() + b"9,\xff\xfe\n",
        CATALOGUE.encode() + b'9,"' + b"x" * 200_000 + b'"\n',
        b"PK\0\0\n",
    ],
)
def test_a_broken_catalogue_is_logged_and_says_nothing(tmp_path, caplog, data):
    assert read_catalogue(write(tmp_path / "pg_catalog.csv", data), {9}) == {}
    assert "pg_catalog.csv" in caplog.text


def test_rows_that_are_short_or_odd_are_read_as_far_as_they_go(tmp_path):
    path = write(tmp_path / "pg_catalog.csv", CATALOGUE + "9,Text\nnine,Text\n,\n")
    assert read_catalogue(path, {9}) == {9: Record(number=9)}


@pytest.mark.parametrize(
    ("header", "record"),
    [
        (
            "Title: The Lamp\n       A Tale of the Bar\n\nAuthor: Ada Pell\n        John Rook\n\n"
            "Translator: T. Marsh and J. Weir\n\nPosting Date: May 1, 2001 [EBook #7]\n\nLanguage: English, French\n",
            Record(
                number=7,
                title="The Lamp A Tale of the Bar",
                authors=(Person("Ada Pell"), Person("John Rook")),
                translators=(Person("T. Marsh"), Person("J. Weir")),
                languages=("en", "fr"),
            ),
        ),
        (
            "***The Project Gutenberg Etext of The Lamp by Pell***\n\nWe need your donations.\n\n\n"
            "The Lamp\n\nby Ada Pell\n\nMarch, 1995  [Etext #236]\n",
            Record(number=236, title="The Lamp", authors=(Person("Ada Pell"),)),
        ),
        (
            "This is the February 1992 Project Gutenberg release of: \n \nThe Lamp by Ada Pell \n",
            Record(title="The Lamp", authors=(Person("Ada Pell"),)),
        ),
        ("***This is the Project Gutenberg Etext of The Lamp***\n", Record(title="The Lamp")),
        ("The Project Gutenberg EBook of The Lamp 1653, by Various\n", Record(title="The Lamp 1653")),
        (
            "Title: The Lamp\nThis is a COPYRIGHTED Project Gutenberg eBook\n",
            Record(title="The Lamp", rights="Copyrighted"),
        ),
        ("Language: Klingon\n", Record(languages=("klingon",))),
        ("", Record()),
    ],
)
def test_the_header_alone_says_what_it_has(header, record):
    assert read_header(header) == record


def test_the_header_of_today():
    header = book(number=12).split("***")[0]
    assert read_header(header) == Record(12, "The Lamp", (Person("Ada Pell"),), (), ("en",))


def test_the_first_record_that_knows_wins_thing_by_thing():
    first, second = Record(title="A", languages=()), Record(number=2, title="B", languages=("en",), subjects=("X",))
    assert merged([first, second]) == Record(number=2, title="A", languages=("en",), subjects=("X",))
    assert merged([]) == Record()


def test_the_first_known_life_counts():
    assert first_life([Person("A"), ADA, TOBIAS]) == ADA.life
    assert first_life([]) == Life()


def test_numbers_too_long_to_be_written_say_nothing():
    assert read_yaml(b"title: 0x" + b"f" * 5000 + b"\nlanguage: en", "metadata.yaml") == Record(languages=("en",))
