"""Messages can be shown whatever they quote."""

from wotd.errors import MAX_SENTENCE, InputError, WOTDError


def test_a_plain_sentence_is_left_as_it_is() -> None:
    assert str(InputError("text 0 is caf\u00e9; expected words.")) == "text 0 is caf\u00e9; expected words."
    assert str(WOTDError()) == ""


def test_what_cannot_be_printed_is_spelled_out() -> None:
    sentence = str(InputError("the file a\nb\x1b[31m\x00\ud800 is none."))
    assert sentence == r"the file a\nb\x1b[31m\x00\ud800 is none."
    sentence.encode()


def test_the_middle_of_what_is_too_long_is_left_out() -> None:
    sentence = str(InputError(f"begin {'x' * 10**6} end."))
    assert len(sentence) == MAX_SENTENCE
    assert sentence.startswith("begin x")
    assert " \u2026 " in sentence
    assert sentence.endswith("x end.")
    assert len(str(InputError("\x00" * 1500))) == MAX_SENTENCE
