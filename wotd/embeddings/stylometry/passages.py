"""What style sees in a passage: its words, marks and sentences, each as a share or a mean.

Shape letters: N passages, F features, W words of a passage, S its sentences.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from wotd.embeddings.stylometry.words import INDICATORS, LENGTHS, SYLLABLES, indicators
from wotd.providers.text import clean, flesch, sentences, words

READ_CHARACTERS = 16_384
"""Longer texts are read to there: a few thousand words say how somebody writes."""

LONGEST_SENTENCE = 150
"""What is longer counts as that long: text without stops is not one sentence."""

WINDOWS = (5, 25, 50)
"""How many words back a word is looked for to call it a repetition."""

_KEPT_LETTERS = 40
_ASCII = str.maketrans(
    {
        **dict.fromkeys("“”„‟«»″〃＂", '"'),
        **dict.fromkeys("‘’‚‛‹›′ʼ`´＇", "'"),
        **dict.fromkeys("―⸺⸻", "—"),
        **dict.fromkeys("‐−", "-"),
        "…": "...",
    }
)
_DASH = re.compile(r" ?(?:—+|-{2,}|(?<= )[–-](?= )) ?")
_LEAST_EASE, _MOST_EASE = -50.0, 150.0

_MARKS = (",", ";", ":", ".", "!", "?", "—", "-", "(", '"', "'")
_PATTERNS = {
    "symbol": r"[][{}<>=_*#/\\|@$%&+~^]",
    "other script": r"[^\x00-\u024f—]",
    "three dots": r"\.\.\.",
    "comma and": r", and\b",
    "capital after a comma": r"(?:[,;:] |—)[\"'(]*(?!I\b)[A-Z]",  # where a line of verse began, and names
    "capital after a word": r"[a-z] (?!I\b)[A-Z]",
    "small letter after a stop": r"[!?][\"']* [a-z]",
    "quote opens": r"(?:^| )[\"']",
    "quote closes": r"[\"'](?: |$)",
}
_COMPILED = tuple(map(re.compile, _PATTERNS.values()))

_LETTERS_FROM, _SYLLABLES_FROM = INDICATORS.index(LENGTHS[0]), INDICATORS.index(SYLLABLES[0])
_REPORTED = [column for column, name in enumerate(INDICATORS) if name not in LENGTHS[5:] and name not in SYLLABLES[3:]]

FEATURES = (
    *(INDICATORS[column] for column in _REPORTED),
    *(f"repeated within {window}" for window in WINDOWS),
    "only once",
    *(f"mark:{mark}" for mark in _MARKS),
    *_PATTERNS,
    *("letters a word", "spread of letters", "syllables a word", "spread of syllables"),
    *("words a sentence", "spread of words", "longest sentence", "shortest sentence"),
    *("reading ease", "quoted"),
)
"""Names of the features, in their order."""


def measure(texts: Sequence[str]) -> NDArray[np.float32]:
    """Features of passages, float32 N×F in the order of :data:`FEATURES`; a row depends on its text alone.

    Words and repetitions are shares of all words, marks shares of all words and marks, what is quoted
    a share of the characters; the rest are means and spreads of letters, syllables and words, and
    Flesch's reading ease, kept within -50 and 150. What cannot be measured is 0.
    """
    rows = [_row(canonical(text)) for text in texts]
    return np.array(rows, np.float32).reshape(len(rows), len(FEATURES))


def canonical(text: str) -> str:
    """The text as it is looked at: on one line, quotes, apostrophes and dots in ASCII, dashes all alike."""
    text = clean(" ".join(text.split())[:READ_CHARACTERS]).translate(_ASCII)
    return _DASH.sub("—", text).replace("–", "-")


def _row(text: str) -> list[float]:
    spoken = [[word[:_KEPT_LETTERS] for word in words(sentence)] for sentence in sentences(text)]
    lengths_S = [min(len(sentence), LONGEST_SENTENCE) for sentence in spoken if sentence]
    words_W = list(chain.from_iterable(spoken))
    columns = np.fromiter(chain.from_iterable(map(indicators, words_W)), np.intp)
    counts = np.bincount(columns, minlength=len(INDICATORS))
    marks = [text.count(mark) for mark in _MARKS] + [len(pattern.findall(text)) for pattern in _COMPILED]
    letters, syllables = counts[_LETTERS_FROM:_SYLLABLES_FROM].tolist(), counts[_SYLLABLES_FROM:].tolist()
    quoted = sum(map(len, text.split('"')[1::2]))
    return [
        *_shares(counts[_REPORTED].tolist(), len(words_W)),
        *_shares(_repetitions([word.lower() for word in words_W]), len(words_W)),
        *_shares(marks, len(words_W) + sum(marks)),
        *_mean_and_spread(enumerate(letters, 1)),
        *_mean_and_spread(enumerate(syllables, 1)),
        *_mean_and_spread((length, 1) for length in lengths_S),
        max(lengths_S, default=0),
        min(lengths_S, default=0),
        _reading_ease(len(words_W), len(lengths_S), sum(n * count for n, count in enumerate(syllables, 1))),
        quoted / max(1, len(text)),
    ]


def _shares(counts: Iterable[int], total: int) -> list[float]:
    total = total or 1
    return [count / total for count in counts]


def _repetitions(words_W: Sequence[str]) -> list[int]:
    """How many words stood already within each window, and how many stand but once."""
    last: dict[str, int] = {}
    within, repeated = [0] * len(WINDOWS), set()
    for place, word in enumerate(words_W):
        if word in last:
            repeated.add(word)
            distance = place - last[word]
            for index, window in enumerate(WINDOWS):
                within[index] += distance <= window
        last[word] = place
    return [*within, len(last) - len(repeated)]


def _mean_and_spread(numbers: Iterable[tuple[int, int]]) -> tuple[float, float]:
    """Mean and standard deviation of numbers, each with how often it came; sums of whole numbers are exact."""
    total = first = second = 0
    for number, times in numbers:
        total += times
        first += times * number
        second += times * number * number
    if not total:
        return 0.0, 0.0
    return first / total, math.sqrt(total * second - first * first) / total


def _reading_ease(words: int, sentences: int, syllables: int) -> float:
    return min(max(flesch(words, sentences, syllables), _LEAST_EASE), _MOST_EASE) if words else 0.0
