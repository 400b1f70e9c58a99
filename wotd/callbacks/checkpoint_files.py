"""Files of checkpoints, whole or absent whenever the process ends, and the same to all processes."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from wotd import processes
from wotd.replacing import replacing


class WholeCheckpointFiles(TorchCheckpointIO):
    """Writes checkpoints beside their place; what is read there, the first process reads for all.

    Lightning writes them to the system's folder for temporary files, and what it then takes for a move is a copy
    where that lies on another disk: a process killed in its midst would leave half a checkpoint.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write a checkpoint; to an address of a store as Lightning does."""
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
        else:
            write_whole(checkpoint, Path(path))

    def load_checkpoint(self, path: Any, *args: Any, **options: Any) -> dict[str, Any]:
        """Read a checkpoint; of several processes all get that of the first, and all have to ask for it.

        Another host may have no such file, or that of an earlier time.
        """
        if processes.number() == 1:
            return super().load_checkpoint(path, *args, **options)
        content = processes.from_first(Path(path).read_bytes() if processes.rank() == 0 else b"")
        checkpoint: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        return checkpoint


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
