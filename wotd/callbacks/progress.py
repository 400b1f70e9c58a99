"""Progress of training: a line an epoch, and a bar where somebody watches."""

from __future__ import annotations

import logging

import lightning
from lightning.pytorch.callbacks import RichProgressBar
from rich import get_console

from wotd.progress import shown

logger = logging.getLogger(__name__)


class Progress(RichProgressBar):
    """Lightning's rich bar with a line per epoch above it; in a log the lines alone."""

    def __init__(self, refresh_rate: int = 10) -> None:
        """Redraw every ``refresh_rate`` batches; 0 draws no bar."""
        self._bar = shown() and refresh_rate > 0
        super().__init__(refresh_rate=refresh_rate if self._bar else 0, console_kwargs={"stderr": True})

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Say in a line how the epoch went."""
        super().on_train_epoch_end(trainer, pl_module)
        losses = [
            f"{name} {float(trainer.callback_metrics[name]):.4f}"
            for name in ("train/loss", "val/loss")
            if name in trainer.callback_metrics
        ]
        line = f"epoch {trainer.current_epoch + 1} of {trainer.max_epochs}: {', '.join(losses)}"
        if self._bar:
            get_console().print(line, highlight=False)  # the bar's own console, which keeps the bar below it
        else:
            logger.info("%s", line)
