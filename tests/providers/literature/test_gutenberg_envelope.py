"""From bytes to the text inside: encodings as found, and header and licence in all the wrappings there are."""

import re
from contextlib import suppress

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tiny_gutenberg import PROSE, book

from wotd.errors import UnreadableWorkError
from wotd.providers.literature.gutenberg_envelope import decode, open_envelope

BARE = "Title: X\n\n"
SMALL_PRINT = "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*"
STARTS = (
    "*** START OF THIS PROJECT GUTENBERG EBOOK THE LAMP ***",
    "*** START OF THE PROJECT GUTENBERG EBOOK THE LAMP ***",
    "***START OF THE PROJECT GUTENBERG EBOOK THE LAMP***",
    "***START OF THE PROJECT GUTENBERG EBOOK THE LAMP, BEING A VERY LONG TITLE THAT IS\nWRAPPED***",
    f"***START**THE SMALL PRINT!**FOR PUBLIC DOMAIN ETEXTS**START***\nWhy is this here?\n\n{SMALL_PRINT}",
    f"*START*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*START*\nfee\n{SMALL_PRINT}\nVersion 01.30.92f",
    f"{SMALL_PRINT}\n\n*** START OF THE PROJECT GUTENBERG EBOOK THE LAMP ***",
)
ENDS = (
    "*** END OF THIS PROJECT GUTENBERG EBOOK THE LAMP ***",
    "*** END OF THE PROJECT GUTENBERG EBOOK THE LAMP ***",
    "***END OF THE PROJECT GUTENBERG EBOOK THE LAMP, BEING LONG AND\nWRAPPED***",
    "End of Project Gutenberg's The Lamp, by Ada Pell",
    "End of Project Gutenberg\u2019s The Lamp, by Ada Pell",
    "End of the Project Gutenberg EBook of The Lamp",
    "End of the Project Gutenberg Edition of Pell's Lamp",
    "Ende dieses Projekt Gutenberg Etextes",
)
LINE = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0\ufeff*"), max_size=60).filter(
    lambda line: not re.match(r"\s*(?:version|end|ende|fin|fine|fim|einde|this is|start)\b", line, re.IGNORECASE)
)


@given(
    lines=st.lists(LINE, min_size=1, max_size=30),
    start=st.sampled_from(STARTS),
    end=st.sampled_from((*ENDS, None)),
    newline=st.sampled_from(("\n", "\r\n")),
)
def test_a_body_between_any_markers_comes_back_whole(lines, start, end, newline):
    assume(any(line.strip() for line in lines))
    body = "\n".join(lines)
    text = f"Title: The Lamp\n\n{start}\n{body}\n" + (f"{end}\n\nLicence words\n" if end else "")
    opened = open_envelope(decode(text.replace("\n", newline).encode("utf-8")))
    assert opened.body == (body if end else body + "\n")
    assert opened.header.startswith("Title: The Lamp")


def test_what_follows_the_end_is_left_out_even_where_it_wraps_again():
    opened = open_envelope(book(PROSE))
    assert opened.body.strip() == PROSE
    assert "START OF" in opened.header


def test_small_print_at_the_end_of_a_file_ends_the_text():
    text = f"{STARTS[1]}\n{PROSE}\n\n***START**THE SMALL PRINT!**\nlawyers\n{SMALL_PRINT}\n"
    assert open_envelope(text).body.strip() == PROSE


def test_without_any_marker_the_wrapping_of_the_first_pages_is_found():
    wrapping = "This is the 1992 Project Gutenberg release of:\n\nThe Lamp\n\nFTP instructions here\n\ncd etext\nget it"
    assert open_envelope(f"{wrapping}\n\n{PROSE}\n\n{PROSE}\n").body.strip() == f"{PROSE}\n\n{PROSE}"


def test_a_plain_text_without_wrapping_is_left_as_it_is():
    text = f"{PROSE}\n\nHe read no ebook and knew no public domain.\n\n{PROSE}"
    assert open_envelope(text).body == text


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\xef\xbb\xbfcaf\xc3\xa9", "café"),
        ("\ufeffcafé".encode("utf-16-le"), "café"),
        ("\ufeffcafé".encode("utf-16-be"), "café"),
        (b"\xef\xbb\xbfcaf\xe9", "café"),
        (b"caf\xc3\xa9", "café"),
        (b"Character set encoding: ISO-8859-1\n\ncaf\xe9", "Character set encoding: ISO-8859-1\n\ncafé"),
        (b"Character set encoding: ISO-8859-1\ncaf\xc3\xa9", "Character set encoding: ISO-8859-1\ncafé"),
        (b"Character set encoding: ISO-8859-1\n\x93caf\xe9\x94", "Character set encoding: ISO-8859-1\n“café”"),
        (
            b"Character set encoding: ISO-646-US (US-ASCII)\ncaf\xe9",
            "Character set encoding: ISO-646-US (US-ASCII)\ncafé",
        ),
        (b"Character set encoding: ISO-8859-7\n\xe1", "Character set encoding: ISO-8859-7\nα"),
        (b"Character set encoding: rot13 zlib\ncaf\xe9", "Character set encoding: rot13 zlib\ncafé"),
        (b"caf\xe9 \x93so\x94", "café “so”"),
        (b"caf\xe9 \x81", "café \x81"),
        (b"a\r\nb\rc\nd", "a\nb\nc\nd"),
    ],
)
def test_encodings_as_they_are_found(data, text):
    assert decode(data) == text


@given(
    text=st.text(st.characters(codec="latin-1", exclude_characters="\r\0\x85", exclude_categories=["Cc"]), min_size=1)
)
def test_declared_latin_1_comes_back(text):
    header = b"Character set encoding: ISO-8859-1\n"
    data = text.encode("latin-1")
    with suppress(UnicodeDecodeError):
        assume(data.decode("utf-8") == text)  # what is valid UTF-8 by chance is taken for it
    assert decode(header + data) == header.decode() + text


@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\r\ufeff")).filter(str.strip), bom=st.booleans())
def test_utf_8_comes_back_with_and_without_a_byte_order_mark(text, bom):
    assume(bom or "\0" not in text)
    assert decode(text.encode("utf-8-sig" if bom else "utf-8")) == text


@pytest.mark.parametrize("data", [b"", b" \r\n ", b"\xef\xbb\xbf"])
def test_nothing_is_no_text(data):
    with pytest.raises(UnreadableWorkError, match="empty"):
        decode(data)


def test_binary_is_no_text():
    with pytest.raises(UnreadableWorkError, match="not plain text"):
        decode(b"PK\x03\x04\0\0\0")


def test_long_lines_of_blanks_and_asterisks_take_no_time():
    assert open_envelope("*" * 200_000 + " " * 200_000 + "\n" + PROSE).body
