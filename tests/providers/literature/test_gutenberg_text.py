"""What is text, what is verse, and where chapters begin, read off the habits of plain text."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_gutenberg import PROSE, STANZA

from wotd.providers.literature.gutenberg_markup import plain
from wotd.providers.literature.gutenberg_text import chapters
from wotd.providers.text import Block, count_words

JOINED = " ".join(PROSE.split())
LINES = "\n".join(line.strip() for line in STANZA.split("\n"))
GAP = "\n\n\n\n\n"


def texts(body: str) -> list[list[str]]:
    return [[block.text for block in chapter] for chapter in chapters(body)]


def test_prose_is_rejoined_and_verse_keeps_its_lines():
    assert chapters(f"{PROSE}\n\n{STANZA}\n\n{PROSE}") == [[Block(JOINED), Block(LINES, verse=True), Block(JOINED)]]


@pytest.mark.parametrize(
    "heading",
    [
        "CHAPTER II",
        "Chapter 2. In which it rains",
        "CHAPTER THE SECOND",
        "ACT II",
        "SCENE II. A room in the mill.",
        "BOOK 3",
        "Book the Third",
        "The Second Part",
        "Letter 4",
        "XIV.",
        "Preface",
        "EPILOGUE",
        "_The Preface to the Reader_",
    ],
)
def test_named_parts_begin_a_chapter(heading):
    assert texts(f"{PROSE}\n\n{heading}\n\n{PROSE}") == [[JOINED], [JOINED]]


@pytest.mark.parametrize(
    "heading", ["THE LAMP IS LIT", "The Drowned Bell", "        The Miller's Wheel", "II. THE WEIR"]
)
def test_titles_that_stand_apart_begin_a_chapter(heading):
    assert texts(f"{PROSE}\n\n\n{heading}\n\n\n{PROSE}") == [[JOINED], [JOINED]]


@pytest.mark.parametrize(
    "line", ["He went out.", '"The Lamp!" he cried.', "THE LAMP IS LIT", "Part of it was burnt.", "and so to bed,"]
)
def test_short_paragraphs_are_text_where_nothing_sets_them_apart(line):
    assert texts(f"{PROSE}\n\n{line}\n\n{PROSE}") == [[JOINED, line, JOINED]]


def test_a_title_below_a_heading_belongs_to_it():
    body = f"CHAPTER I\n\n              Down to the Water?\n\n{PROSE}\n\nCHAPTER II\n\nThe Weir\n\n{PROSE}"
    assert texts(body) == [[JOINED], [JOINED]]


def test_wide_gaps_part_chapters_and_asides_do_not():
    assert texts(f"{PROSE}{GAP}{PROSE}") == [[JOINED], [JOINED]]
    assert texts(f"{PROSE}\n\n\n[Illustration: The lamp]\n\n\n{PROSE}\n\n  * * * * *\n\n{PROSE}") == [[JOINED] * 3]


def test_a_text_that_is_widely_spaced_is_not_torn_apart():
    assert texts(GAP.join([PROSE] * 40)) == [[JOINED] * 40]
    chapter = GAP.join([PROSE] * 20)
    assert texts(f"{chapter}{GAP}CHAPTER II{GAP}{chapter}") == [[JOINED] * 20] * 2


def test_names_of_speakers_are_no_headings():
    speeches = [f"{name}.\n\n{PROSE}" for name in ("ADA", "TOM", "ADA", "TOM", "ADA", "TOM")]
    (chapter,) = texts("\n\n\n".join([PROSE, *speeches]))
    assert chapter == [JOINED, *["ADA.", JOINED, "TOM.", JOINED] * 3]


def test_the_title_page_and_the_contents_are_left_out():
    front = "THE LAMP\n\nBy Ada Pell\n\nLondon: Marsh & Rook\n\n1871"
    contents = "CONTENTS\n\n\n  PAGE\n\n  The Lamp ..... 1\n  The Weir ..... 20\n\nChapter 3\n\n  The Bell    40"
    assert texts(f"{front}{GAP}{contents}{GAP}THE LAMP\n\n\n{PROSE}{GAP}THE WEIR\n\n\n{PROSE}") == [[JOINED], [JOINED]]


def test_a_title_page_without_headings_ends_where_sentences_begin():
    assert texts(f"The Lamp\n\n\nby\n\nAda Pell\n\n\n\n{STANZA}") == [[LINES]]


def test_contents_without_gaps_end_at_prose():
    assert texts(f"CONTENTS\n\nThe Lamp\n\nThe Weir\n\n{PROSE}\n\n{PROSE}") == [[JOINED, JOINED]]


@pytest.mark.parametrize(
    "apparatus",
    [
        "[Illustration]",
        "[Illustration: The lamp,\nwith [the] keeper]",
        "[Transcriber's Note: Spelling was kept.\n\nAll of it.]",
        "    [Footnote 3: So says the keeper.]",
        "[12] So says the keeper of the lamp.",
        "[Music]",
        "+-------------+\n| Transcriber |\n| was here    |\n+-------------+",
        "Produced by Ada Pell and the Online\nDistributed Proofreading Team at http://www.pgdp.net",
        "This eBook has an HTML version.",
        "Copyright, 1871, by Marsh & Rook",
        "Mill      12 tons      4 men\nWeir       3 tons      1 man",
        "THE LAMP AND THE WEIR\nTHE BELL AND THE BUOY\nTHE BAR",
        "=======",
        "* * * * *",
    ],
)
def test_what_is_no_text_of_the_work_is_left_out(apparatus):
    assert texts(f"{PROSE}\n\n{apparatus}\n\n{PROSE}") == [[JOINED, JOINED]]


def test_notes_of_the_transcriber_in_front_are_left_out():
    note = "Transcriber's note:\n\n      The mark # is a weir.\n"
    assert texts(f"Produced by hand\n\n{note}{GAP}{PROSE}\n\n{PROSE}") == [[JOINED, JOINED]]


@pytest.mark.parametrize(
    "heading", ["INDEX", "ERRATA", "Transcriber's Notes", "ADVERTISEMENTS", "PUBLICATIONS OF THE MILL"]
)
def test_back_matter_ends_the_text(heading):
    body = "\n\n".join([PROSE] * 8)
    assert texts(f"{body}{GAP}{heading}\n\n\nLamp, 12.\n\n\n\n{PROSE}") == [[JOINED] * 8]


def test_footnotes_collected_after_a_chapter_are_left_out():
    body = f"CHAPTER I\n\n{PROSE}\n\n\nFOOTNOTES:\n\n[1] See above.\n\n[2] See below.{GAP}CHAPTER II\n\n{PROSE}"
    assert texts(body) == [[JOINED], [JOINED]]


def test_advertisements_at_the_end_are_left_out():
    offer = "Lamps of all sizes, best brass. Price 50 cents, post-paid. Agents wanted. Send for our free catalogue."
    chapter = "\n\n".join([PROSE] * 3)
    assert texts(f"{chapter}{GAP}LAMPS!\n\n\n{offer}{GAP}MARSH & CO.\n\n\n{offer}") == [[JOINED] * 3]


def test_a_last_chapter_on_prices_is_no_advertisement():
    prices = "The price of corn rose by 12 cents, and with it the net price of lamps, which agents sold at $3.\n\n" * 60
    assert len(texts(f"CHAPTER I\n\n{PROSE}\n\nCHAPTER II\n\n{prices}")) == 2


def test_a_list_without_an_end_takes_nothing():
    verse = "\n\n".join([STANZA] * 6)
    assert texts(f"CONTENTS\n\nThe Heron\n\n{verse}")[0][-6:] == [LINES] * 6


def test_notes_amid_a_text_end_at_the_next_part():
    body = f"CHAPTER I\n\n{PROSE}\n\nFOOTNOTES\n\nSee above.\n\nCHAPTER II\n\n{PROSE}\n\n{PROSE}"
    assert texts(body) == [[JOINED], [JOINED, JOINED]]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("the _lamp_ is =lit=", "the lamp is lit"),
        ("the lamp[1] is lit [12]", "the lamp is lit"),
        ("the lamp{107} is{p. 12} lit", "the lamp is lit"),
        ("the lamp--and the weir", "the lamp—and the weir"),
        ("K[=a]klan and n[)a]y", "Kāklan and năy"),
        ("man[oe]uvre", "manœuvre"),
        ("[Greek: logos] was", "logos was"),
        ("M^{r} Pell, y^e keeper", "Mr Pell, ye keeper"),
        ("the shore of night      120", "the shore of night"),
        ("and frame         }", "and frame"),
        ("the weir ***\nand the *** of Pell", "the weir\nand the *** of Pell"),
        ("|Almond, the lamp", "Almond, the lamp"),
        ("[_Exit Tom._] Hul-lo!", "[Exit Tom.] Hul-lo!"),
        ("I said [I] 1+1=2 and 2+2=4", "I said [I] 1+1=2 and 2+2=4"),
    ],
)
def test_marks_of_emphasis_notes_and_pages_are_undone(written, meant):
    assert plain(written) == meant


def test_words_that_lines_part_at_their_hyphens_come_together():
    body = (
        PROSE
        + "\n\nThey spoke of after-\nlecture debates, of the sheep--\nand of nothing else for as long as it was light."
    )
    assert texts(body)[0][1].startswith("They spoke of after-lecture debates, of the sheep—and of nothing")


def test_narrow_prose_and_indented_letters_are_no_verse():
    narrow = "Then the doors of the mill were flung\nopen, and the sound went over the\nbar. And he closed his book."
    letter = "\n".join("     " + line for line in PROSE.split("\n"))
    for body in ("\n\n".join([narrow] * 4), f"{PROSE}\n\n{letter}"):
        assert not any(block.verse for chapter in chapters(body) for block in chapter)


def test_a_book_of_long_lines_is_verse():
    stanza = "\n".join(
        f"  {first} goes out to the edge of the water, and {last}"
        for first, last in (
            ("The miller", "never comes back to the land"),
            ("The lamp", "nobody asks for its name"),
            ("The heron", "all of the reeds are as grey as the sand"),
            ("The bell of the bar", "it will ring for the heron the same"),
        )
    )
    assert all(block.verse for chapter in chapters("\n\n".join([stanza] * 5)) for block in chapter)


def test_long_lines_of_verse_are_verse_among_wider_prose():
    poem = "\n".join(
        f"The {name} goes out to the edge of the water and never comes back to the land"
        for name in ("lamp", "bell", "miller", "weir", "heron")
    )
    wide = " ".join([JOINED] * 3)
    prose = "\n".join(wide[start : start + 95] for start in range(0, 950, 95))
    assert chapters(f"{prose}\n\n{poem}")[0][-1].verse


@given(
    body=st.lists(
        st.sampled_from(
            [
                PROSE,
                STANZA,
                "CHAPTER I",
                "CONTENTS",
                "",
                "[Illustration",
                "THE END",
                "_",
                "[1] x",
                "|",
                "* * *",
                "\x1d",
                "Index",
            ]
        )
        | st.text(max_size=80),
        max_size=20,
    ),
    gap=st.integers(1, 6),
)
@settings(max_examples=60)
def test_any_body_gives_clean_blocks(body, gap):
    for chapter in chapters(("\n" * gap).join(body).replace("\r", "\n")):  # as the envelope hands it over
        assert chapter
        for block in chapter:
            assert block.text == block.text.strip()
            assert block.text
            assert "_" not in block.text
            assert "\x1d" not in block.text
            assert "\ufeff" not in block.text
            assert block.verse or "\n" not in block.text
            assert count_words(block.text)


def test_awkward_input_takes_no_time():
    for body in (
        "[" * 50_000,
        "[note:" * 20_000,
        "+" + " " * 100_000 + "x",
        "_" * 100_000,
        "a\n" * 50_000,
        " " * 200_000 + "x",
    ):
        before = time.process_time()  # seconds; a pattern that backtracks would take minutes
        chapters(body)
        assert time.process_time() - before < 20, body[:10]
