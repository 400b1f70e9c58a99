"""``wotd cache``: what embeddings are kept on this machine, whether they are sound, what may go, and a way out."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wotd.cli.app import WrongUsageError, app, command
from wotd.cli.inputs import file_source
from wotd.cli.options import FormatOption, TextColumnOption
from wotd.cli.tables import add_row, new_table, note, print_line, show, size
from wotd.errors import InputError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from wotd.embeddings.cache import EmbeddingCache
    from wotd.embeddings.cache_record import CacheFolder

cache_app = typer.Typer(rich_markup_mode=None)
app.add_typer(
    cache_app,
    name="cache",
    help="List, verify, prune or export the embeddings that are kept.",
)

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text)
    if not found:
        raise typer.BadParameter(f"{text!r} is no span of time; expected such as 30d, 12h or 2w")
    return float(found[1]) * _SECONDS[found[2]]


def _bytes(text: str) -> int:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*((?:[kmgt]i?)?)b?", text.lower())
    if not found:
        raise typer.BadParameter(f"{text!r} is no size; expected such as 20GB, 500MiB or 0")
    return int(float(found[1]) * _BYTES[found[2]])


ModelOption = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", help="What this model made: its name as wotd cache list shows it."),
]
FingerprintOption = Annotated[
    str | None, typer.Option("--fingerprint", metavar="HEX", help="What the fingerprint made that begins so.")
]
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

    A model that is used in two ways (prompt, size, precision) has two rows. "used" is the day when texts were last
    looked up or added.
    """
    from wotd.embeddings.cache import EmbeddingCache

    cache = EmbeddingCache(folder)
    kept: list[dict[str, Any]] = [
        {
            "model": each.fingerprint.model if each.fingerprint else None,
            "computed_by": each.fingerprint.arithmetic if each.fingerprint else None,
            "prompt": each.fingerprint.prompt if each.fingerprint else None,
            "truncate_dim": each.fingerprint.truncate_dim if each.fingerprint else None,
            "dimension": each.fingerprint.dimension if each.fingerprint else None,
            "texts": each.rows,
            "bytes": each.bytes,
            "used": datetime.fromtimestamp(each.used, UTC).isoformat(timespec="seconds"),
            "fingerprint": each.fingerprint.digest if each.fingerprint else each.path.name,
            "path": str(each.path),
        }
        for each in cache.folders()
    ]

    def draw() -> Iterator[RenderableType]:
        if not kept:
            yield f"{cache.root} keeps no embeddings yet"
            return
        numbers = ("dimension", "texts", "size")
        table = new_table("model", "computed by", *numbers, "used", "folder", numbers=numbers)
        for each in kept:
            day, texts = each["used"].partition("T")[0], f"{each['texts']:,}"
            add_row(
                table,
                each["model"],
                each["computed_by"],
                each["dimension"],
                texts,
                size(each["bytes"]),
                day,
                each["path"],
            )
        yield table

    show(kept, format_, draw)


@command("wotd cache verify", group=cache_app)
def verify(folder: DirOption = None) -> None:
    """Compare every file of the cache with its checksum.

    Damaged files are moved aside and named, and the exit status is 1. Their texts are embedded again when they
    are next asked for; wotd cache prune --damaged deletes what was moved aside.
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


@command(
    "wotd cache prune --model minilm --dry-run",
    "wotd cache prune --older-than 30d",
    "wotd cache prune --keep-bytes 20GB",
    "wotd cache prune --damaged",
    group=cache_app,
)
def prune(
    model: ModelOption = None,
    fingerprint: FingerprintOption = None,
    older_than: Annotated[
        float | None,
        typer.Option(
            parser=_seconds, metavar="SPAN", help="What was not used for so long: 30d, 12h.", show_default=False
        ),
    ] = None,
    unreadable: Annotated[
        bool, typer.Option("--unreadable", help="What does not say what made it, such as folders of earlier versions.")
    ] = False,
    keep_bytes: Annotated[
        int | None,
        typer.Option(
            parser=_bytes,
            metavar="SIZE",
            help="The longest unused first, until no more than this is left: 20GB, 500MiB.",
            show_default=False,
        ),
    ] = None,
    damaged: Annotated[bool, typer.Option("--damaged", help="Files that were moved aside as damaged.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and keep it.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask on a terminal.")] = False,
    folder: DirOption = None,
) -> None:
    """Forget embeddings, and say how much room that makes.

    Options narrow each other down: --model minilm --older-than 30d forgets what MiniLM made and nobody used for
    30 days. --damaged alone deletes damaged files, which are of no use to anyone. What a process is adding to just
    now is kept.
    """
    from wotd.embeddings.cache import EmbeddingCache
    from wotd.embeddings.upkeep import disposable, remove_remains

    wishes = (model, fingerprint, older_than, keep_bytes, unreadable or None)
    if damaged == any(wish is not None for wish in wishes):
        raise WrongUsageError(
            "say what to prune: --damaged, or some of --model, --fingerprint, --older-than, --unreadable, --keep-bytes."
        )
    cache = EmbeddingCache(folder)
    found = _selected(cache, model, fingerprint)
    going: list[CacheFolder | Path]
    if damaged:
        going = [path for each in found for path in each.damaged]
    else:
        going = [*disposable(found, unused_seconds=older_than or 0, unreadable=unreadable, keep_bytes=keep_bytes)]
    if going and not (dry_run or yes) and _a_person_watches():
        for each in going:
            note(_described(each))
        typer.confirm("Remove this?", abort=True, err=True)
    if not dry_run:
        remove_remains(cache.root)
    freed = sum(_forecast(each) if dry_run else _removed(each) for each in going)
    print_line(f"{cache.root}: {size(freed)} {'would be freed' if dry_run else 'freed'}")


def _a_person_watches() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _selected(cache: EmbeddingCache, model: str | None, fingerprint: str | None) -> list[CacheFolder]:
    """The folders of a model and a fingerprint, as far as they are named; at least one, if any is.

    Raises:
        InputError: if there is none of that name.
    """
    from wotd.embeddings.registry import MODELS

    folders = cache.folders()
    if model is not None:
        names = {model, MODELS[model].repository if model in MODELS else model}
        folders = [each for each in folders if each.fingerprint and each.fingerprint.model in names]
    if fingerprint is not None:
        folders = [each for each in folders if each.digest.startswith(fingerprint.lower())]
    wishes = {"--model": model, "--fingerprint": fingerprint}
    if not folders and (said := [f"{name} {wish}" for name, wish in wishes.items() if wish is not None]):
        raise InputError(f"{cache.root} keeps nothing of {' and '.join(said)}; wotd cache list shows what it keeps.")
    return folders


def _described(going: CacheFolder | Path) -> str:
    if isinstance(going, Path):
        return str(going)
    model = going.fingerprint.model if going.fingerprint else "unknown model"
    return f"{going.path} ({model}, {going.rows:,} texts, {size(going.bytes)})"


def _forecast(going: CacheFolder | Path) -> int:
    print_line(f"would go: {_described(going)}")
    return going.stat().st_size if isinstance(going, Path) else going.bytes


def _removed(going: CacheFolder | Path) -> int:
    """Remove it and say so; how many bytes that freed."""
    from wotd.embeddings.upkeep import remove, remove_file

    if isinstance(going, Path):
        freed = remove_file(going)
    elif remove(going):
        freed = going.bytes
    else:
        print_line(f"kept, for a process is adding to it: {_described(going)}")
        return 0
    print_line(f"removed: {_described(going)}")
    return freed


@command(
    "wotd cache export --model minilm --output all.parquet",
    "wotd cache export --fingerprint 3fa9 --input texts.jsonl --output some.npy",
    group=cache_app,
)
def export(
    output: Annotated[
        Path, typer.Option("--output", metavar="FILE", help="The vectors: .npy, N×D; .parquet, with text_sha256.")
    ],
    model: ModelOption = None,
    fingerprint: FingerprintOption = None,
    input_: Annotated[
        Path | None,
        typer.Option("--input", metavar="FILE", help="Only these texts, in their order: .jsonl, .txt, .csv, .parquet."),
    ] = None,
    text_column: TextColumnOption = "text",
    folder: DirOption = None,
) -> None:
    """Take vectors out of the cache; no model is needed.

    The cache holds no texts, only their SHA-256 (as UTF-8), by which rows of a .parquet are matched; a .npy of all
    has the numbers alone, in no order that means anything.
    """
    from wotd.cli.cached_vectors import all_vectors, vectors_of
    from wotd.cli.matrices import write_matrix
    from wotd.cli.outputs import check_output
    from wotd.cli.vector_tables import VectorTable, write_vectors
    from wotd.embeddings.cache import EmbeddingCache
    from wotd.embeddings.upkeep import opened

    target = check_output(output, (".npy", ".parquet"))
    if model is None and fingerprint is None:
        raise WrongUsageError("say of which model: --model or --fingerprint; wotd cache list shows them.")
    found = _selected(EmbeddingCache(folder), model, fingerprint)
    if len(found) > 1:
        choice = ", ".join(each.digest[:8] for each in found)
        raise WrongUsageError(f"several fingerprints fit, choose one by --fingerprint: {choice}.")
    shards = opened(found[0])
    source = None if input_ is None else file_source(input_, text_column)
    count, parts = all_vectors(shards) if source is None else vectors_of(source, shards)
    if not count:
        raise InputError(f"{found[0].path if input_ is None else input_} holds no texts; expected at least one.")
    if target.suffix.lower() == ".npy":
        write_matrix(target, (count, shards.dimension), "float32", (part.vectors for part in parts), None)
    else:
        about = {"wotd.fingerprint": found[0].fingerprint.to_mapping()} if found[0].fingerprint else {}
        write_vectors(target, VectorTable(shards.dimension, "float32", None, False, about), parts)
    note(f"{count:,} vectors of length {shards.dimension} in {output}")
