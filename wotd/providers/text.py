"""From blocks of text to passages, and the measures of text that labels rest on.

A parser yields chapters; a chapter is a list of :class:`Block` (a paragraph, a stanza, a speech).
:func:`cut_passages` packs them into passages that keep whole sentences, keep the lines of verse,
and never cross a chapter.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

MIN_WORDS = 20
TARGET_WORDS = 65
MAX_WORDS = 110

_WORD = re.compile(r"[^\W_]+(?:['\u2019\u2010\u2011-][^\W_]+)*")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2028\u2029\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
_BLANKS = re.compile(r"[^\S\n]+")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
# A dash may follow a stop without a blank between ("the end.\u2014Next"), an apostrophe may begin a word ("\u2019Tis").
_SENTENCE_END = re.compile(
    r"(?<![.!?\u2026])[.!?\u2026]++[\"'\u201d\u2019)\]\u00bb\u203a*]*(?:\s+|(?=[\u2014\u2e3a\u2e3b]|--))"
    r"(?=[\"'\u201c\u2018\u2019(\[\u00ab\u2014\u2e3a\u2e3b\u2013-]*[^\W\d_a-z]|[\"'\u201c\u2018(]*\d)"
)
_ABBREVIATIONS = (
    *("mr", "mrs", "ms", "messrs", "mme", "mlle", "dr", "st", "sr", "jr", "rev", "hon", "prof", "gen", "col", "capt"),
    *("lieut", "lt", "sergt", "sgt", "esq", "vol", "ch", "chap", "fig", "cf", "viz", "vs", "etc", "ed", "pp", "p"),
    *("i.e", "e.g", "a.m", "p.m", "bk", "sec", "sect", "monsieur"),
)
_BEFORE_NUMBER = ("no", "nos", "art", "arts")
_LONGEST_ABBREVIATION = 1 + max(map(len, _ABBREVIATIONS)) + 1
"""With the character before it and its stop."""


def _turned(words: Iterable[str]) -> str:
    return "|".join(re.escape(word[::-1]) for word in words)


# Both read a text backwards from its end, where they need not look for where to begin.
_ABBREVIATED = re.compile(rf"\.(?:(?:{_turned(_ABBREVIATIONS)})\b|[^\W\d_](?:$|[\s(\"\u201c\u2018.]))", re.IGNORECASE)
_NUMBERED = re.compile(rf"\.(?:{_turned(_BEFORE_NUMBER)})\b", re.IGNORECASE)
_CLAUSE_END = re.compile(r"(?<=[;:,\u2014])\s+")
_HYPHEN = re.compile(r"[-\u2010\u2011]")
_VOWELS = re.compile(r"[aeiouy]+")
# An accent says that an e is spoken where it would else be silent: café, belovèd.
_VOICED = str.maketrans("éèêëæœ", "iiiiee")
_SILENT_E = re.compile(r"(?<=[^aeiouyl])e$|(?<=[aeiouy]l)e$|(?<=[^aeiouytd])ed$|(?<=[^aeiouysxzcgh])es$")


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, a speech or a stanza; verse keeps its line breaks."""

    text: str
    verse: bool = False


def clean(text: str) -> str:
    """Text in NFC without invisible characters, with plain blanks; line breaks stay.

    Word joiners, soft hyphens, zero-width and direction marks go; every other kind of space
    becomes one blank; the non-breaking hyphen becomes a hyphen.
    """
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n").replace("\u2011", "-")
    text = _BLANKS.sub(" ", _CONTROL.sub("", _INVISIBLE.sub("", text)))
    return "\n".join(line.strip() for line in text.split("\n")).strip()


def words(text: str) -> list[str]:
    """Words: runs of letters and digits, joined by inner apostrophes and hyphens."""
    return _WORD.findall(text)


def count_words(text: str) -> int:
    """How many words there are."""
    return len(_WORD.findall(text))


def sentences(text: str) -> list[str]:
    """Sentences with their closing quotes; abbreviations and initials do not end one."""
    found, start = [], 0
    for match in _SENTENCE_END.finditer(text):
        stop = match.group().rstrip()
        end = match.start() + len(stop)
        # No more than the tail is looked at: a sentence may be of nothing but abbreviations.
        tail = text[max(start, end - _LONGEST_ABBREVIATION) : end]
        if stop.startswith(".") and not stop.startswith("..") and _abbreviates(tail, text[match.end()]):
            continue
        found.append(text[start:end])
        start = match.end()
    tail = text[start:].strip()
    return [*found, tail] if tail else found


def _abbreviates(tail: str, following: str) -> bool:
    """Whether the stop at the end of a text marks an abbreviation; "no." is one only before a number."""
    turned = tail[::-1]
    return bool(_ABBREVIATED.match(turned)) or (following.isdigit() and bool(_NUMBERED.match(turned)))


def count_syllables(word: str) -> int:
    """Syllables of an English word by its vowel groups, silent endings left out; at least one.

    Rule-based and therefore the same everywhere; within a few percent of a pronouncing dictionary
    on running prose. Parts that hyphens join count each for itself.
    """
    return max(1, sum(_syllables_of_part(part) for part in _HYPHEN.split(word) if part))


def _syllables_of_part(word: str) -> int:
    voiced = unicodedata.normalize("NFC", word.lower()).translate(_VOICED)
    plain = unicodedata.normalize("NFKD", voiced)
    plain = "".join(char for char in plain if "a" <= char <= "z")
    if not plain:
        return 1
    return max(1, len(_VOWELS.findall(_SILENT_E.sub("", plain))))


def flesch(words: int, sentences: int, syllables: int) -> float:
    """Flesch reading ease of a text with so many words, sentences and syllables, none of them zero; high is easy.

    206.835 - 1.015 words/sentence - 84.6 syllables/word. Source: R. Flesch, "A new readability
    yardstick", Journal of Applied Psychology 32 (1948).
    """
    return 206.835 - 1.015 * words / sentences - 84.6 * syllables / words


def reading_ease(blocks: Iterable[str]) -> float | None:
    """The :func:`flesch` reading ease of blocks of text.

    Returns:
        None where there is no word to measure.
    """
    total_words = total_sentences = total_syllables = 0
    syllables: dict[str, int] = {}
    for block in blocks:
        found = words(block)
        if not found:
            continue
        total_words += len(found)
        total_sentences += max(1, len(sentences(block.replace("\n", " "))))
        for word in found:
            key = word.lower()
            if key not in syllables:
                syllables[key] = count_syllables(key)
            total_syllables += syllables[key]
    if not total_words:
        return None
    return flesch(total_words, total_sentences, total_syllables)


class _Unit(NamedTuple):
    """What is never torn apart: a sentence, a line of verse, or a piece of an overlong sentence."""

    text: str
    words: int
    separator: str


def _units(block: Block, max_words: int) -> list[_Unit]:
    units: list[_Unit] = []
    for piece, before in _pieces(block):
        separator = before if units else "\n"
        for part, words in _fitting(piece, max_words):
            units.append(_Unit(part, words, separator))
            separator = "\n" if block.verse else " "
    return units


def _pieces(block: Block) -> Iterator[tuple[str, str]]:
    """Lines or sentences, each with what stands before it: a line break, a blank, or nothing before a dash."""
    if block.verse:
        yield from ((line.strip(), "\n") for line in block.text.split("\n") if line.strip())
        return
    text, end = " ".join(block.text.split()), 0
    for sentence in sentences(text):
        start = text.index(sentence, end)
        yield sentence, text[end:start]
        end = start + len(sentence)


def _fitting(sentence: str, max_words: int) -> list[tuple[str, int]]:
    """The sentence whole, or cut at clauses, or at words where a clause is still too long; each with its words."""
    if (whole := count_words(sentence)) <= max_words:
        return [(sentence, whole)]
    parts: list[tuple[str, int]] = []
    for clause in _CLAUSE_END.split(sentence):
        tokens = clause.split()
        words_before = [0, *accumulate(map(count_words, tokens))]  # a token may hold many, and none reaches beyond it
        start = 0
        while start < len(tokens):
            size = min(len(tokens) - start, 2 * max_words)
            while words_before[start + size] - words_before[start] > max_words and size > 1:
                size = max(1, size // 2)
            piece, held = " ".join(tokens[start : start + size]), words_before[start + size] - words_before[start]
            if parts and parts[-1][1] + held <= max_words:
                before, filled = parts[-1]
                parts[-1] = (f"{before} {piece}", filled + held)
            else:
                parts.append((piece, held))
            start += size
    return parts


def cut_passages(
    chapter: Sequence[Block],
    *,
    min_words: int = MIN_WORDS,
    target_words: int = TARGET_WORDS,
    max_words: int = MAX_WORDS,
) -> tuple[list[str], int]:
    """Pack the blocks of one chapter into passages of ``min_words`` to ``max_words`` words.

    A passage closes at the end of the block in which it reaches ``target_words``, or earlier where
    the next sentence or line would overfill it.

    Returns:
        the passages, and how many scraps of fewer than ``min_words`` words were left over.
    """
    packed: list[list[_Unit]] = []
    current: list[_Unit] = []
    size = 0
    for block in chapter:
        for unit in _units(block, max_words):
            if current and size + unit.words > max_words:
                packed.append(current)
                current, size = [], 0
            current.append(unit)
            size += unit.words
        if size >= target_words:
            packed.append(current)
            current, size = [], 0
    if current:
        packed.append(current)
    passages: list[str] = []
    scraps = 0
    for units in _without_short_tails(packed, min_words, max_words):
        text = _joined(units)
        if count_words(text) < min_words:
            scraps += 1
        else:
            passages.append(text)
    return passages, scraps


def _without_short_tails(packed: list[list[_Unit]], min_words: int, max_words: int) -> Iterator[list[_Unit]]:
    """Join a passage that is too short to the one before it, where both fit into one."""
    merged: list[list[_Unit]] = []
    for units in packed:
        size = sum(unit.words for unit in units)
        if merged and size < min_words and size + sum(unit.words for unit in merged[-1]) <= max_words:
            merged[-1] = merged[-1] + units
        else:
            merged.append(units)
    return iter(merged)


def _joined(units: Sequence[_Unit]) -> str:
    return "".join((unit.separator if index else "") + unit.text for index, unit in enumerate(units))
