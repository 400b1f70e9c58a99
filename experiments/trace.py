"""A callback that notes what a training run did step by step, for studies of time and steadiness."""

from __future__ import annotations

import time
from typing import Any, ClassVar, cast

import lightning
import torch
from lightning.pytorch.callbacks import Callback

from wotd.data.splits import VAL


class Trace(Callback):
    """Losses and seconds of the run that ended last; added by an override, so they are kept with the class.

    Attributes:
        losses: training loss of each step, epoch by epoch.
        seconds: wall time of an epoch's steps, reading of batches included, validation and fits of codewords not.
        first_step: wall time of the very first step.
        start: ``val/loss`` before the first step.
        validation: ``val/loss`` after each epoch.
    """

    OVERRIDE = "+callbacks.trace._target_=experiments.trace.Trace"

    losses: ClassVar[list[list[float]]] = []
    seconds: ClassVar[list[float]] = []
    validation: ClassVar[list[float]] = []
    start: ClassVar[float] = float("nan")
    first_step: ClassVar[float] = float("nan")

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Forget the run before; note where this one starts."""
        for each in (Trace.losses, Trace.seconds, Trace.validation):
            each.clear()
        module, data = cast(Any, pl_module), cast(Any, trainer).datamodule
        Trace.start = module.validation_loss(data.dataset(VAL))

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start the clock of the epoch."""
        del trainer, pl_module
        self.steps: list[torch.Tensor] = []
        self.started = time.perf_counter()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the loss; with the last batch, the epoch."""
        del pl_module, batch
        self.steps.append(outputs["loss"].detach())
        last = batch_idx + 1 == trainer.num_training_batches
        if trainer.global_step == 1 or last:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            now = time.perf_counter()
            if trainer.global_step == 1:
                Trace.first_step = now - self.started
            if last:
                Trace.seconds.append(now - self.started)
                Trace.losses.append(torch.stack(self.steps).tolist())

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Note the validation of the epoch."""
        del pl_module
        Trace.validation.append(float(trainer.callback_metrics["val/loss"]))
