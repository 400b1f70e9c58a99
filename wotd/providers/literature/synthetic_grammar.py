"""How a synthetic work is written: scenes, sentences, and a hand on the reading ease.

A passage is a scene: somebody, somebody else, a town, a thing. The scene and the words of the era fill
the sentences of the style; the writer measures what it writes, and makes the next sentence longer and
its words weightier, or shorter and plainer, to come out at the reading ease it aims at.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable
from functools import lru_cache

from wotd.providers.literature.synthetic_catalogue import Plan, draw, shuffled
from wotd.providers.literature.synthetic_lexicon import Choice, Extra, Slot, Template, lexicon
from wotd.providers.literature.synthetic_rooting import RUN, Rooting, Tail, mark, unmarked
from wotd.providers.text import MAX_WORDS, MIN_WORDS, count_syllables, count_words, sentences, words

AIMS = (85.0, 79.1, 76.0, 73.0, 69.2, 63.8, 56.0, 44.0)
"""The Flesch reading ease that each complexity aims at, easiest first."""

_STEADY = ("thing", "place", "topic", "wonder", "marvel")
"""What stays the same throughout a passage, besides people and towns."""

_NAMES = frozenset({"hero", "other", "third", "to", "town", "far"})

_WINDOW = 0.6
"""How much of a list is within reach at one hardness."""

_HAND = 3
"""From how many sentences the most suitable one is taken."""

_TRIES = 6
"""How many sentences are tried where names are wanted and hard to place."""

_CLOSED = 0.6
"""The share of passages that get a closing sentence."""

_TOLERANCE = 1.0
"""From how many points of reading ease off the aim the best of three sentences is taken."""

_ENDS = ("?", "!", ")", "”")
_JOINTS = ("; ", ", and ", ", and ", ", while ", "; and ", "; ")
_LINE_JOINTS = ((",", "and "), (";", ""), (",", "while "), (",", ""), (",", "and "))
_METRE = {"ABCB": 8, "ABBA": 8, "ABABB": 9}
_SMALL_WORDS = frozenset(
    ["a", "an", "and", "at", "by", "for", "from", "in", "of", "on", "or", "over", "the", "to", "upon"]
)
_FIRST_LETTER = re.compile(r"[^\W\d_]")
_BEFORE_VOWEL = re.compile(
    r"\b([Aa]) (?=[aeiouAEIOU]|hour|honest|honour|heir)(?!uni[^mn]|unanim|us[eu]|eu|one\b|once\b)"
)


class Steering:
    """Keeps count of what was written and says how hard the next sentence should be."""

    def __init__(self, complexity: int) -> None:
        self._aim = AIMS[complexity]
        self._level = complexity / (len(AIMS) - 1)
        self._work = [0, 0, 0]
        self._passage = [0, 0, 0]

    def hardness(self, noise: float) -> float:
        """From 0, plain, to 1, hard; ``noise`` from 0 to 1 keeps sentences from all being alike."""
        correction = 0.02 * (_ease(self._passage) - self._aim) if self._passage[0] > 15 else 0.0
        return min(1.0, max(0.0, self._level + correction + 0.3 * (noise - 0.5)))

    def too_easy(self) -> float:
        """How much easier than aimed at everything written so far is; negative where it is too hard."""
        counts = [sum(pair) for pair in zip(self._work, self._passage, strict=True)]
        return _ease(counts) - self._aim if counts[0] else 0.0

    def wrote(self, text: str) -> int:
        """Take note of a piece of text; returns its number of words."""
        counts = _counts(text)
        self._passage = [sum(pair) for pair in zip(self._passage, counts, strict=True)]
        return counts[0]

    def end_passage(self) -> None:
        """Correct the course by how far the whole work is off its aim."""
        self._work = [sum(pair) for pair in zip(self._work, self._passage, strict=True)]
        self._passage = [0, 0, 0]
        self._level = min(1.1, max(-0.1, self._level + 0.012 * self.too_easy()))


class Writer:
    """Writes one work: the same text for the same plan and random numbers."""

    def __init__(self, plan: Plan, rng: random.Random) -> None:
        self._plan = plan
        self._rng = rng
        self._random = rng.random
        self._lexicon = lexicon(plan.style, plan.era)
        self._voice = _voice(tuple(plan.era.voice))
        self._steering = Steering(plan.complexity)
        self._rooting = Rooting([person.name for person in plan.cast], plan.towns, rng)
        self._hardness = 0.5
        self._scene: dict[str, str] = {}
        self._present: tuple[str, ...] = ()
        self._used: set[str] = set()
        self._dealt: set[tuple[str, int]] = set()
        self._decks: dict[str, list[int]] = {}

    def title(self) -> str:
        """A title for the work."""
        self._set_scene()
        return _title_case(self._spoken(self._fill(draw(self._rng, self._lexicon["title"])), capital=True))

    def passages(self, count: int) -> tuple[str, ...]:
        """The passages of the work."""
        layout = {"prose": self._paragraph, "drama": self._dialogue, "verse": self._stanzas}[self._plan.style.layout]
        return tuple(self._passage(layout) for _ in range(count))

    def _passage(self, layout: Callable[[_Page, int], None]) -> str:
        self._hardness = self._steering.hardness(0.5)
        self._set_scene()
        page = _Page(self._steering)
        layout(page, 32 + int(50 * self._random()))
        self._steering.end_passage()
        return (" " if self._plan.style.layout == "prose" else "\n").join(page.pieces)

    def _set_scene(self) -> None:
        """Somebody, somebody else, two towns and a few things that stay the same throughout a passage."""
        self._used.clear()
        self._dealt.clear()
        self._scene = {}
        people = shuffled(self._rng, self._plan.cast)
        if self._random() < 0.4:
            people = [self._plan.cast[0], *(person for person in people if person is not self._plan.cast[0])]
        self._present = tuple(person.name for person in people[:3])
        for role, suffix, person in zip(("hero", "other", "third"), ("", " other", " third"), people, strict=False):
            self._scene[role] = person.name
            for pronoun, form in zip(("he", "him", "his"), person.pronouns, strict=True):
                self._scene[pronoun + suffix] = form
        self._scene["to"] = self._scene["other"]
        self._scene["town"], self._scene["far"] = shuffled(self._rng, self._plan.towns)[:2]
        for name in _STEADY:
            if name in self._lexicon:
                self._scene[name] = self._slot(name)

    def _paragraph(self, page: _Page, wanted: int) -> None:
        page.add(*self._sentence("open", ()))
        while page.wants_more(wanted):
            page.add(*self._sentence("middle", page.tail))
        if self._random() < _CLOSED:
            page.add(*self._sentence("close", page.tail))

    def _dialogue(self, page: _Page, wanted: int) -> None:
        direction, _ = self._sentence("open", ())
        if direction.startswith("(") and self._random() < 0.75:
            page.add(direction)
        speakers = [self._scene["hero"], self._scene["other"]]
        while page.wants_more(wanted):
            page.add(*self._speech(*speakers))
            speakers.reverse()
        if self._random() >= _CLOSED:
            return
        self._scene["to"] = speakers[1]
        closing, _ = self._sentence("close", page.tail)
        page.add(closing if closing.startswith("(") else f"{speakers[0].upper()}: {closing}")

    def _speech(self, speaker: str, addressee: str) -> tuple[str, Tail]:
        """One or two sentences after the speaker's name, which begins the line."""
        self._scene["to"] = addressee
        text, tail = self._sentence("middle", ())
        if count_words(text) < 25 and self._random() < 0.6:
            more, tail = self._sentence("middle", tail)
            text = f"{text} {more}"
        return f"{speaker.upper()}: {text}", tail

    def _stanzas(self, page: _Page, wanted: int) -> None:
        while page.wants_more(wanted):
            page.add(self._stanza())

    def _stanza(self) -> str:
        """Lines that rhyme as the era likes it, gathered into sentences as long as the aim allows."""
        self._hardness = self._steering.hardness(self._random())
        scheme = self._plan.era.rhyme or "-" * (3 + int(3 * self._random()))
        lines_per_sentence = 1 + int(3.999 * self._hardness)
        text, lines = "", 0
        for end in self._rhymed_ends(scheme):
            line, joint = self._line(end), ""
            if text and (lines == lines_per_sentence or text.endswith("?")):
                text, lines = f"{_finished(text)}\n", 0
            elif text:
                comma, word = draw(self._rng, _LINE_JOINTS)
                text, joint = f"{text}{comma}\n", "" if line.startswith(("and ", "who ", "what ")) else word
            text += self._spoken(joint + line, capital=not lines or bool(self._plan.era.rhyme))
            lines += 1
        return _finished(text)

    def _rhymed_ends(self, scheme: str) -> list[str]:
        """The last word of each line; empty where the era does not rhyme."""
        needed = max(map(scheme.count, scheme))
        families = iter(shuffled(self._rng, [f for f in self._plan.style.rhymes if len(f) >= needed]))
        rhymes = {letter: shuffled(self._rng, next(families)) for letter in sorted(set(scheme) - {"-"})}
        return [rhymes[letter].pop() if letter in rhymes else "" for letter in scheme]

    def _line(self, end: str) -> str:
        """A line of verse; where it rhymes, the best of three tries by its metre."""
        self._scene.pop("end", None)
        if not end:
            return self._fill(self._deal("line")[1])
        self._scene["end"] = end
        tries = [self._fill(self._deal("line")[1]) for _ in range(3)]
        metre = _METRE.get(self._plan.era.rhyme, 10)
        return min(tries, key=lambda line: abs(_counts(line)[2] - metre))

    def _sentence(self, kind: str, tail: Tail) -> tuple[str, Tail]:
        """A sentence, and its tail; the best of three where the work has strayed from its aim."""
        off = self._steering.too_easy()
        tries = [self._one_sentence(kind, tail) for _ in range(1 if abs(off) < _TOLERANCE else 3)]
        return min(tries, key=lambda pair: math.copysign(1.0, off) * _ease(_counts(pair[0])))

    def _one_sentence(self, kind: str, tail: Tail) -> tuple[str, Tail]:
        """A template of a kind, and in hard prose one or two more clauses joined to it."""
        self._hardness = self._steering.hardness(self._random())
        text, tail = self._clause(kind, tail)
        joins = 0
        while not text.endswith(_ENDS) and self._random() < 1.1 * self._hardness - 0.25 - 0.35 * joins:
            joint = draw(self._rng, _JOINTS) if len(tail) < RUN - 2 else "; "
            clause, tail = self._clause("middle", self._rooting.tail(joint, tail))
            text += joint + clause
            joins += 1
        return _finished(self._spoken(text, capital=True)), tail

    def _clause(self, kind: str, tail: Tail) -> tuple[str, Tail]:
        """A template of a kind, filled and rooted; what cannot be rooted here goes back to be dealt later."""
        for attempt in range(_TRIES):
            number, template = self._deal(kind, name_first=attempt >= _TRIES // 2)
            for _ in range(2):
                rooted = self._rooting.root(self._fill(template), tail, self._present)
                if rooted is not None:
                    return rooted
            self._decks[kind].insert(0, number)
        bridge = self._fill(draw(self._rng, self._lexicon["bridge"]))
        return bridge, self._rooting.tail(bridge)

    def _spoken(self, text: str, capital: bool) -> str:
        """The text with the era's little words, its articles agreed, and a capital where one is due."""
        voice = self._plan.era.voice
        text = self._voice.sub(lambda match: voice[match.group()], unmarked(text))
        text = _BEFORE_VOWEL.sub(r"\1n ", text).replace("'", "’")
        return _FIRST_LETTER.sub(lambda match: match.group().upper(), text, count=1) if capital else text

    def _deal(self, kind: str, name_first: bool = False) -> tuple[int, Template]:
        """Of the next few templates of a kind, the one that suits the wanted hardness best, with its number.

        They come round and round, so that none is seen too often. ``name_first`` asks for those that
        begin with a name, after words that had none.
        """
        templates = self._lexicon[kind]
        deck = self._decks.setdefault(kind, [])

        def fitting(numbers: list[int]) -> list[int]:
            fresh = [number for number in numbers if (kind, number) not in self._dealt]
            return [number for number in fresh if _begins_with_name(templates[number])] if name_first else fresh

        fit = fitting(deck)
        if not fit:
            more = shuffled(self._rng, [number for number in range(len(templates)) if number not in deck])
            deck[:0] = more
            fit = fitting(more)
        wanted = self._hardness * (len(templates) - 1)
        number = min((fit or deck)[-_HAND:], key=lambda number: abs(number - wanted))
        deck.remove(number)
        self._dealt.add((kind, number))
        return number, templates[number]

    def _fill(self, template: Template) -> str:
        return "".join([part if isinstance(part, str) else self._part(part) for part in template])

    def _part(self, part: Slot | Choice | Extra) -> str:
        if isinstance(part, Slot):
            return self._slot(part.name)
        if isinstance(part, Choice):
            return mark("", self._fill(draw(self._rng, part.options)), len(part.options))
        return self._fill(part.inner) if self._random() < 1.2 * self._hardness - 0.1 else ""

    def _slot(self, name: str) -> str:
        """What the scene says, or an entry of the list: from its short end when easy, its long end when hard."""
        if name in self._scene:
            return self._scene[name]
        entries = self._lexicon[name]
        window = len(entries) - int((1 - _WINDOW) * len(entries))
        start = int(self._hardness * (len(entries) - window) + 0.5)
        for _ in range(4):
            text = self._fill(entries[start + int(self._random() * window)])
            if text not in self._used:
                break
        self._used.add(text)
        return mark(name, text, window)


class _Page:
    """A passage in the making: it takes what keeps it within the limit, and tells the steering."""

    def __init__(self, steering: Steering) -> None:
        self.pieces: list[str] = []
        self.tail: Tail = ()
        self._steering = steering
        self._words = 0
        self._full = False

    def wants_more(self, wanted: int) -> bool:
        """Whether it is shorter than wanted, and what came last still found room."""
        return self._words < MIN_WORDS or (self._words < wanted and not self._full)

    def add(self, piece: str, tail: Tail = ()) -> None:
        """Take a piece in, unless that would overfill the passage."""
        self._full = self._words + count_words(piece) > MAX_WORDS
        if not self._full:
            self.pieces.append(piece)
            self.tail = tail
            self._words += self._steering.wrote(piece)


def _begins_with_name(template: Template) -> bool:
    return isinstance(template[0], Slot) and template[0].name in _NAMES


def _counts(text: str) -> list[int]:
    """Words, sentences and syllables."""
    found = words(text)
    return [len(found), max(1, len(sentences(text.replace("\n", " ")))), sum(map(_syllables, found))]


def _ease(counts: list[int]) -> float:
    n_words, n_sentences, n_syllables = counts
    return 206.835 - 1.015 * n_words / n_sentences - 84.6 * n_syllables / n_words


@lru_cache(maxsize=1 << 16)
def _syllables(word: str) -> int:
    return count_syllables(word)


def _finished(text: str) -> str:
    """The text with a full stop, inside a closing quotation mark, unless it has its end already."""
    if text.endswith("”"):
        return text if text[-2] in ".?!" else f"{text[:-1]}.”"
    return text if text.endswith(_ENDS) else f"{text}."


@lru_cache(maxsize=16)
def _voice(said: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(r"\b(?:" + "|".join(map(re.escape, said)) + r")\b")


def _title_case(text: str) -> str:
    parts = text.split()
    return " ".join(
        part if index and part in _SMALL_WORDS else part[0].upper() + part[1:] for index, part in enumerate(parts)
    )
