"""Progress of training: a bar on a terminal, a line an epoch in a log."""

from __future__ import annotations

import logging
import sys
from typing import Any

import lightning
from lightning.pytorch.callbacks import RichProgressBar

logger = logging.getLogger(__name__)


class Progress(RichProgressBar):
    """Lightning's rich bar; where standard error is no terminal, one log line per epoch instead."""

    def __init__(self, refresh_rate: int = 10, leave: bool = False) -> None:
        """Redraw every ``refresh_rate`` batches; ``leave`` keeps a bar for every epoch."""
        self._interactive = sys.stderr.isatty() and refresh_rate > 0
        super().__init__(refresh_rate=refresh_rate if self._interactive else 0, leave=leave)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Close the epoch's bar, or say in a line how it went."""
        if self._interactive:
            super().on_train_epoch_end(trainer, pl_module)
            return
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        shown: list[Any] = [metrics.get("train/loss", float("nan")), metrics.get("val/loss", float("nan"))]
        logger.info("epoch %d: train/loss %.4f, val/loss %.4f", trainer.current_epoch, *shown)
