import pytest
from tiny_standard_ebooks import NEW_WORDS, OLD_WORDS, metadata, package

from wotd.errors import UnreadableWorkError
from wotd.providers.literature.opf import parse_package
from wotd.taxonomy import Origin


def _facts(meta: str) -> dict:
    return {name: fact.value for name, fact in parse_package(package([], meta).encode(), "content.opf").facts.items()}


@pytest.mark.parametrize("vocabulary", [OLD_WORDS, NEW_WORDS])
def test_both_vocabularies_say_the_same(vocabulary):
    assert _facts(metadata(vocabulary)) == {
        "title": "The Clocks of Oakham",
        "authors": ("Ada Finch",),
        "alternate_names": ("Ada Maria Finch",),
        "translators": ("Bo Reed",),
        "genres": ("Comedy", "Fiction"),
        "subjects": ("Clocks -- Fiction", "Herons -- England -- Fiction"),
        "reading_ease": 71.5,
        "word_count": 1234,
        "language": "en-GB",
        "source": ("https://example.org/scans", "https://example.org/transcription"),
        "licence": "Dedicated to the public.",
    }


def test_every_fact_is_stated():
    facts = parse_package(package([], metadata(NEW_WORDS)).encode(), "content.opf").facts
    assert {fact.origin for fact in facts.values()} == {Origin.STATED}


def test_a_number_that_is_none_is_no_fact():
    assert "reading_ease" not in _facts(metadata(NEW_WORDS, ease="quite easy"))


def test_a_creator_without_a_role_is_an_author_and_an_editor_is_none():
    assert _facts("<dc:creator>Ada</dc:creator>")["authors"] == ("Ada",)
    editor = '<dc:creator id="e">Di</dc:creator><meta property="role" refines="#e">edt</meta>'
    assert "authors" not in _facts(editor)


def test_reading_order_is_the_spine_and_leads_nowhere_else():
    hrefs = [
        "text/chapter-10.xhtml",
        "text/chapter-2.xhtml",
        "text/chapter-10.xhtml",
        "../../../etc/passwd",
        "/etc/passwd",
        "file:///etc/passwd",
        "https://example.org/a.xhtml",
        "text/%63hapter-3.xhtml#part",
    ]
    read = parse_package(package(hrefs, metadata(NEW_WORDS)).encode(), "epub/content.opf")
    assert read.documents == ("epub/text/chapter-10.xhtml", "epub/text/chapter-2.xhtml", "epub/text/chapter-3.xhtml")
    assert read.colophon == "epub/text/colophon.xhtml"


@pytest.mark.parametrize(
    "text",
    ["", "<package", "<package/>", '<package xmlns="http://www.idpf.org/2007/opf"><metadata/></package>'],
)
def test_a_package_without_metadata_is_unreadable(text):
    with pytest.raises(UnreadableWorkError):
        parse_package(text.encode(), "content.opf")


def test_numbers_of_hundreds_of_digits_are_none():
    facts = parse_package(package(["a.xhtml"], metadata(NEW_WORDS, ease="9" * 400)).encode(), "content.opf").facts
    assert "reading_ease" not in facts
