"""From the body of a Project Gutenberg file to chapters of blocks: what is text, what is verse, where chapters begin.

Plain text has no markup, only habits: blank lines between paragraphs, more of them before a chapter,
short lines for headings, capitals, indented or ragged lines for verse. Everything here reads those.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from wotd.providers.literature.gutenberg_markup import APPARATUS, plain, without_apparatus
from wotd.providers.text import Block, count_words

CHAPTER_GAP = 4
"""Blank lines that always part chapters; two or three do so before a heading."""

USUAL_PARAGRAPHS = 30
"""From so many paragraphs on, the middle one of their gaps is taken to be what parts paragraphs in this text."""

HEADING_GAP = 2
SECTION_GAP = 3
HEADING_WORDS = 14
CENTRED = 10
"""Blanks before a line that is centred on the page rather than indented."""

FRONT_WORDS = 400
"""A title page, with imprint and epigraph, has fewer words than this before the first heading or list of contents."""

BACK_MATTER_FROM = 0.75
"""Indexes, errata and advertisements that begin after so much of the words run to the end of the text."""

USUAL_WIDTH = 60
"""What is taken for the width of the page where there is hardly any prose to measure it."""

_ORDINAL = "first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|last"
_CARDINAL = "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|twenty"
_PART = (
    "chapter|chap|book|part|act|scene|canto|letter|volume|vol|stave|section|sect|lecture|essay|epistle|night|day|fytte"
    "|kapitel|buch|teil|akt|szene|chapitre|livre|partie|acte|sc\u00e8ne|caput|liber"
)
_DIVISION = re.compile(
    rf"(?:the )?(?:{_PART})\.? (?:the )?(?:[ivxlcdm]+|\d{{1,3}}|{_ORDINAL}|{_CARDINAL})\b.*"
    rf"|(?:the )?(?:{_ORDINAL}) (?:{_PART})\b.*"
    r"|(?:the |an? )?(?:(?:author|translator|editor)'s )?(?:preface|foreword|introduction|prologue|epilogue|conclusion"
    r"|dedication|argument|afterword|appendix|postscript|prelude|interlude|introductory|prefatory note|notes?|vorwort"
    r"|einleitung|pr\u00e9face|finis|fin|ende)(?: (?:to|by|of|from|note)\b.*)?"
    r"|(?:the )?end(?: of .*)?",
    re.IGNORECASE,
)
_NUMERAL = re.compile(r"[IVXLCDM]{1,7}|\d{1,3}")
_CLOSING = re.compile(r"finis|fin|ende|(?:the )?end\b.*", re.IGNORECASE)
_LISTING = re.compile(
    r"(?:table of )?(?:the )?contents(?: and illustrations| of (?:th(?:e|is) )?(?:volume|vol|book|part)\b.*)?"
    r"|(?:list of )?(?:the )?(?:illustrations|plates|figures|maps)|inhalt(?:sverzeichnis)?|table des mati\u00e8res"
    r"|dramatis person.*|(?:the )?(?:persons|characters|people) (?:of|in) the .*"
    r"|(?:the )?(?:persons|characters)(?: represented)?"
    r"|books (?:by|of|for)\b.*|(?:other )?works (?:by|of)\b.*|by the same author",
    re.IGNORECASE,
)
_BACK_MATTER = re.compile(
    r"(?:general )?index\b.*|errata\b.*|bibliography|advertisements?|publications of\b.*|announcements?"
    r"|transcriber.*|transcription notes?|(?:some )?(?:opinions of the press|press (?:opinions|notices))",
    re.IGNORECASE,
)
_NOTES = re.compile(r"(?:foot|end)-?notes?", re.IGNORECASE)
_NOTE = re.compile(r"\s*\[(?:\d{1,3}|[A-HJ-Z])\]\s+\S")
_VOLUNTEERS = re.compile(
    r"gutenberg|\be-?(?:text|book)s?\b|www\.|https?:|\bpgdp\b|proofread|transcri(?:bed|ption|ber)|html version"
    r"|^\W*(?:produced|prepared|scanned|digiti[sz]ed) (?:by|from)\b",
    re.IGNORECASE,
)
_IMPRINT = re.compile(
    r"copyright|all rights reserved|printed (?:by|in|at|for)\b|public domain|\b(?:first|originally) published\b"
    r"|\b(?:8|4|12|16)vo\b|\bprice,? [$\u00a3\d]|\b\d+s\.? (?:\d+d\.? )?(?:net|each)\b|\bnew york:|\blondon:",
    re.IGNORECASE,
)
_IMPRINT_WORDS = 60
_OFFER = re.compile(
    r"\bcents?\b|[$\u00a3]\d|\bprices?\b|\bcatalogues?\b|\bpost-?paid\b|\bagents\b|\bnet\b|vo\b|\bfor sale\b"
    r"|\bguarantee|\bvol\.|\bedited by\b|\bmention this\b|\bfree\b|\b(?:manager|co|dr|mass|tenn)\.|\bN\. Y\.",
    re.IGNORECASE,
)
WORDS_PER_OFFER = 40
OFFER_WORDS = 800
"""Short chapters at the very end of a text that speak of prices or firms so often sell something."""

_TABLE_ROW = re.compile(r"\S(?: {3,}|\t+)\S|\.{4,}|(?:\. ){3,}")
_UNBROKEN = re.compile(r"(?<=\w)-\n(?=\w)|(?<=\S)--\n(?=\S)")
_SENTENCE_CLOSED = re.compile(r"[.!?:;,][\"'\u2019\u201d)\]]*$")


@dataclass
class Paragraph:
    """Lines between blank lines, as they stand, and how many blank lines stood before them."""

    lines: list[str]
    gap: int

    @cached_property
    def text(self) -> str:
        """The lines joined to one, as the book has them."""
        return plain(_UNBROKEN.sub(lambda match: match[0].rstrip(), self._stripped).replace("\n", " "))

    @cached_property
    def verse(self) -> str:
        """The lines as lines, as the book has them."""
        return plain(self._stripped)

    @cached_property
    def words(self) -> int:
        """How many words there are."""
        return count_words(self.text)

    @property
    def _stripped(self) -> str:
        return "\n".join(line.strip() for line in self.lines)


def chapters(body: str) -> list[list[Block]]:
    """The chapters of a text in order, each a list of paragraphs and stanzas; none is empty."""
    paragraphs = _without_listings(_without_front(_paragraphs(without_apparatus(body))))
    width, repeated = _width(paragraphs), _repeated(paragraphs)
    found: list[list[Block]] = [[]]
    after_heading = False
    for paragraph in paragraphs:
        heading = _is_heading(paragraph, repeated, after_heading)
        if heading or paragraph.gap >= CHAPTER_GAP:
            found.append([])
        if not heading and not _is_furniture(paragraph):
            found[-1].append(_block(paragraph, width))
        after_heading = heading
    return _without_offers([chapter for blocks in found if (chapter := [block for block in blocks if block.text])])


def _paragraphs(text: str) -> list[Paragraph]:
    """Paragraphs with the gaps before them; where apparatus was taken out, the widest gap around it counts."""
    found: list[Paragraph] = []
    lines: list[str] = []
    gap = widest = 0
    for line in [*text.split("\n"), ""]:
        bare = line.replace(APPARATUS, "").rstrip()
        if bare.strip():
            if not lines:
                widest = max(widest, gap)
            lines.append(bare.expandtabs())
            gap = 0
            continue
        if lines:
            found.append(Paragraph(lines, widest))
            lines, widest = [], 0
        if APPARATUS in line:
            widest, gap = max(widest, gap), 0
        else:
            gap += 1
    return _evened(found)


def _evened(paragraphs: list[Paragraph]) -> list[Paragraph]:
    """The paragraphs of a text that is widely spaced throughout, with gaps as if it were not."""
    if len(paragraphs) >= USUAL_PARAGRAPHS:
        usual = sorted(paragraph.gap for paragraph in paragraphs)[len(paragraphs) // 2]
        for paragraph in paragraphs if usual > 1 else ():
            paragraph.gap = max(1, paragraph.gap - usual + 1)
    return paragraphs


def _without_front(paragraphs: list[Paragraph]) -> list[Paragraph]:
    """Without the title page: what little stands before the first heading of a part or the first listing."""
    most = min(FRONT_WORDS, sum(paragraph.words for paragraph in paragraphs) // 4)
    passed = 0
    for index, paragraph in enumerate(paragraphs):
        name = _name(paragraph)
        if name and not _CLOSING.fullmatch(name) and (_is_division(name) or _LISTING.fullmatch(name)):
            return paragraphs[index:]
        passed += paragraph.words
        if passed > most:
            break
    start = 0
    while (
        start < len(paragraphs)
        and _is_title(paragraphs[start])
        and not _BACK_MATTER.fullmatch(_name(paragraphs[start]))
    ):
        start += 1
    return paragraphs[start:]


def _without_listings(paragraphs: list[Paragraph]) -> list[Paragraph]:
    """Without lists of contents or characters and collected notes; indexes and advertisements end the text."""
    kept: list[Paragraph] = []
    skipping = fresh = ends_at_prose = False
    most, passed = sum(paragraph.words for paragraph in paragraphs), 0
    for paragraph in paragraphs:
        name = _name(paragraph)
        passed += paragraph.words
        listing = bool(_LISTING.fullmatch(name))
        back_matter = bool(_BACK_MATTER.fullmatch(name))
        if back_matter and passed >= BACK_MATTER_FROM * most:
            break
        if listing or back_matter or _NOTES.fullmatch(name):
            skipping = fresh = True
            ends_at_prose = listing
        elif (
            skipping
            and (fresh or paragraph.gap < SECTION_GAP)
            and not (_is_prose(paragraph) if ends_at_prose else _is_division(name))
        ):
            fresh = False
        else:
            skipping = False
            kept.append(paragraph)
    # What swallows most of a text was no list, or has no end that could be seen.
    return kept if 2 * sum(paragraph.words for paragraph in kept) >= most else paragraphs


def _without_offers(found: list[list[Block]]) -> list[list[Block]]:
    """Without the advertisements that some books end with."""
    last = len(found)
    while last > 1 and _sells(found[last - 1]):
        last -= 1
    return found[:last]


def _sells(chapter: list[Block]) -> bool:
    words = sum(count_words(block.text) for block in chapter)
    return words <= OFFER_WORDS and words < WORDS_PER_OFFER * sum(len(_OFFER.findall(b.text)) for b in chapter)


def _name(paragraph: Paragraph) -> str:
    """The paragraph, or the first line of a list, as a name to look up; empty where it is too long for one."""
    text = paragraph.text
    if paragraph.words > HEADING_WORDS:
        text = plain(paragraph.lines[0])
        if count_words(text) > 4:
            return ""
    return text.strip(" .:*()[]\u2014-")


def _is_division(name: str) -> bool:
    return bool(_DIVISION.fullmatch(name) or _NUMERAL.fullmatch(name))


def _is_heading(paragraph: Paragraph, repeated: set[str], after_heading: bool) -> bool:
    """Whether a paragraph names what follows: a part with its number, a line of capitals, a title standing apart."""
    text = paragraph.text
    if not 1 <= paragraph.words <= HEADING_WORDS or len(paragraph.lines) > 4 or text.endswith((",", ";")):
        return False
    if _is_division(text.strip(" .:*()[]\u2014-")):
        return True
    if text in repeated or not (after_heading or paragraph.gap >= HEADING_GAP):
        return False  # a line that comes again and again is a speaker's name
    if _share_upper(text) > 0.9:
        return True
    centred = len(paragraph.lines[0]) - len(paragraph.lines[0].lstrip()) >= CENTRED
    closed = after_heading and not centred and bool(_SENTENCE_CLOSED.search(text))
    return len(paragraph.lines) == 1 and _titled(text) and not closed


def _is_title(paragraph: Paragraph) -> bool:
    """Whether a first paragraph belongs to a title page: furniture, or a few words that are no sentence."""
    text = paragraph.text
    few = paragraph.words <= HEADING_WORDS
    return _is_furniture(paragraph) or (few and (_share_upper(text) > 0.9 or not _SENTENCE_CLOSED.search(text)))


def _is_furniture(paragraph: Paragraph) -> bool:
    """Whether a paragraph is no text of the work: a note, a credit, an imprint, a table, a block of capitals."""
    text, words = paragraph.text, paragraph.words
    if not words or _NOTE.match(paragraph.lines[0]) or _VOLUNTEERS.search(text):
        return True
    if words <= _IMPRINT_WORDS and _IMPRINT.search(text):
        return True
    rows = sum(bool(_TABLE_ROW.search(line.strip())) for line in paragraph.lines)
    return len(paragraph.lines) > 1 and (rows * 2 > len(paragraph.lines) or (words > 6 and _share_upper(text) > 0.7))


def _is_prose(paragraph: Paragraph) -> bool:
    """Whether a paragraph is surely running text and no entry of a list."""
    if len(paragraph.lines) < 3 or paragraph.words < 40:
        return False
    numbered = sum(line.rstrip()[-1:].isdigit() for line in paragraph.lines)
    return numbered * 3 < len(paragraph.lines) and not _is_verse(paragraph, USUAL_WIDTH)


def _is_verse(paragraph: Paragraph, width: int) -> bool:
    """Whether lines end before the page does: a line is verse if the next word would still have fitted on it."""
    lines = [line.rstrip() for line in paragraph.lines]
    breaks = len(lines) - 1
    if breaks < 1:
        return False
    room = [width - len(line) - 1 - len(after.split()[0]) for line, after in pairwise(lines)]
    upper = sum(line.lstrip(" \"'\u2018\u201c([_")[:1].isupper() for line in lines[1:])
    if breaks >= 3 and upper >= 0.9 * breaks:
        return max(room) >= 0
    early = sum(left >= width // 10 for left in room)
    indented = breaks >= 2 and min(len(line) - len(line.lstrip()) for line in lines) >= 2
    return early >= 0.5 * breaks and (upper >= 0.5 * breaks or (indented and early >= 0.75 * breaks))


def _block(paragraph: Paragraph, width: int) -> Block:
    return Block(paragraph.verse, verse=True) if _is_verse(paragraph, width) else Block(paragraph.text)


def _width(paragraphs: Sequence[Paragraph]) -> int:
    """The width of the page: that of the lines that go on in small letters, or in a book of verse, of all lines."""
    broken = [pair for paragraph in paragraphs for pair in pairwise(paragraph.lines)]
    running = [line for line, after in broken if after.lstrip()[:1].islower()]
    if running and len(running) * 4 >= len(broken):
        return _longest(running)
    return max(USUAL_WIDTH, _longest(running), _longest([line for line, _ in broken]))


def _longest(lines: Sequence[str]) -> int:
    """The length that only one line in twenty exceeds; 0 where there is none."""
    lengths = sorted(len(line.rstrip()) for line in lines)
    return lengths[len(lengths) * 95 // 100] if lengths else 0


def _repeated(paragraphs: Sequence[Paragraph]) -> set[str]:
    lines = Counter(paragraph.text for paragraph in paragraphs if len(paragraph.lines) == 1)
    return {text for text, count in lines.items() if count >= 3}


def _titled(text: str) -> bool:
    words = [word for word in re.findall(r"[^\W\d_]+", text) if len(word) > 3] or text.split()
    return text[:1].isupper() and sum(word[:1].isupper() for word in words) * 5 >= len(words) * 3


def _share_upper(text: str) -> float:
    letters = [char for char in text[:400] if char.isalpha()]
    return sum(char.isupper() for char in letters) / len(letters) if len(letters) > 2 else 0.0
