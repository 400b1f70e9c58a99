"""``wotd index``: a file that says which rows bear an ID, and which ID a row bears, however many there are."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wotd.cli.app import app, command
from wotd.cli.options import FormatOption
from wotd.cli.tables import add_row, new_table, note, show, size

if TYPE_CHECKING:
    from rich.console import RenderableType

index_app = typer.Typer(rich_markup_mode=None)
app.add_typer(index_app, name="index", help="Index the IDs of many rows, and look them up.")

IndexArgument = Annotated[Path, typer.Argument(metavar="INDEX", help="What wotd index build made.")]


@index_app.callback(invoke_without_command=True)
def _index(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@command(
    "wotd index build --input ids/ --output ids.arrow",
    "wotd index build --input ids/ --output ids.arrow --name-column id",
    "wotd index build --input outputs/books/artifacts --output passages.arrow --name-column corpus",
    group=index_app,
)
def build(
    input_: Annotated[
        Path,
        typer.Option(
            "--input",
            metavar="PATH",
            help="What wotd assign wrote, a Parquet file or a folder of them; the codes.npy of wotd encode; or an "
            "artifact folder, for its passages.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", metavar="FILE", help="The index; an older one is replaced.")],
    name_column: Annotated[
        str | None,
        typer.Option("--name-column", metavar="NAME", help="Column that says what a row is; the index keeps it."),
    ] = None,
    code_column: Annotated[
        str, typer.Option("--code-column", metavar="NAME", help="Column that holds the codes, as lists.")
    ] = "code",
) -> None:
    """Index the IDs of many rows, in one file that is mapped rather than read.

    Memory does not grow with the rows. The file is Arrow IPC. Rows without an ID are left out of it.
    """
    from wotd.id_index.building import build_id_index

    index = build_id_index(input_, output, code_column=code_column, name_column=name_column)
    note(f"{output}: {len(index):,} rows, {len(index.groups):,} distinct IDs, {size(output.stat().st_size)}")


@command(
    "wotd index browse ids.arrow",
    "wotd index browse ids.arrow 2-3",
    "wotd index browse ids.arrow '4-*-5' --items 100 --format jsonl",
    group=index_app,
)
def browse(
    index: IndexArgument,
    pattern: Annotated[
        str,
        typer.Argument(metavar="PATTERN", help="A prefix such as 2-3, or with * for any: 4-*-5; by default the root."),
    ] = "",
    items: Annotated[int, typer.Option("--items", min=0, metavar="N", help="List at most that many rows.")] = 20,
    format_: FormatOption = None,
) -> None:
    """Show the IDs below a prefix and the rows that bear them, or the rows that match a pattern."""
    from wotd.id_index import IDIndex
    from wotd.semantic_ids import IDPattern, SemanticID

    wanted, opened = IDPattern.parse(pattern), IDIndex.open(index)
    prefix = tuple(each for each in wanted.indices if each is not None)
    children = opened.children(SemanticID(prefix)) if len(prefix) == len(wanted) else []
    count = opened.count(wanted)
    listed = [opened.item(int(each)) for each in islice(chain.from_iterable(opened.matching(wanted)), items)]
    found: dict[str, Any] = {
        "id": str(wanted),
        "count": count,
        "children": [{"id": str(child), "count": rows} for child, rows in children],
        "items": [item.to_mapping() for item in listed],
    }

    def draw() -> Iterator[RenderableType]:
        yield f"{wanted}" if len(wanted) else "all IDs"
        yield ""
        if children:
            table = new_table("ID", "rows", numbers=("rows",))
            for child, rows in children:
                add_row(table, child, f"{rows:,}")
            yield table
            yield ""
        yield f"rows: {count:,}"
        if listed:
            yield _listed(found["items"])
        if 0 < items < count:
            yield f"… and {count - items:,} more (--items {count} lists all)"

    show(found, format_, draw)


@command("wotd index item ids.arrow 12345", group=index_app)
def item(
    index: IndexArgument,
    numbers: Annotated[list[int], typer.Argument(metavar="NUMBER", help="Rows, counted over all files from 0.")],
    format_: FormatOption = None,
) -> None:
    """Say what ID a row bears, and which row of which file it is."""
    from wotd.id_index import IDIndex

    opened = IDIndex.open(index)
    found = [opened.item(number).to_mapping() for number in numbers]
    show(found, format_, lambda: [_listed(found)])


def _listed(items: list[dict[str, Any]]) -> RenderableType:
    named = ["name"] if any(each["name"] is not None for each in items) else []
    table = new_table("ID", *named, "row", "file", numbers=("row",))
    for each in items:
        add_row(table, each["id"], *(each[column] for column in named), each["row"], each["source"])
    return table
