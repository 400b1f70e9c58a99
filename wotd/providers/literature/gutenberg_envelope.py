"""From the bytes of a Project Gutenberg file to the text inside: decoding, header and licence.

The text has been wrapped in several ways since 1991; what marks where the wrapping ends is listed
here. What the volunteers put inside the markers (credits, notes, page furniture) is not this module's.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from wotd.errors import UnreadableWorkError

_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_DECLARED = re.compile(rb"character set encoding:[ \t]*([^\r\n]+)", re.IGNORECASE)
_TEXT_CODECS = ("ascii", "utf-8", "iso8859", "cp125", "mac-", "koi8", "big5", "gb", "shift_jis", "euc")
_DECLARATION_WITHIN = 20_000
_C1_CONTROL = re.compile("[\x80-\x9f]")

_START = re.compile(r"\*{3,}\s*START OF (?:THE|THIS) PROJECT GUTENBERG", re.IGNORECASE)
_END = re.compile(
    r"(?:\*{3,}\s*END OF (?:THE|THIS) PROJECT GUTENBERG"
    r"|\**\s*(?:End|Ende|Fin|Fine|Fim|Einde)\b.{0,40}\bProje[ck]t[ -]Gutenberg"
    r"|\**\s*(?:This is the )?End of (?:this|the) e-?(?:text|book)\b"
    r"|(?:\*{3}\s*)?START: FULL LICENSE)",
    re.IGNORECASE,
)
_SMALL_PRINT = re.compile(r"\**\s*START\s*\**\s*THE SMALL PRINT", re.IGNORECASE)
_SMALL_PRINT_END = re.compile(r"\*+\s*END\s*\**\s*THE SMALL PRINT", re.IGNORECASE)
_SMALL_PRINT_VERSION = re.compile(r"Version[ .]*\d[\w.]*$", re.IGNORECASE)
_MARKER_CHARACTERS = 200
_MARKER_LINES = 4
"""A marker wraps with a long title; its closing asterisks stand within so many lines."""

_WRAPPING = re.compile(
    r"project\s+gutenberg|\be-?texts?\b|\be-?books?\b|small print|tax deductible|michael s\. hart|public domain|\bftp\b"
    r"|^(?:title|author|translator|editor|release date|language|character set encoding|credits):",
    re.IGNORECASE,
)
_WRAPPED = re.compile(r"project\s+gutenberg|^title:", re.IGNORECASE | re.MULTILINE)
_WRAPPED_WITHIN = 40
_WRAPPING_WITHIN = 800
"""Without any marker, a text whose first lines show that it is wrapped loses what looks so in so many lines."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What stands before the text and the text itself; what follows the text is licence and is not kept."""

    header: str
    body: str


def decode(data: bytes) -> str:
    """The text of a file, in whichever of the encodings in use it is, with plain line ends.

    In this order: a byte order mark, UTF-8 where there is more than ASCII and it is valid UTF-8 (which
    other encodings hardly ever are by chance), the declared character set, Windows-1252, Latin-1.

    Raises:
        UnreadableWorkError: if it is empty, or not text at all.
    """
    mark, codec = next((bom for bom in _BOMS if data.startswith(bom[0])), (b"", ""))
    data = data.removeprefix(mark)
    text = _try(data, codec) if codec else None
    if text is None:
        if b"\0" in data:
            raise UnreadableWorkError("it is not plain text")
        text = next(found for codec in _candidates(data) if (found := _try(data, codec)) is not None)
    text = text.replace("\ufeff", "").replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise UnreadableWorkError("it is empty")
    return text


def open_envelope(text: str) -> Envelope:
    """Header and body of a file; where nothing marks the end of the text, it ends with the file."""
    lines = text.split("\n")
    start = _after_start(lines)
    end = next((index for index in range(start, len(lines)) if _is(_END, lines[index])), len(lines))
    begin, end = _without_small_print(lines, start, end)
    if begin == 0:
        begin = _after_wrapping(lines[: min(_WRAPPING_WITHIN, end // 2)])
    return Envelope("\n".join(lines[:begin]), "\n".join(lines[begin:end]))


def _candidates(data: bytes) -> list[str]:
    declared = _declared(data)
    if declared.startswith("iso8859-1") and _C1_CONTROL.search(data.decode("latin-1")):
        declared = "cp1252"  # what is declared would make control characters of curly quotes and dashes
    return ["utf-8", *([declared] if declared else []), "cp1252", "latin-1"]


def _declared(data: bytes) -> str:
    """The codec that the header names, empty if it names none that is known."""
    match = _DECLARED.search(data[:_DECLARATION_WITHIN])
    for word in re.findall(r"[\w.:-]+", match[1].decode("latin-1")) if match else ():
        try:
            codec = codecs.lookup(word).name
        except (LookupError, ValueError):
            continue
        if codec.startswith(_TEXT_CODECS):
            return codec
    return ""


def _try(data: bytes, codec: str) -> str | None:
    try:
        return data.decode(codec)
    except UnicodeDecodeError:
        return None


def _is(marker: re.Pattern[str], line: str) -> bool:
    return bool(marker.match(line[:_MARKER_CHARACTERS].strip()))


def _after_start(lines: list[str]) -> int:
    """The line after the start marker; 0 if there is none."""
    for index, line in enumerate(lines):
        if _is(_START, line):
            for last in range(index, min(index + _MARKER_LINES, len(lines))):
                if not lines[last].strip():
                    break
                if lines[last].rstrip().endswith("***") and lines[last].strip("* \t"):
                    return last + 1
            return index + 1
    return 0


def _without_small_print(lines: list[str], start: int, end: int) -> tuple[int, int]:
    """The bounds of the text where the licence of the 1990s stands before it, or in some files after it."""
    closing = [index for index in range(start, end) if _is(_SMALL_PRINT_END, lines[index])]
    if not closing:
        return start, end
    begin = closing[-1] + 1
    if begin < end and _is(_SMALL_PRINT_VERSION, lines[begin]):
        begin += 1
    if any(line.strip() for line in lines[begin:end]):
        return begin, end
    opening = next((index for index in range(start, end) if _is(_SMALL_PRINT, lines[index])), closing[0])
    return start, opening


def _after_wrapping(lines: list[str]) -> int:
    """The line after the last paragraph that speaks of the file and not from the book."""
    if not _WRAPPED.search("\n".join(lines[:_WRAPPED_WITHIN])):
        return 0
    last = max((index for index, line in enumerate(lines) if _WRAPPING.search(line)), default=-1)
    while 0 <= last < len(lines) - 1 and lines[last].strip():
        last += 1
    return last + 1
