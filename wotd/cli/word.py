"""``wotd word``: the passages that contain a word, grouped by ID."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from wotd.cli.app import WrongUsageError, command
from wotd.cli.options import ArtifactsOption, FormatOption, load_model
from wotd.cli.tables import Format, add_row, chosen_format, new_table, room_for_text, shortened, show

if TYPE_CHECKING:
    from rich.console import RenderableType

    from wotd.library import Passage, WordFound

_CONTEXT = 200
"""Characters before and behind a word that may be shown at most."""
_INDENT = "  "
_TITLE = 28
"""Characters of a title beside a passage; the table of works has it whole."""


@command(
    "wotd word fog --artifacts A",
    "wotd word fog --artifacts A --where style=poetic --where era=modernist",
    "wotd word 'of the sea' --artifacts A --id '*-*-5' -n 5 --format json",
)
def word(
    artifacts: ArtifactsOption,
    word: Annotated[str, typer.Argument(metavar="WORD", help="A word, or several in a row, quoted.")],
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where",
            metavar="LEVEL=NAME",
            help="Look only there, e.g. style=satirical; a number will do for a name. May be repeated.",
            show_default=False,
        ),
    ] = None,
    pattern: Annotated[
        str, typer.Option("--id", metavar="PATTERN", help="Look only in IDs such as 5-*-6: * is any; 5-3 is a prefix.")
    ] = "",
    count: Annotated[int, typer.Option("-n", "--count", min=0, metavar="N", help="Show at most that many IDs.")] = 20,
    examples: Annotated[int, typer.Option("--examples", min=0, metavar="N", help="Passages of each ID.")] = 3,
    depth: Annotated[
        int | None,
        typer.Option(
            "--depth", min=1, metavar="LEVELS", help="Group by so many levels; by default all.", show_default=False
        ),
    ] = None,
    format_: FormatOption = None,
) -> None:
    """Find the passages that contain a word, grouped by ID.

    A word is found whole, whatever its case: fog is not in foggy or fog's, but in fog-bank. Accents count. The ID
    with most passages comes first; examples are of as many works as can be. Lines of jsonl are the IDs, json holds
    totals and works besides.
    """
    model = load_model(artifacts)
    chosen = model.pattern(pattern, **dict(_choice(text) for text in where or ()))
    found = model.word(word, chosen, limit=count, examples=examples, depth=depth)
    data = found.to_mapping()
    show(data["groups"] if chosen_format(format_) is Format.JSONL else data, format_, lambda: _drawn(found))


def _choice(text: str) -> tuple[str, str]:
    level, equals, name = text.partition("=")
    if not (level.strip() and equals and name.strip()):
        raise WrongUsageError(f"--where is {text!r}; expected LEVEL=NAME, such as style=satirical.")
    return level.strip(), name.strip()


def _drawn(found: WordFound) -> Iterator[RenderableType]:
    where = f" of {found.pattern}" if found.pattern else ""
    yield f"{found.word}: {found.total:,} of {found.searched:,} passages{where}, in {found.ids:,} IDs"
    if not found.groups:
        return
    yield ""
    headings = ("ID", "passages", "work")
    beside = [
        cells
        for group in found.groups
        for cells in ((group.id, f"{group.passages:,}", ""), *(("", "", _work(each)) for each in group.examples))
    ]
    room = room_for_text(headings, beside, least=32) - len(_INDENT) - 1
    table = new_table("ID", "passages", "in context", "work", numbers=("passages",))
    for group in found.groups:
        add_row(table, group.id, f"{group.passages:,}", ", ".join(group.names), "")
        for each in group.examples:
            add_row(table, "", "", _in_context(each, room), _work(each))
    yield table
    if found.ids > len(found.groups):
        yield f"… and {found.ids - len(found.groups):,} more IDs (-n {found.ids} shows all)"
    yield ""
    yield from _works(found)


def _works(found: WordFound) -> Iterator[RenderableType]:
    table = new_table("ID", "passages", "title", "author", "corpus", numbers=("passages",))
    for work in found.works:
        add_row(table, work["id"], f"{work['passages']:,}", work["title"], work["author"], work["corpus"])
    yield table


def _work(passage: Passage) -> str:
    return shortened(passage.title or passage.corpus, _TITLE)


def _in_context(passage: Passage, characters: int) -> str:
    """The first place of the word with what stands around it, on one line, the word in brackets."""
    if passage.text is None or not passage.places:
        return ""
    first, end = passage.places[0]
    found = f"[{' '.join(passage.text[first:end].split())}]"
    room = max(0, characters - len(found))
    before = _one_line(passage.text[max(0, first - _CONTEXT) : first])
    after = _one_line(passage.text[end : end + _CONTEXT])
    left = before if len(before) <= room // 2 else f"…{before[len(before) - room // 2 + 1 :]}"
    right = after if len(after) <= room - len(left) else f"{after[: max(0, room - len(left) - 1)]}…"
    return f"{_INDENT}{left}{found}{right}"


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text)
