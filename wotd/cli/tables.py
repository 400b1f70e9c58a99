"""What commands print: tables for people, JSON for programs.

In a pipe a table has no colours and as much width as it needs; on a terminal long cells are folded,
never cut, but for texts, which are shortened on purpose.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

_WIDE = 10_000
_TEXT_CHARACTERS = 72
_GAP = 2


class Format(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSONL = "jsonl"
    JSON = "json"


def chosen_format(wanted: Format | None) -> Format:
    """The format asked for; else a table where a person looks, lines where a program reads."""
    return wanted or (Format.TABLE if sys.stdout.isatty() else Format.JSONL)


def show(
    data: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    wanted: Format | None,
    draw: Callable[[], Iterable[RenderableType]],
) -> None:
    """Print one object, or a list of them, in the format asked for.

    Args:
        data: what JSON carries.
        wanted: the format, None for the default.
        draw: what a person sees instead.
    """
    match chosen_format(wanted):
        case Format.TABLE:
            print_parts(draw())
        case Format.JSONL:
            for entry in [data] if isinstance(data, Mapping) else data:
                print_line(json_line(entry))
        case Format.JSON:
            print_line(json.dumps(_json_ready(data), ensure_ascii=False, indent=2))


def print_parts(parts: Iterable[RenderableType]) -> None:
    """Tables and sentences on stdout; in a pipe without the blanks that fill up the last column."""
    screen = console()
    for part in parts:
        if screen.is_terminal:
            screen.print(part)
            continue
        with screen.capture() as captured:
            screen.print(part)
        for line in captured.get().splitlines():
            print_line(line.rstrip())


def print_line(line: str) -> None:
    """One line on stdout."""
    sys.stdout.write(f"{line}\n")


def json_line(data: Any) -> str:
    """Data as JSON on one line; what is no number (NaN, infinity) becomes null."""
    return json.dumps(_json_ready(data), ensure_ascii=False)


def _json_ready(data: Any) -> Any:
    if data is None or isinstance(data, str | bool | int):
        return data
    if isinstance(data, float):
        return data if abs(data) < float("inf") else None  # false for NaN too
    if isinstance(data, Mapping):
        return {str(key): _json_ready(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_json_ready(value) for value in data]
    return data.hex() if isinstance(data, bytes) else str(data)  # dates and decimals of a Parquet file


def console() -> Console:
    """Where tables go; made for each use, since stdout and the width of a terminal change."""
    from rich.console import Console

    free = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(width=_WIDE if free else None, markup=False, emoji=False, highlight=False)


def new_table(*columns: str, numbers: Sequence[str] = (), ids: Sequence[str] = ("ID",)) -> Table:
    """An empty table whose long cells fold.

    Args:
        columns: the headings.
        numbers: those of them whose cells stand on the right; never folded.
        ids: those of them whose cells are to be copied; never folded.
    """
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for name in columns:
        table.add_column(
            name,
            justify="right" if name in numbers else "left",
            no_wrap=name in ids or name in numbers,
            overflow="fold",
            style="cyan" if name in ids else None,
        )
    return table


def add_row(table: Table, *cells: Any) -> None:
    """Add a row as it is: brackets in a text are no markup, and nothing in it can steer a terminal."""
    from rich.text import Text

    table.add_row(*(Text(_printable(cell)) for cell in cells))


def shortened(text: str, characters: int = _TEXT_CHARACTERS) -> str:
    """The beginning of a text on one line."""
    line = " ".join(text[: 20 * characters].split())
    return line if len(line) <= characters else f"{line[: characters - 1].rstrip()}…"


def room_for_text(headings: Sequence[str], rows: Sequence[Sequence[Any]], least: int = 12) -> int:
    """How many characters of a text have room beside these cells, so that a row stays on one line."""
    widths = [max(len(str(cell)) for cell in column) for column in zip(headings, *rows, strict=True)]
    return max(least, min(_TEXT_CHARACTERS, console().width - sum(widths) - _GAP * len(widths)))


def number(value: float | None, digits: int = 3) -> str:
    """A measured number for people; a dash where nothing was measured."""
    return "–" if value is None or value != value else f"{value:,.{digits}f}"


def size(count: int) -> str:
    """Bytes for people."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def note(sentence: str) -> None:
    """Tell a person who watches what was done; programs are left alone."""
    if sys.stderr is not None and sys.stderr.isatty():
        sys.stderr.write(f"{sentence}\n")


def _printable(cell: Any) -> str:
    text = "–" if cell is None else str(cell)
    return text if text.isprintable() else "".join(c if c.isprintable() or c == "\n" else " " for c in text)
