"""Features of style: what they see, what they overlook, and that nothing makes them fail."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wotd.embeddings import PROBE_TEXTS, EmbeddingCache, Fingerprint, Stylometry, load_embedder, verify_embedder
from wotd.embeddings.stylometry import FEATURES, VERSION
from wotd.embeddings.stylometry.passages import LONGEST_SENTENCE, READ_CHARACTERS
from wotd.errors import EmbeddingError
from wotd.providers.text import reading_ease

PROSE = (
    "“It was the best of times,” said Mr. Grey; “it was the worst of times—and why?” Nobody answered him. "
    "The well-known captain hath gone… He couldn’t say where, for 2 ships had sailed."
)
VERSE = "The lamps were low, And all the ships, Like birds at rest, Swung in the bay;"


def features(text: str) -> dict[str, float]:
    """The features of one text by name."""
    return dict(zip(FEATURES, Stylometry().embed([text])[0].tolist(), strict=True))


# --- what is seen


def test_names_are_unique_and_as_many_as_there_are_columns() -> None:
    assert len(set(FEATURES)) == len(FEATURES) == Stylometry().dimension
    vectors = Stylometry().embed([PROSE, VERSE])
    assert vectors.shape == (2, len(FEATURES))
    assert vectors.dtype == np.float32


def test_words_are_shares_of_words_and_marks_of_words_and_marks() -> None:
    found = features("The cat and the dog, the bird.")
    assert found["word:the"] == pytest.approx(3 / 7)
    assert found["word:and"] == pytest.approx(1 / 7)
    assert found["word:of"] == 0
    assert found["mark:,"] == found["mark:."] == pytest.approx(1 / 9)
    assert (found["letters:3"], found["letters:4"]) == (pytest.approx(6 / 7), pytest.approx(1 / 7))
    assert found["capitalised"] == pytest.approx(1 / 7)


def test_lengths_are_means_over_words_and_sentences() -> None:
    found = features("One two. Three four five six.")
    assert (found["words a sentence"], found["spread of words"]) == (3, 1)
    assert (found["longest sentence"], found["shortest sentence"]) == (4, 2)
    assert found["letters a word"] == pytest.approx(22 / 6)


def test_reading_ease_is_that_of_the_provider() -> None:
    assert features(PROSE)["reading ease"] == pytest.approx(reading_ease([PROSE]), abs=1e-4)
    assert features("Antidisestablishmentarianism notwithstanding.")["reading ease"] == -50


def test_repetitions_are_looked_for_in_windows() -> None:
    near, far = features("sea sea " + "x y z u v w "), features("sea a b c d e f g sea")
    assert (near["repeated within 5"], near["repeated within 25"]) == (0.125, 0.125)
    assert (far["repeated within 5"], far["repeated within 25"]) == (0, pytest.approx(1 / 9))
    assert far["only once"] == pytest.approx(7 / 9)


@pytest.mark.parametrize(
    ("text", "feature"),
    [
        ("He speaketh", "ending:-eth"),
        ("thou wert", "words:thou"),
        ("I don't", "contraction:n't"),
        ("o'er the hill", "elision"),
        ("ENTER the king", "all capitals"),
        ("in 1914", "digits"),
        ("a café", "accented"),
        ("a well-worn coat", "hyphenated"),
        (VERSE, "capital after a comma"),
        ("x = {1: y}", "symbol"),
        ('"Go," he said', "quoted"),
        ("wait...", "three dots"),
        ("道 is the way", "other script"),
    ],
)
def test_what_a_text_has_is_seen_there_only(text: str, feature: str) -> None:
    assert features(text)[feature] > 0
    assert features("the man went home and slept until it was day.")[feature] == 0


# --- what is overlooked


@given(st.text())
def test_line_breaks_and_blanks_do_not_count(text: str) -> None:
    np.testing.assert_array_equal(*Stylometry().embed([text, " ".join(text.split())]))


def test_verse_is_the_same_without_its_lines() -> None:
    lines = VERSE.replace(", A", ",\n  A").replace(", S", ",\r\n\tS")
    np.testing.assert_array_equal(*Stylometry().embed([VERSE, lines]))


@pytest.mark.parametrize("dash", ["--", " -- ", " – ", " - ", "---", "⸺"])
def test_typographic_marks_count_as_those_of_a_keyboard(dash: str) -> None:
    for kept in ("“", "”", "’", "…", "—"):
        assert kept in PROSE
    typed = PROSE.translate(str.maketrans({"“": '"', "”": '"', "’": "'", "…": "..."})).replace("—", dash)
    np.testing.assert_array_equal(*Stylometry().embed([PROSE, typed]))


def test_marks_that_nobody_sees_do_not_count() -> None:
    np.testing.assert_array_equal(*Stylometry().embed([PROSE, PROSE.replace("captain", "cap\u00adtain\u200b")]))


# --- nothing makes them fail

ODD = {
    "empty": "",
    "blank": " \n\t ",
    "chinese": "道可道，非常道。名可名，非常名。" * 5,
    "emoji": "🙂👩‍👩‍👧‍👦 🙂" * 20,
    "code": "def f(x):\n    return {k: v**2 for k, v in x.items() if k != '__init__'}\n" * 5,
    "marks": "!?.,;:—'\"()" * 50,
    "surrogate": "a \ud800 lone one",
    "combining": "e" + "\u0301" * 5000,
}


@given(st.text(max_size=300))
def test_features_are_finite_and_within_their_bounds(text: str) -> None:
    found = features(text)
    assert np.isfinite(list(found.values())).all()
    bounded = FEATURES[: FEATURES.index("letters a word")]
    assert all(0 <= found[name] <= 1 for name in (*bounded, "quoted"))
    assert 0 <= found["longest sentence"] <= LONGEST_SENTENCE
    assert -50 <= found["reading ease"] <= 150


@pytest.mark.parametrize("name", ODD)
def test_odd_texts_have_features(name: str) -> None:
    vector = Stylometry().embed([ODD[name]])[0]
    assert np.isfinite(vector).all()
    assert vector.any() == bool(ODD[name].strip())


@pytest.mark.parametrize(
    "unit", ["a", "a ", ".", "!?", "\"'", "— ", "-", "word, Word. ", "道", "\u0301", ". '", "\u00ad"]
)
def test_a_megabyte_takes_no_longer_than_what_is_read_of_it(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    start = time.process_time()
    vector = Stylometry().embed([text])[0]
    assert time.process_time() - start < 2  # some 50 ms; a pattern that backtracks would take minutes
    assert np.isfinite(vector).all()


def test_what_lies_beyond_the_part_that_is_read_does_not_count() -> None:
    text = "the sea " * READ_CHARACTERS
    np.testing.assert_array_equal(*Stylometry().embed([text, text + "!!!"]))


def test_a_row_does_not_depend_on_its_batch() -> None:
    texts = [PROSE, VERSE, *ODD.values()]
    together = Stylometry().embed(texts)
    np.testing.assert_array_equal(np.concatenate([Stylometry().embed([text]) for text in texts]), together)
    assert Stylometry().embed([]).shape == (0, len(FEATURES))


# --- an embedder like others


def test_values_are_those_of_their_version() -> None:
    values = Stylometry().embed([PROBE_TEXTS[0], PROSE, VERSE, ODD["code"]])
    digest = hashlib.sha256(values.astype("<f4").tobytes()).hexdigest()
    assert (VERSION, digest[:16]) == (1, "720c05246e9e57da"), "features that change are another VERSION"


def test_another_process_computes_the_very_same() -> None:
    code = (
        "import sys; from wotd.embeddings import Stylometry;"
        "sys.stdout.buffer.write(Stylometry().embed([sys.argv[1]]).tobytes())"
    )
    done = subprocess.run([sys.executable, "-c", code, PROSE], capture_output=True, check=True)
    assert done.stdout == Stylometry().embed([PROSE]).tobytes()


def test_it_is_rebuilt_from_its_settings_and_verified(tmp_path) -> None:
    ours = Stylometry()
    again = load_embedder(ours.settings(), tmp_path)
    stored = Fingerprint.from_mapping(ours.fingerprint.to_mapping())
    verify_embedder(again, stored, ours.probe().tolist())
    assert ours.fingerprint.kind == "stylometry"
    assert not ours.fingerprint.normalized
    with pytest.raises(EmbeddingError, match="is off by"):
        verify_embedder(again, stored, ours.probe() + 0.001)


def test_a_version_that_is_not_computed_here_is_refused(tmp_path) -> None:
    with pytest.raises(EmbeddingError, match=r"features\.version is 2; this wotd computes version 1"):
        load_embedder({"kind": "stylometry", "version": 2}, tmp_path)


def test_a_single_string_is_refused() -> None:
    with pytest.raises(EmbeddingError, match="single string"):
        Stylometry().embed(PROSE)


def test_the_cache_keeps_them(tmp_path) -> None:
    cache = EmbeddingCache(tmp_path)
    first, again = (cache.embed(Stylometry(), [PROSE, VERSE]) for _ in range(2))
    assert (first.computed, again.computed, again.found) == (2, 0, 2)
    np.testing.assert_array_equal(again.vectors, Stylometry().embed([PROSE, VERSE]))
