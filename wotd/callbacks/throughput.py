"""How fast training goes."""

from __future__ import annotations

import time
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback


class Throughput(Callback):
    """Logs ``train/rows_per_second``, of all processes together, over the steps since it was logged last.

    Waiting for data counts, validation does not.
    """

    def __init__(self) -> None:
        """Count nothing yet."""
        self._rows, self._seconds, self._since = 0, 0.0, 0.0

    def _lap(self) -> float:
        """Seconds since the last call."""
        now = time.perf_counter()
        seconds, self._since = now - self._since, now
        return seconds

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start the clock."""
        del trainer, pl_module
        self._lap()

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Leave out what validation took."""
        del trainer, pl_module
        self._lap()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the batch, and log what was counted where the trainer has logged its step."""
        del outputs, batch_idx
        self._seconds += self._lap()
        self._rows += len(batch.embeddings)
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every > 0 and trainer.global_step % every == 0:
            pl_module.log("train/rows_per_second", trainer.world_size * self._rows / max(self._seconds, 1e-9))
            self._rows, self._seconds = 0, 0.0
