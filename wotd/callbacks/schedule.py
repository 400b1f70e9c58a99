"""Cosine learning rate with a linear warm-up, by step."""

from __future__ import annotations

import math
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

from wotd.errors import ConfigurationError


class CosineWarmup(Callback):
    """Raises the learning rate in a line to its peak, then lowers it along half a cosine to ``floor``.

    The rate is a function of the place in training alone, so a resumed run continues the same curve, with batches of
    another size or on other processes, too.
    """

    def __init__(self, warmup_fraction: float = 0.1, floor: float = 0.0) -> None:
        """Warm up for that fraction of all steps; end at ``floor`` times the peak."""
        if not 0 <= warmup_fraction < 1:
            raise ConfigurationError(
                f"callbacks.cosine_warmup.warmup_fraction is {warmup_fraction}; expected 0 or more and less than 1."
            )
        if not 0 <= floor <= 1:
            raise ConfigurationError(f"callbacks.cosine_warmup.floor is {floor}; expected 0 to 1.")
        self.warmup_fraction, self.floor = warmup_fraction, floor
        self._peaks: list[float] = []
        self._steps = 0

    def factor(self, step: int, steps: int) -> float:
        """The share of the peak rate at ``step`` (from 0) of ``steps``; the first step is above 0."""
        warmup = math.ceil(self.warmup_fraction * steps)
        if step < warmup:
            return (step + 1) / warmup
        progress = min(1.0, (step - warmup) / max(1, steps - warmup))
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * progress))

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Note how long the curve is and the peak of each parameter group, unless a checkpoint has brought it.

        Raises:
            ConfigurationError: if training has no end.
        """
        del pl_module
        if math.isinf(steps := trainer.estimated_stepping_batches):
            raise ConfigurationError(
                f"trainer.max_epochs is {trainer.max_epochs}, but the learning rate falls towards an end: set one, or "
                f"remove the curve with ~callbacks.cosine_warmup."
            )
        self._steps = int(steps)
        if not self._peaks:
            self._peaks = [float(group["lr"]) for group in trainer.optimizers[0].param_groups]

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Set the rate of the step to come."""
        del pl_module, batch
        factor = self.factor(_step(trainer, batch_idx), self._steps)
        for group, peak in zip(trainer.optimizers[0].param_groups, self._peaks, strict=True):
            group["lr"] = peak * factor

    def state_dict(self) -> dict[str, Any]:
        """The peaks: the optimizer's own state holds only the rate of the moment."""
        return {"peaks": list(self._peaks)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the peaks again."""
        self._peaks = [float(peak) for peak in state_dict["peaks"]]


def _step(trainer: lightning.Trainer, batch_idx: int) -> int:
    """How many steps of this size lead to a batch; those of the trainer may have been of another size."""
    if trainer.max_epochs in (None, -1) or math.isinf(trainer.num_training_batches):
        return trainer.global_step
    accumulated = trainer.accumulate_grad_batches
    return trainer.current_epoch * math.ceil(trainer.num_training_batches / accumulated) + batch_idx // accumulated
