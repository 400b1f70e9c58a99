"""``wotd cache``: what embeddings are kept on this machine, and whether they are sound."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wotd.cli.app import app, command
from wotd.cli.options import FormatOption
from wotd.cli.tables import add_row, new_table, print_line, show, size

if TYPE_CHECKING:
    from rich.console import RenderableType

cache_app = typer.Typer(rich_markup_mode=None)
app.add_typer(cache_app, name="cache", help="List or verify the embeddings kept on this machine.")

DirOption = Annotated[
    Path | None,
    typer.Option("--dir", metavar="DIR", help="The cache; by default WOTD_CACHE, else the user's cache folder."),
]


@cache_app.callback(invoke_without_command=True)
def _cache(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@command("wotd cache list", "wotd cache list --format jsonl", group=cache_app, name="list")
def list_cache(folder: DirOption = None, format_: FormatOption = None) -> None:
    """List what is kept, a row for each embedding model.

    A model that is used in two ways (prompt, size, precision) has two rows.
    """
    from wotd.embeddings.cache import EmbeddingCache

    cache = EmbeddingCache(folder)
    kept = [
        {
            "model": each.fingerprint.model if each.fingerprint else None,
            "dimension": each.fingerprint.dimension if each.fingerprint else None,
            "texts": each.rows,
            "bytes": each.bytes,
            "fingerprint": each.fingerprint.digest if each.fingerprint else each.path.name,
            "path": str(each.path),
        }
        for each in cache.folders()
    ]

    def draw() -> Iterator[RenderableType]:
        if not kept:
            yield f"{cache.root} keeps no embeddings yet"
            return
        table = new_table("model", "dimension", "texts", "size", "folder", numbers=("dimension", "texts", "size"))
        for each in kept:
            add_row(
                table,
                each["model"],
                each["dimension"],
                f"{each['texts']:,}",
                size(int(each["bytes"] or 0)),
                each["path"],
            )
        yield table

    show(kept, format_, draw)


@command("wotd cache verify", group=cache_app)
def verify(folder: DirOption = None) -> None:
    """Compare every file of the cache with its checksum.

    Damaged files are moved aside and named, and the exit status is 1. Their texts are embedded again when they
    are next asked for.
    """
    from wotd.embeddings.cache import EmbeddingCache

    cache = EmbeddingCache(folder)
    damaged = cache.verify()
    for path in damaged:
        print_line(f"damaged, moved aside: {path}")
    texts = sum(each.rows for each in cache.folders())
    print_line(f"{cache.root}: {texts:,} texts sound, {len(damaged)} damaged files")
    if damaged:
        raise typer.Exit(1)
