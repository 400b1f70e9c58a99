"""The conventions by which Project Gutenberg's volunteers write a printed page in plain characters.

Here they are undone: emphasis, marks of notes and pages, letters with accents spelled in brackets,
illustrations, boxes and rules. Which paragraphs are text at all is decided in ``gutenberg_text``.
"""

from __future__ import annotations

import re
import unicodedata

from wotd.providers.text import clean

APPARATUS = "\x1d"
"""Stands where something that is no text was taken out, so that no gap of blank lines seems to open there."""

_ASIDE = re.compile(
    r"\[\s*_?(?:illustration|frontispiece|decoration|ornament|vignette|(?:sheet )?musi[ck]|musique|image|plate|portrait"
    r"|blank page|sidenote|transcriber|footnote|editor's note|advertisement|this e-?text|note:|errat|page \d"
    r"|p(?:g|\.)? ?\d)",
    re.IGNORECASE,
)
_ASIDE_CHARACTERS = 8000
"""A bracket that does not close within so many characters is taken to end with its paragraph."""

_BOX = re.compile(r"\+[-=+ ]{3,}|\|.*\|")
_RULE = re.compile(r"[\s*+=~#_.\u2022\u00b7-]+")
_NOTE_MARK = re.compile(r"\s?\[(?:\d{1,3}|[A-HJ-Z]|\*+|[\u2020\u2021]|(?:[Ff]oot)?[Nn]ote \d{1,3})\]")
_PAGE_MARK = re.compile(r"\{(?:(?:p|pg|page)\.? ?)?\d{1,4}[a-z]?\}")
_LINE_NUMBER = re.compile(r"(?<=\S)[ \t]{3,}\[?\d{1,4}\]?[ \t]*$", re.MULTILINE)
_BRACE = re.compile(r"(?<=\S)[ \t]{2,}[}{|][ \t]*$", re.MULTILINE)
_FOREIGN_SCRIPT = re.compile(r"\[(?:Greek|Hebrew|Russian|Arabic)(?: letters?)?:? ([^\]\[]*)\]")
_ACCENTED = re.compile(r"\[([=)'`:^~.,(])([A-Za-z])\]|\[([A-Za-z])([=)'`:^~.,(])\]")
_ACCENTS = {"=": "\u0304", ")": "\u0306", "(": "\u0306", "'": "\u0301", "`": "\u0300", ":": "\u0308", "^": "\u0302"} | {
    "~": "\u0303", ".": "\u0307", ",": "\u0327",
}  # fmt: skip
_LIGATURES = {
    "[oe]": "\u0153",
    "[OE]": "\u0152",
    "[Oe]": "\u0152",
    "[ae]": "\u00e6",
    "[AE]": "\u00c6",
    "[Ae]": "\u00c6",
}
_BOLD = re.compile(r"(?<!\w)([=+~#])(?=\S)([^=+~#\n]{1,200}?)(?<=\S)\1(?!\w)")
_SUPERSCRIPT = re.compile(r"(?<=\w)\^(?:\{([^}\n]{1,12})\}|(\w{1,3}))")
_STARS = re.compile(r"(?<=\S)[ \t]+\*{3,}$", re.MULTILINE)
_DROP_CAP = re.compile(r"^\s*\|(?=\w)")


def without_apparatus(text: str) -> str:
    """The text without bracketed asides, boxes and rules; each leaves :data:`APPARATUS` on its line."""
    lines = _without_asides(text).split("\n")
    return "\n".join(APPARATUS if _is_drawn(line.strip()) else line for line in lines)


def plain(text: str) -> str:
    """The text of a paragraph as the book has it: no marks of emphasis, notes, pages or line numbers."""
    if "  " in text:
        text = _LINE_NUMBER.sub("", _BRACE.sub("", text))
    if "***" in text:
        text = _STARS.sub("", text)
    if "[" in text:
        for written, meant in _LIGATURES.items():
            text = text.replace(written, meant)
        text = _NOTE_MARK.sub("", _FOREIGN_SCRIPT.sub(r"\1", _ACCENTED.sub(_accented, text)))
    if "{" in text or "^" in text:
        text = _SUPERSCRIPT.sub(r"\1\2", _PAGE_MARK.sub("", text))
    text = _BOLD.sub(r"\2", _DROP_CAP.sub("", text))
    return clean(text.replace("_", "").replace("--", "\u2014"))


def _is_drawn(line: str) -> bool:
    return bool(_BOX.fullmatch(line) or _RULE.fullmatch(line))


def _without_asides(text: str) -> str:
    """Take out each bracket that opens an aside, up to where it closes, inner brackets included."""
    parts, position = [], 0
    while match := _ASIDE.search(text, position):
        end = _closing(text, match.start())
        parts += [text[position : match.start()], APPARATUS]
        position = end
    return "".join([*parts, text[position:]])


def _closing(text: str, start: int) -> int:
    depth = 0
    for bracket in re.finditer(r"[\[\]]", text[start : start + _ASIDE_CHARACTERS]):
        depth += 1 if bracket[0] == "[" else -1
        if depth == 0:
            return start + bracket.end()
    blank = re.compile(r"\n[ \t]*\n").search(text, start)
    return blank.start() if blank else len(text)


def _accented(match: re.Match[str]) -> str:
    before, letter, other, after = match.groups()
    return unicodedata.normalize("NFC", (letter or other) + _ACCENTS[before or after])
