"""``wotd align``: artifacts of a retrained model with the codes of earlier ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wotd.cli.app import command
from wotd.cli.options import ArtifactsOption, FormatOption
from wotd.cli.tables import add_row, new_table, number, show

if TYPE_CHECKING:
    from rich.console import RenderableType


@command(
    "wotd align --artifacts NEW --to OLD --output ALIGNED",
    "wotd align --artifacts NEW --to OLD --output ALIGNED --vectors X.npy",
)
def align(
    artifacts: ArtifactsOption,
    to: Annotated[str, typer.Option("--to", metavar="PLACE", help="Earlier artifacts, whose codes are kept to.")],
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="The artifact folder to write.")],
    vectors: Annotated[
        Path | None,
        typer.Option("--vectors", metavar="FILE", help="Match by these N×D vectors, which both models read."),
    ] = None,
    format_: FormatOption = None,
) -> None:
    """Give a retrained model the codes of an earlier one.

    Codes of levels that labels did not teach are renamed, one to one within each level, in the encoder, the IDs
    and the passages; nothing else changes. They are matched by the passages that both artifacts hold, or by
    --vectors of the embedding model of both. Printed is how many of these change their code, before and after.
    """
    from wotd.alignment import align_artifacts
    from wotd.cli.matrices import open_rows
    from wotd.hub import open_artifacts

    new, earlier = open_artifacts(artifacts), open_artifacts(to)
    vectors_ND = None if vectors is None else open_rows(vectors, new)
    done = align_artifacts(new, earlier, output, vectors_ND).to_mapping()
    show({"artifacts": str(output), **done}, format_, lambda: _drawn(done))


def _drawn(done: dict[str, Any]) -> Iterator[RenderableType]:
    yield f"{done['passages']:,} {done['matched_by']} in common; share whose code differs"
    yield ""
    before, after = done["churn"]["before"], done["churn"]["after"]
    headings = ("level", "renamed", "as trained", "named alike", "to this level, as trained", "to this level, alike")
    table = new_table(*headings, numbers=headings[1:], ids=())
    columns = (before["per_level"], after["per_level"], before["per_prefix"], after["per_prefix"])
    for level, (renamed, *shares) in enumerate(zip(done["renamed"], *columns, strict=True)):
        add_row(table, level, renamed, *(number(share) for share in shares))
    yield table
