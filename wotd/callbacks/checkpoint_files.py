"""Files of checkpoints, whole or absent whenever the process ends."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from wotd.replacing import replacing


class WholeCheckpointFiles(TorchCheckpointIO):
    """Writes checkpoints beside their place.

    Lightning writes them to the system's folder for temporary files, and what it then takes for a move is a copy
    where that lies on another disk: a process killed in its midst would leave half a checkpoint.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write a checkpoint; to an address of a store as Lightning does."""
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
        else:
            write_whole(checkpoint, Path(path))


def write_whole(checkpoint: Mapping[str, Any], path: Path) -> None:
    """Write a checkpoint to a file of this machine; its folder is made if need be.

    Raises:
        OSError: if the disk does not take it.
    """
    buffer = io.BytesIO()  # torch's own writer says of a full disk only that some check of its own failed
    torch.save(dict(checkpoint), buffer)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())
