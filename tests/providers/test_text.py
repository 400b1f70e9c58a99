import re
import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wotd.providers.text import (
    Block,
    clean,
    count_syllables,
    count_words,
    cut_passages,
    reading_ease,
    sentences,
    words,
)

CORPORA = Path(__file__).resolve().parents[3] / "shared" / "corpora"


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("a\u2060\u2014\u2060b", "a\u2014b"),
        ("soft\u00adly \ufeff\u200bsaid\u200d", "softly said"),
        ("one\u00a0two\u2009three\tfour", "one two three four"),
        ("twenty\u2011one", "twenty-one"),
        ("cafe\u0301", "café"),
        ("one  \n  two\r\nthree\rfour", "one\ntwo\nthree\nfour"),
        ("bell\x07 and\x00 null", "bell and null"),
        ("", ""),
    ],
)
def test_clean(raw, cleaned):
    assert clean(raw) == cleaned


@given(st.text())
def test_clean_twice_is_clean_once(text):
    once = clean(text)
    assert clean(once) == once
    assert not re.search("[\u00ad\u200b-\u200f\u2060\ufeff\r\t]", once)
    assert unicodedata.is_normalized("NFC", once)


def test_words_have_inner_apostrophes_and_hyphens():
    assert words("“Don’t,” said O'Neill\u2014the well-known 3rd ‘owner’.") == [
        "Don’t", "said", "O'Neill", "the", "well-known", "3rd", "owner",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It rained. It stopped! Did it? Yes…", ["It rained.", "It stopped!", "Did it?", "Yes…"]),
        ("“Go!” he said. “No.” She went.", ["“Go!” he said.", "“No.”", "She went."]),
        ("Mr. Finch met Dr. A. B. Reed. They spoke.", ["Mr. Finch met Dr. A. B. Reed.", "They spoke."]),
        ("He asked (quietly.) Then he left.", ["He asked (quietly.)", "Then he left."]),
        ("It was late.\u2014The heron slept.", ["It was late.", "\u2014The heron slept."]),
        ("It was late!\u2e3aThe heron slept.", ["It was late!", "\u2e3aThe heron slept."]),
        ("It was late.--The heron slept.", ["It was late.", "--The heron slept."]),
        ("What!\u2014not yet?", ["What!\u2014not yet?"]),
        ("It is over. ’Tis late.", ["It is over.", "’Tis late."]),
        ("I said no. Then I left.", ["I said no.", "Then I left."]),
        ("Harpoon No. 171 was lost.", ["Harpoon No. 171 was lost."]),
        ("How great thou art. Then sing.", ["How great thou art.", "Then sing."]),
        ("He paused... and went on.", ["He paused... and went on."]),
        ("It cost 3.50 then. 40 came.", ["It cost 3.50 then.", "40 came."]),
        ("", []),
        ("   ", []),
    ],
)
def test_sentences(text, found):
    assert sentences(text) == found


@given(st.text(alphabet="aB.!?… ’”“\u2014-\n1", max_size=80))
def test_sentences_lose_nothing(text):
    assert "".join("".join(sentences(text)).split()) == "".join(text.split())


@pytest.mark.parametrize("stops", [".", "!?", "…"])
def test_stops_without_end_take_no_long(stops):
    start = time.perf_counter()
    assert len(sentences(stops * 50_000)) == 1
    assert time.perf_counter() - start < 5  # milliseconds; looking at each stop anew takes minutes


def test_sentences_of_a_long_list_of_abbreviations_take_no_long():
    start = time.process_time()
    assert len(sentences("Mr. A. " * 100_000)) == 1
    assert time.process_time() - start < 5  # one; copying all that went before each takes half a minute


@pytest.mark.parametrize(
    ("word", "syllables"),
    [
        ("heron", 2), ("the", 1), ("miller", 2), ("asked", 1), ("wanted", 2), ("table", 2), ("early", 2),
        ("time", 1), ("horses", 2), ("boxes", 2), ("beautiful", 3), ("Café", 2), ("belovèd", 3),
        ("1847", 1), ("", 1), ("xyz", 1),
    ],
)  # fmt: skip
def test_count_syllables(word, syllables):
    assert count_syllables(word) == syllables


def test_parts_that_hyphens_join_count_each_for_itself():
    assert count_syllables("time-table") == count_syllables("time\u2010table") == 3
    assert count_syllables("-") == 1


def test_reading_ease_is_the_formula_of_flesch():
    assert reading_ease(["The cat sat on the mat."]) == pytest.approx(206.835 - 1.015 * 6 - 84.6)
    assert reading_ease(["A cat sat.", "A dog ran. It sat."]) == pytest.approx(206.835 - 1.015 * 8 / 3 - 84.6)
    assert reading_ease([]) is None
    assert reading_ease(["…", "\u2014"]) is None


def test_long_sentences_of_long_words_are_hard():
    easy = "The heron sat. It was wet. The miller ran."
    hard = "Institutional considerations notwithstanding, the administration deliberated interminably upon regulations"
    assert reading_ease([easy]) > 90 > 30 > reading_ease([hard])


def test_reading_ease_agrees_with_what_the_provider_states_for_complete_works():
    """Within a few points on average: counting rules differ, and the provider counts front matter too."""
    folder = CORPORA / "standard_ebooks"
    if not folder.is_dir():
        pytest.skip(f"no corpora: {folder} is absent")
    from wotd.providers.literature.standard_ebooks import StandardEbooks

    # A line of the table of works: name | author | date | genres | Flesch | words | KB kept / whole.
    table = re.findall(
        r"^\| (\S+_\S+) \|.*\| ([\d.]+) \| (\d+) \| (\d+) / \4 \|$", (CORPORA / "README.md").read_text("utf-8"), re.M
    )
    assert len(table) == 27
    differences = {}
    for name, ease, whole, _ in table:
        (work,) = StandardEbooks(folder / name, max_passages_per_work=None).works()
        passages = work.passages()
        if sum(map(count_words, passages)) > 0.9 * int(whole):  # else much of what they measured is front matter
            differences[name] = reading_ease(line for text in passages for line in text.split("\n\n")) - float(ease)
    assert len(differences) > 20
    assert sum(map(abs, differences.values())) / len(differences) < 4
    assert max(map(abs, differences.values())) < 10


WORD = st.text("abcdeé", min_size=1, max_size=6)
SENTENCE = st.lists(WORD, min_size=1, max_size=150).map(lambda found: " ".join(found).capitalize() + ".")
PROSE = st.lists(SENTENCE, min_size=1, max_size=5).map(lambda found: Block(" ".join(found)))
VERSE = st.lists(st.lists(WORD, min_size=1, max_size=12).map(" ".join), min_size=1, max_size=30).map(
    lambda lines: Block("\n".join(lines), verse=True)
)


@given(st.lists(st.one_of(PROSE, VERSE), max_size=8))
def test_passages_keep_the_text_in_order_within_bounds(chapter):
    passages, scraps = cut_passages(chapter)
    assert all(20 <= count_words(passage) <= 110 for passage in passages)
    whole = " ".join(" ".join(block.text.split()) for block in chapter) + " "
    position = 0
    for passage in passages:
        piece = " ".join(passage.split()) + " "
        found = whole.find(piece, position)
        assert found >= position
        position = found + len(piece)
    lost = count_words(whole) - sum(map(count_words, passages))
    assert scraps <= lost <= 19 * scraps
    assert cut_passages(chapter) == (passages, scraps)


@given(st.lists(VERSE, min_size=1, max_size=6))
def test_passages_of_verse_are_made_of_whole_lines(chapter):
    lines = {line for block in chapter for line in block.text.split("\n")}
    passages, _ = cut_passages(chapter)
    assert all(line in lines for passage in passages for line in passage.split("\n"))


@given(st.lists(PROSE, min_size=1, max_size=4))
def test_sentences_that_fit_are_never_torn(chapter):
    fitting = [s for block in chapter for s in sentences(block.text) if count_words(s) <= 110]
    passages, scraps = cut_passages(chapter)
    if not scraps:
        assert all(any(sentence in passage for passage in passages) for sentence in fitting)


def test_a_sentence_after_a_dash_keeps_to_the_stop_before_it():
    text = (
        "It was late, but nobody had told the heron, who stood there still.\u2014The miller, for his part, slept well."
    )
    assert cut_passages([Block(text)]) == ([text], 0)


def test_one_block_of_fifty_thousand_words_without_a_stop_takes_no_long():
    start = time.process_time()
    passages, _ = cut_passages([Block("word " * 50_000)])
    assert sum(map(count_words, passages)) > 49_900
    assert time.process_time() - start < 10


def test_scraps_are_counted():
    assert cut_passages([]) == ([], 0)
    assert cut_passages([Block("Too short.")]) == ([], 1)
