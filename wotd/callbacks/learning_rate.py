"""The learning rate as a scalar."""

from __future__ import annotations

from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback


class LearningRate(Callback):
    """Logs ``train/learning_rate`` as the optimizer holds it, whoever set it."""

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Log the rate of the step just taken, at the trainer's logging interval."""
        del outputs, batch
        if batch_idx % max(1, trainer.log_every_n_steps) == 0:  # type: ignore[attr-defined]
            pl_module.log("train/learning_rate", float(trainer.optimizers[0].param_groups[0]["lr"]))
