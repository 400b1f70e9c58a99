"""The learning rate as a scalar."""

from __future__ import annotations

from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

from wotd.module import step_is_logged


class LearningRate(Callback):
    """Logs ``train/learning_rate`` as the optimizer holds it, whoever set it; stands after who sets it."""

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Log the rate of the step to come, if the trainer logs it."""
        del batch, batch_idx
        if step_is_logged(trainer):
            pl_module.log("train/learning_rate", float(trainer.optimizers[0].param_groups[0]["lr"]))
