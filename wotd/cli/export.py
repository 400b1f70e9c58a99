"""``wotd export``: artifacts of a training checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wotd.cli.app import command
from wotd.cli.tables import note
from wotd.errors import InputError


@command("wotd export --checkpoint outputs/minilm/RUN/checkpoints/last.ckpt --output A")
def export(
    checkpoint: Annotated[Path, typer.Option("--checkpoint", metavar="FILE", help="A checkpoint of a training run.")],
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="The artifact folder to write.")],
) -> None:
    """Make artifacts of a training checkpoint.

    For runs that were stopped, or to use another epoch than the best. The artifacts encode and decode as those
    of the run would, with the same confidences and the same domain, but name no works, hold no passages and have
    no model card. Of a run with artifacts.align_to, their codes are numbered as trained: align them with
    wotd align --vectors.
    """
    folder = output.expanduser()
    if folder.exists() and not (folder / "config.json").is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"--output is {output}, which is not empty and holds no artifacts; it is left as it is.")
    from wotd.pipeline import export_checkpoint

    export_checkpoint(checkpoint, folder)
    note(f"artifacts of {checkpoint} in {output}")
