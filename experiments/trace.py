"""A callback that notes what a training run did step by step, for studies of time and steadiness.

Time is that of the CPU, of all threads and of compilers that were called, so that other work on the machine does not
count; with a GPU it is that of the clock on the wall.
"""

from __future__ import annotations

import resource
import time
from typing import Any, ClassVar, cast

import lightning
import torch
from lightning.pytorch.callbacks import Callback

from wotd.data.splits import VAL


def seconds_so_far() -> float:
    """What the clock shows: differences are what counts."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        return time.perf_counter()
    called = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + called.ru_utime + called.ru_stime


class Trace(Callback):
    """Losses and seconds of the run that ended last; added by an override, so they are kept with the class.

    Attributes:
        losses: training loss of each step, epoch by epoch.
        seconds: time of an epoch's steps, reading of batches included, validation and fits of codewords not.
        first_step: time of the very first step.
        whole: time from the first step to the end, all that training does included.
        start: ``val/loss`` before the first step.
        validation: ``val/loss`` after each epoch.
    """

    OVERRIDE = "+callbacks.trace._target_=experiments.trace.Trace"

    losses: ClassVar[list[list[float]]] = []
    seconds: ClassVar[list[float]] = []
    validation: ClassVar[list[float]] = []
    start: ClassVar[float] = float("nan")
    first_step: ClassVar[float] = float("nan")
    whole: ClassVar[float] = float("nan")

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Forget the run before; note where this one starts."""
        for each in (Trace.losses, Trace.seconds, Trace.validation):
            each.clear()
        module, data = cast(Any, pl_module), cast(Any, trainer).datamodule
        Trace.start = module.validation_loss(data.dataset(VAL))
        self.began = seconds_so_far()

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start the clock of the epoch."""
        del trainer, pl_module
        self.steps: list[torch.Tensor] = []
        self.started = seconds_so_far()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the loss; with the last batch, the epoch."""
        del pl_module, batch
        self.steps.append(outputs["loss"].detach())
        last = batch_idx + 1 == trainer.num_training_batches
        if trainer.global_step == 1 or last:
            now = seconds_so_far()
            if trainer.global_step == 1:
                Trace.first_step = now - self.started
            if last:
                Trace.seconds.append(now - self.started)
                Trace.losses.append(torch.stack(self.steps).tolist())

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Note the validation of the epoch."""
        del pl_module
        Trace.validation.append(float(trainer.callback_metrics["val/loss"]))

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Stop the clock of the whole."""
        del trainer, pl_module
        Trace.whole = seconds_so_far() - self.began
