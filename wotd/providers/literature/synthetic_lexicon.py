"""The words and sentences of the synthetic corpus: two files of data, and how they are read.

``synthetic_eras.yaml`` says what an era talks about, ``synthetic_styles.yaml`` how a style speaks; the
head of each explains its notation. A template is read once into its parts; what fills the parts is
the business of :mod:`wotd.providers.literature.synthetic_grammar`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import yaml

from wotd.providers.text import count_syllables, reading_ease, words


@dataclass(frozen=True, slots=True)
class Slot:
    """A place that the scene or a list of words fills."""

    name: str


@dataclass(frozen=True, slots=True)
class Choice:
    """A place that one of several texts fills."""

    options: tuple[Template, ...]


@dataclass(frozen=True, slots=True)
class Extra:
    """A text that easy prose leaves out and hard prose keeps."""

    inner: Template


Template = tuple["str | Slot | Choice | Extra", ...]
"""The parts of a text in order."""

Lexicon = Mapping[str, tuple[Template, ...]]
"""What may fill a slot, by the slot's name; the shortest words come first."""

_MARKED = re.compile(r"<(?P<extra>[^<>]*)>|\[(?P<choice>[^\[\]]*)\]|\{(?P<slot>[^{}]+)\}|(?P<verb>\w+)~")
_TENSES = re.compile(r"(\w+)/(\w+)")
_SENTENCES = frozenset({"open", "middle", "close", "line"})
_ALSO_FRESH = ("thing", "place", "topic", "wonder")
_THOU = {"are": "art", "have": "hast", "will": "wilt", "shall": "shalt", "can": "canst", "do": "dost", "were": "wert"}
_DOUBLED = re.compile(r"[^aeiou]*[aeiou][bdgmnprt]")


def parse(text: str) -> Template:
    """Read the notation of the data files into parts."""
    parts: list[str | Slot | Choice | Extra] = []
    start = 0
    for match in _MARKED.finditer(text):
        parts.append(text[start : match.start()])
        start = match.end()
        if match["extra"] is not None:
            parts.append(Extra(parse(match["extra"])))
        elif match["choice"] is not None:
            parts.append(Choice(tuple(parse(option) for option in match["choice"].split("|"))))
        else:
            parts.append(Slot(match["slot"] or "~" + match["verb"]))
    parts.append(text[start:])
    return tuple(part for part in parts if part != "")


def slot_names(template: Template) -> set[str]:
    """Names of the slots anywhere in a template."""
    names: set[str] = set()
    for part in template:
        if isinstance(part, Slot):
            names.add(part.name)
        elif isinstance(part, Extra):
            names |= slot_names(part.inner)
        elif isinstance(part, Choice):
            names = names.union(*map(slot_names, part.options))
    return names


@dataclass(frozen=True, eq=False)
class Names:
    """Invented names of an era: of women, men, families and towns, and what precedes a family's name."""

    women: tuple[str, ...]
    men: tuple[str, ...]
    families: tuple[str, ...]
    towns: tuple[str, ...]
    women_titles: tuple[str, ...]
    men_titles: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Era:
    """What an era talks about, and how it talks."""

    name: str
    years: tuple[int, int]
    archaic: bool
    author: str
    rhyme: str
    names: Names
    lexicon: Lexicon
    voice: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Style:
    """How a style speaks: the layout of its passages, its genres, its sentences and its words."""

    name: str
    layout: str
    genres: tuple[str, ...]
    rhymes: tuple[tuple[str, ...], ...]
    lexicon: Lexicon


@lru_cache(maxsize=1)
def eras() -> tuple[Era, ...]:
    """The eight eras, oldest first."""
    return tuple(_era(name, data) for name, data in _read("synthetic_eras.yaml").items())


@lru_cache(maxsize=1)
def styles() -> tuple[Style, ...]:
    """The eight styles, in the order of the taxonomy."""
    data = _read("synthetic_styles.yaml")
    common = _lexicon(data.pop("common"))
    return tuple(_style(name, entry, common) for name, entry in data.items())


@lru_cache(maxsize=64)
def lexicon(style: Style, era: Era) -> Lexicon:
    """What fills the slots of a work of this style and era; an era's ideas join the style's topics."""
    merged = {**era.lexicon, **style.lexicon}
    merged["topic"] = _by_length(style.lexicon["topic"] + era.lexicon["idea"])
    if "end" in merged:
        merged["end"] = _by_length(merged["end"] + merged["place"])
    for name in _ALSO_FRESH:
        merged[f"any {name}"] = merged[name]
    named = set().union(*(slot_names(template) for templates in merged.values() for template in templates))
    for name in named:
        form = _form(name, era.archaic)
        if form is not None:
            merged[name] = ((form,),)
    return merged


def _form(name: str, archaic: bool) -> str | None:
    """The grammatical form a slot names (``~knows``, ``you have``, ``thy``), or None if it names none."""
    if name.startswith("~"):
        return archaic_verb(name[1:]) if archaic else name[1:]
    if name in ("thee", "thy"):
        return name if archaic else {"thee": "you", "thy": "your"}[name]
    if name == "you" or name.startswith("you "):
        verb = name[4:]
        return " ".join(["thou", _THOU.get(verb, verb)] if archaic else ["you", verb]).strip()
    return None


def archaic_verb(verb: str) -> str:
    """The third person in ``-eth``: ``carrieth``, ``sitteth``, ``passeth``, ``hath``."""
    irregular = {
        "has": "hath",
        "does": "doth",
        "says": "saith",
        "is": "is",
        "forgets": "forgetteth",
        "begins": "beginneth",
    }
    if verb in irregular:
        return irregular[verb]
    if verb.endswith("ies"):
        return verb[:-1] + "th"
    if verb.endswith(("sses", "shes", "ches", "xes", "zzes", "oes")):
        return verb[:-2] + "eth"
    stem = verb.removesuffix("s")
    if stem.endswith("e"):
        return stem + "th"
    return stem + (stem[-1] if _DOUBLED.fullmatch(stem) else "") + "eth"


def _read(name: str) -> dict[str, Any]:
    text = files("wotd.providers.literature").joinpath(name).read_text(encoding="utf-8")
    data: dict[str, Any] = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return data


def _era(name: str, data: dict[str, Any]) -> Era:
    names, titles = data.pop("names"), data.pop("titles")
    voice = dict(line.split(" > ") for line in data.pop("voice").splitlines())
    first, last = data.pop("years")
    head = {key: data.pop(key) for key in ("archaic", "author", "rhyme")}
    news = data.pop("news")
    data["news"], data["tidings"] = _TENSES.sub(r"\1", news), _TENSES.sub(r"\2", news)
    return Era(
        name=name,
        years=(first, last),
        names=Names(
            *(_combined(names[kind]) for kind in ("women", "men", "families", "towns")),
            *(tuple(_entries(titles[kind])) for kind in ("women", "men")),
        ),
        lexicon=_lexicon(data),
        voice=voice,
        **head,
    )


def _style(name: str, data: dict[str, Any], common: Lexicon) -> Style:
    layout, genres = data.pop("layout"), tuple(data.pop("genres"))
    rhymes = tuple(tuple(line.split(", ")) for line in data.pop("rhymes", "").splitlines())
    return Style(name, layout, genres, rhymes, {**common, **_lexicon(data)})


def _lexicon(data: Mapping[str, str]) -> dict[str, tuple[Template, ...]]:
    parsed = {key: tuple(map(parse, _entries(text))) for key, text in data.items()}
    return {key: _by_ease(value) if key in _SENTENCES else _by_length(value) for key, value in parsed.items()}


def _entries(text: str) -> list[str]:
    lines = text.splitlines()
    return lines if len(lines) > 1 else [entry for entry in text.split(", ") if entry]


def _combined(text: str) -> tuple[str, ...]:
    stems, _, endings = text.partition(" / ")
    return tuple(stem + ending for stem in stems.split(", ") for ending in endings.split(", "))


def _by_length(templates: tuple[Template, ...]) -> tuple[Template, ...]:
    return tuple(sorted(templates, key=_syllables_per_word))


def _syllables_per_word(template: Template) -> tuple[float, int]:
    found = words(" ".join(part for part in template if isinstance(part, str)))
    syllables = sum(map(count_syllables, found))
    return syllables / max(1, len(found)), syllables


def _by_ease(templates: tuple[Template, ...]) -> tuple[Template, ...]:
    """Sentences in the order of their reading ease, easiest first, as far as their own words tell."""
    return tuple(sorted(templates, key=lambda template: -(reading_ease([_shortest(template)]) or 0.0)))


def _shortest(template: Template) -> str:
    """A template without its extras, each slot filled with a word of two syllables."""
    return "".join(
        part
        if isinstance(part, str)
        else ""
        if isinstance(part, Extra)
        else "body"
        if isinstance(part, Slot)
        else _shortest(part.options[0])
        for part in template
    )
