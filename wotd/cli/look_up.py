"""``wotd describe``, ``wotd neighbors`` and ``wotd browse``: what an ID means and what bears it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wotd.cli.app import command
from wotd.cli.options import (
    ArtifactsOption,
    BackendOption,
    DeviceOption,
    EmbeddingModelOption,
    FormatOption,
    PrecisionOption,
    TrustRemoteCodeOption,
    load_model,
)
from wotd.cli.tables import add_row, new_table, number, room_for_text, shortened, show

if TYPE_CHECKING:
    from rich.console import RenderableType

    from wotd.library import Neighbor

WorksOption = Annotated[
    int, typer.Option("--works", min=0, metavar="N", help="List at most that many works in a table.")
]


@command("wotd describe --artifacts A 2-3-5-1", "wotd describe --artifacts A 2-3 --format json")
def describe(
    artifacts: ArtifactsOption,
    semantic_id: Annotated[str, typer.Argument(metavar="ID", help="An ID such as 2-3-5-1, or a prefix of one.")],
    works: WorksOption = 20,
    format_: FormatOption = None,
) -> None:
    """Say what an ID or a prefix means, and what bears it."""
    described = load_model(artifacts).describe(semantic_id)

    def draw() -> Iterator[RenderableType]:
        table = new_table("level", "code", "name", ids=())
        for level in described["levels"]:
            add_row(table, level["level"], level["code"], level["name"])
        yield table
        yield ""
        yield _counted(described["passages"], described["works"])
        yield from _works(described["works"], works)

    show(described, format_, draw)


@command('wotd neighbors --artifacts A "the sea at night"', "wotd neighbors --artifacts A TEXT -k 3 --format jsonl")
def neighbors(
    artifacts: ArtifactsOption,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The text to compare with.")],
    k: Annotated[int, typer.Option("-k", "--count", min=1, metavar="N", help="How many passages.")] = 10,
    format_: FormatOption = None,
    device: DeviceOption = "cpu",
    embedding_model: EmbeddingModelOption = None,
    trust_remote_code: TrustRemoteCodeOption = False,
    backend: BackendOption = None,
    precision: PrecisionOption = None,
) -> None:
    """Find the stored passages nearest to a text.

    Near are passages whose codes decode to vectors near that of the text; those of one code are equally near.
    """
    found = load_model(
        artifacts, device, embedding_model, trust_remote_code, backend=backend, precision=precision
    ).neighbors(text, k)

    def draw() -> Iterator[RenderableType]:
        headings = ("distance", "ID", "work", "passage")
        cells = [(number(each.distance), each.id, _title(each), each.passage) for each in found]
        room = room_for_text(headings, cells, least=20)
        table = new_table(*headings, "text", numbers=("distance", "passage"))
        for each, beside in zip(found, cells, strict=True):
            add_row(table, *beside, None if each.text is None else shortened(each.text, room))
        yield table

    show([each.to_mapping() for each in found], format_, draw)


@command("wotd browse --artifacts A", "wotd browse --artifacts A 2-3", "wotd browse --artifacts A 2 --format json")
def browse(
    artifacts: ArtifactsOption,
    prefix: Annotated[str, typer.Argument(metavar="PREFIX", help="Where to look; the root if it is left out.")] = "",
    works: WorksOption = 20,
    format_: FormatOption = None,
) -> None:
    """Show what lies below a prefix, or below the root.

    Listed are the codes of the next level that occur, with the number of their passages, and the works.
    """
    branch = load_model(artifacts).browse(prefix)

    def draw() -> Iterator[RenderableType]:
        yield f"{branch.id} {', '.join(branch.names)}" if branch.id else "all IDs"
        yield ""
        if branch.children:
            table = new_table("ID", "name", "passages", numbers=("passages",))
            for child in branch.children:
                add_row(table, child["id"], child["name"], f"{child['passages']:,}")
            yield table
            yield ""
        yield _counted(branch.passages, branch.works)
        yield from _works(branch.works, works)

    show(branch.to_mapping(), format_, draw)


def _title(neighbor: Neighbor) -> str:
    title = neighbor.title or neighbor.corpus
    return f"{title} ({neighbor.author})" if neighbor.author else title


def _counted(passages: int, works: Sequence[Any]) -> str:
    return f"passages: {passages:,}, works: {len(works):,}"


def _works(works: Sequence[dict[str, Any]], limit: int) -> Iterator[RenderableType]:
    if not works[:limit]:
        return
    table = new_table("ID", "title", "author", "corpus")
    for work in works[:limit]:
        add_row(table, work["id"], work["title"], work["author"], work["corpus"])
    yield table
    if len(works) > limit:
        yield f"… and {len(works) - limit:,} more (--works {len(works)} lists all)"
