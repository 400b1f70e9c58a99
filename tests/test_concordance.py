"""A word is found whole, in whatever way it is written; Arrow's scan and Python's places agree on what that is."""

from __future__ import annotations

import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wotd.concordance import Word
from wotd.errors import InputError

SOME = [
    *(
        "fog",
        "FOG",
        "foggy",
        "don't",
        "don\u2019t",
        "café",
        "cafe\u0301",
        "cafe",
        "naïve",
        "night-cap",
        "night\u2011cap",
    ),
    *("\u2019tis", "o'clock", "\u2018fog\u2019", "_fog_", "x2", "\u212a", "\u017fea"),
]
texts_st = st.lists(
    st.lists(st.sampled_from(SOME) | st.text("fogé\u0301'\u2019- _.", max_size=5), max_size=6).map(" ".join), max_size=6
)
words_st = st.sampled_from(["fog", "don't", "café", "cafe", "night-cap", "tis", "o", "fog fog", "é", "sea", "k", "o-g"])


@pytest.mark.parametrize(
    ("word", "text", "found"),
    [
        ("fog", "The fog, and Fog-bank: FOG.", ["fog", "Fog", "FOG"]),
        ("fog", "foggy befog fog's fogé fog1", []),
        ("fog", "\u2018fog\u2019 'fog' _fog_ (fog)", ["fog"] * 4),
        ("FOG.", "a fog", ["fog"]),
        ("don't", "Don\u2019t, don't; dont", ["Don\u2019t", "don't"]),
        ("don", "don't and Don Juan", ["Don"]),
        ("tis", "'Tis so, \u2019tis", ["Tis", "tis"]),
        ("clock", "o'clock, o\u2019clock", []),
        ("café", "café cafe\u0301 cafe CAFÉ", ["café", "cafe\u0301", "CAFÉ"]),
        ("cafe", "café cafe\u0301 cafe", ["cafe"]),
        ("night-cap", "night-cap night\u2011cap night cap", ["night-cap", "night\u2011cap"]),
        ("of  the", "of the\nOF\n the; of, the", ["of the", "OF\n the"]),
        ("of the", "off the, of them", []),
        ("θάλασσα", "Θάλασσα, ΘΆΛΑΣΣΑ", ["Θάλασσα", "ΘΆΛΑΣΣΑ"]),
        ("a+b", "a+b aab", ["a+b"]),
        (".*", "", None),
    ],
)
def test_a_word_is_found_whole(word: str, text: str, found: list[str] | None) -> None:
    if found is None:
        with pytest.raises(InputError, match=r"^word is '\.\*'; expected letters or digits"):
            Word(word)
        return
    sought = Word(word)
    assert [text[first:end] for first, end in sought.places(text)] == found
    assert sought.rows(pa.chunked_array([[text, None, "else"]])).tolist() == ([0] if found else [])


@given(texts_st, words_st)
def test_the_scan_finds_the_passages_that_have_places(texts: list[str], word: str) -> None:
    sought = Word(word)
    column = pa.chunked_array([pa.array(texts[:2], pa.string()), pa.array(texts[2:], pa.string())])
    assert sought.rows(column).tolist() == [row for row, text in enumerate(texts) if sought.places(text)]
    some = np.arange(1, len(texts), 2)
    assert sought.rows(column, some).tolist() == [row for row in some if sought.places(texts[row])]


@given(st.lists(st.sampled_from(SOME), max_size=6).map(" ".join), words_st)
def test_composed_and_decomposed_texts_are_the_same(text: str, word: str) -> None:
    forms = [unicodedata.normalize(form, text) for form in ("NFC", "NFD")]
    composed, decomposed = ([form[a:b] for a, b in Word(word).places(form)] for form in forms)
    assert composed == [unicodedata.normalize("NFC", each) for each in decomposed]


def test_more_rows_than_are_scanned_at_once() -> None:
    column = pa.chunked_array([pa.array(["fog" if row % 7 == 0 else "dog" for row in range(150_000)])])
    assert np.array_equal(Word("fog").rows(column), np.arange(0, 150_000, 7))


def test_too_much_is_refused() -> None:
    with pytest.raises(InputError, match="word has 201 characters; at most 200"):
        Word("a" * 201)
