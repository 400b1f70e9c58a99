"""``wotd push`` and ``wotd pull``: artifacts to and from the hub, buckets and other places."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wotd.cli.app import command
from wotd.cli.options import ArtifactsOption
from wotd.cli.tables import note


@command(
    "wotd push --artifacts A hf://user/name --private",
    "wotd push --artifacts A hf://user/name --revision v2 --without-texts",
    "wotd push --artifacts A s3://bucket/path",
)
def push(
    artifacts: ArtifactsOption,
    address: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="hf://user/name[/folder], s3://bucket/path or another URL.")
    ],
    revision: Annotated[
        str | None, typer.Option("--revision", metavar="BRANCH", help="Branch of the repository, made if need be.")
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Make the repository private; one that is public is refused.")
    ] = False,
    message: Annotated[
        str | None, typer.Option("--message", metavar="TEXT", help="What the commit says.", show_default=False)
    ] = None,
    without_texts: Annotated[
        bool, typer.Option("--without-texts", help="Leave the passages' texts out, as artifacts.texts=false would.")
    ] = False,
) -> None:
    """Put artifacts on a hub, in a bucket or elsewhere.

    All files are checked first. On the hub (HF_ENDPOINT, HF_TOKEN) they go in one commit into a repository that is
    made if there is none, with the model card as its README; elsewhere config.json goes last, so that nobody reads
    them by halves. Where they went is printed.
    """
    from wotd.hub import push as send

    place = send(artifacts, address, revision=revision, private=private, message=message, texts=not without_texts)
    typer.echo(place)


@command(
    "wotd pull hf://user/name@v2 --output A",
    "wotd pull s3://bucket/path --output A",
)
def pull(
    address: Annotated[
        str,
        typer.Argument(metavar="ADDRESS", help="hf://user/name[/folder][@revision], s3://bucket/path or another URL."),
    ],
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="The artifact folder to write.")],
) -> None:
    """Fetch artifacts into a folder.

    The folder is complete or absent, and what is not as its checksum says is refused. To use them there is no need of
    a copy: --artifacts of every command takes the same addresses.
    """
    from wotd.hub import pull as fetch

    fetch(address, output)
    note(f"artifacts of {address} in {output}")
