"""XML of strangers: what costs more than a book ever does is refused before it is parsed."""

import pytest

from wotd.errors import UnreadableWorkError
from wotd.providers.xml import MAX_BYTES, MAX_MARKS, parse_xml


@pytest.mark.parametrize(
    "document",
    [
        b"<a>" + b"<i/>" * MAX_MARKS + b"</a>",
        b"<!DOCTYPE a SYSTEM 'x'><a>" + b"&nbsp;" * MAX_MARKS + b"</a>",
        b"<a " + b" ".join(b"a%d=''" % n for n in range(MAX_MARKS + 1)) + b"/>",
        b"<a>" + b"x" * MAX_BYTES + b"</a>",
    ],
)
def test_documents_that_would_fill_the_memory(document):
    with pytest.raises(UnreadableWorkError, match="at most"):
        parse_xml(document, "x.xml")


@pytest.mark.parametrize("codec", ["cp037", "utf-7", "utf-32"])
def test_encodings_in_which_tags_cannot_be_counted(codec):
    document = f'<?xml version="1.0" encoding="{codec}"?><a>\u00e9</a>'
    with pytest.raises(UnreadableWorkError, match="expected UTF-8 or UTF-16"):
        parse_xml(document.encode(codec), "x.xml")


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1", "windows-1252", "us-ascii"])
def test_encodings_that_books_have(codec):
    declared = codec.removesuffix("-sig")
    document = f"<?xml version='1.0' encoding='{declared}'?>\n<a>cafe</a>"
    assert parse_xml(document.encode(codec), "x.xml").text == "cafe"
