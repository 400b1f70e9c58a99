"""Names put into sentences, so that two works of the corpus do not say the same eight words.

Works share their sentences' frames, but each has people and towns of its own. A run of eight words is
taken to be a work's own if it holds one of its names, or if so much in it was drawn from lists that a
second draw alike is improbable. Where neither holds, a name is put in: the granary becomes the granary
at Korissa, or Damara's.
"""

from __future__ import annotations

import random
import re
from collections.abc import Collection, Sequence

from wotd.providers.literature.synthetic_catalogue import draw

RUN = 8
"""How many words two works must not share."""

ENOUGH_BITS = 11.0
"""How many bits of chance make eight words a work's own."""

CLAUSE_BITS = 4.0
"""The chance in which clause comes next."""

Tail = tuple[float, ...]
"""For each word since the last name, oldest first: the bits of the draw that begins there, else 0."""

_NAMED_BY = {
    "place": (" in ", " at "),
    "person": (" of ", " from "),
    "folk": (" of ", " from "),
    "power": (" of ",),
    "custom": (" at ", " in "),
    "peril": (" at ",),
    "wares": (" from ",),
    "food": (" from ",),
    "thing": (" from ",),
    "paper": (" from ",),
    "beast": (" from ",),
    "stuff": (" from ",),
    "flower": (" of ",),
    "tree": (" of ",),
    "bird": (" of ",),
    "craft": (" in ",),
    "wonder": (" of ",),
    "marvel": (" of ",),
}
_ANYWHERE = (" in ", " at ")
_OWNED = frozenset({"thing", "paper", "beast", "place"})

# Marks from Unicode's private use area stand around what was drawn while a sentence is in the making.
_CODES = {slot: chr(0xE000 + number) for number, slot in enumerate(_NAMED_BY)}
_SLOTS = {code: slot for slot, code in _CODES.items()}
_QUALITY, _OTHER, _CLOSE, _NO_BITS = "\ue0f0", "\ue0f1", "\ue0ff", 0xE100
_CODES |= dict.fromkeys(("adj", "mood", "colour", "number"), _QUALITY)
_MARKS = re.compile("[\ue000-\ue1ff^@]")
_TOKEN = re.compile(r"(?P<bits>[\ue100-\ue1ff])|[^\W_]+(?:['-][^\W_]+)*")
_SECOND_ARTICLE = re.compile(
    r"((?:\ue0f0[^\ue0ff]*\ue0ff|'s|\b(?:[Nn]o|[Mm]ore|[Ll]ess|[Mm]y|[Tt]hy|[Yy]our|his|her|its|the))"
    r" [\ue000-\ue1ff]{2})(?:the|an?) "
)
_ANCHOR = re.compile(
    r"(?P<owner>\^(?:(?:the|an?|its) )?)|(?P<anywhere>@)"
    r"|(?P<owned>\b(?:the|an?) )?(?P<code>[\ue000-\ue0ef])[\ue100-\ue1ff][^\ue000-\ue1ff]*\ue0ff"
    r"(?! (?:of|from|in|at|named|called|over|between)\b|['@])"
)

Anchor = re.Match[str]


def mark(slot: str, text: str, choices: int) -> str:
    """The text that was drawn for a slot among so many, between marks; what is marked already stays as it is."""
    if _CLOSE in text:
        return text
    eighths_of_a_bit = (choices**8).bit_length() - 1  # exact where a logarithm may differ between machines
    return f"{_CODES.get(slot.removeprefix('any '), _OTHER)}{chr(_NO_BITS + eighths_of_a_bit)}{text}{_CLOSE}"


def unmarked(text: str) -> str:
    """The text without marks and without places for names that were not needed."""
    return _MARKS.sub("", _SECOND_ARTICLE.sub(r"\1", text))


class Rooting:
    """Puts the names of one work into its sentences."""

    def __init__(self, people: Sequence[str], towns: Sequence[str], rng: random.Random) -> None:
        self._people = people
        self._towns = towns
        self._rng = rng
        self._last_town = ""
        self._own = {name.split()[-1] for name in people}.union(towns)

    def root(self, text: str, tail: Tail, present: Collection[str]) -> tuple[str, Tail] | None:
        """The text with names put in where they are needed.

        Args:
            text: a clause, marked.
            tail: what stands before it since the last name.
            present: people who are in the scene; what the text needs belongs to somebody else.

        Returns:
            the text, still marked, and its tail; None where no place for a name is near enough.
        """
        anchors = list(_ANCHOR.finditer(text))
        taken: list[Anchor] = []
        run = [(-1, bits) for bits in tail]
        bits = CLAUSE_BITS

        def named(nameless: int, needed: float) -> bool:
            """Whether the last words will do, if need be with a name put in."""
            if len(run) < nameless or sum(part[1] for part in run[-nameless:]) >= needed:
                return True
            # The name brings a preposition or a title with it, so it must stand before the last word but one.
            anchor = _best(anchors, run[-nameless][0] + 1, run[-2 if nameless == RUN else -1][0])
            if anchor is None:
                return False
            taken.append(anchor)
            del anchors[: anchors.index(anchor) + 1]
            rest = anchor.start("code") if anchor["owned"] else anchor.end()
            run[:] = [part for part in run if part[0] >= rest]
            return True

        for token in _TOKEN.finditer(text):
            if token["bits"]:
                bits += (ord(token["bits"]) - _NO_BITS) / 8
                continue
            run.append((token.start(), bits))
            bits = 0.0
            if token.group().removesuffix("'s") in self._own:
                run.clear()
            elif len(run) >= RUN and not named(RUN, ENOUGH_BITS):
                return None
        # The next clause may begin with a title, which is no name yet.
        if not named(RUN - 1, ENOUGH_BITS - CLAUSE_BITS):
            return None
        for anchor in reversed(taken):
            text = self._named(text, anchor, present)
        return text, tuple(part[1] for part in run[1 - RUN :])

    def tail(self, text: str, tail: Tail = ()) -> Tail:
        """The tail of text that was not drawn."""
        for token in _TOKEN.finditer(unmarked(text)):
            tail = () if token.group().removesuffix("'s") in self._own else (*tail, 0.0)
        return tail[1 - RUN :]

    def _named(self, text: str, anchor: Anchor, present: Collection[str]) -> str:
        """The text with a name at the anchor: whose it is, or where."""
        owned = anchor["owned"] and _SLOTS[anchor["code"]] in _OWNED and self._rng.random() < 0.6
        if anchor["owner"] or owned:
            owner = draw(self._rng, [name for name in self._people if name not in present])
            rest = anchor.end() if anchor["owner"] else anchor.start("code")
            return f"{text[: anchor.start()]}{owner}'s {text[rest:]}"
        link = draw(self._rng, _ANYWHERE if anchor["anywhere"] else _NAMED_BY[_SLOTS[anchor["code"]]])
        self._last_town = draw(self._rng, [town for town in self._towns if town != self._last_town])
        return f"{text[: anchor.end()]}{link}{self._last_town}{text[anchor.end() :]}"


def _best(anchors: Sequence[Anchor], first: int, last: int) -> Anchor | None:
    """The last anchor whose name would stand between two places; one that makes an owner if there is any."""
    near = [anchor for anchor in anchors if first <= _place(anchor) <= last]
    return max([anchor for anchor in near if anchor["owner"]] or near, key=_place, default=None)


def _place(anchor: Anchor) -> int:
    return anchor.start() if anchor["owner"] else anchor.end()
