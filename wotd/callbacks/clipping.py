"""Gradient clipping that says what it clipped."""

from __future__ import annotations

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch.optim import Optimizer

from wotd.errors import ConfigurationError
from wotd.module import step_is_logged


class GradientClipping(Callback):
    """Scales the gradients down to a total norm of at most ``max_norm``.

    Logs ``train/gradient_norm`` before and ``train/gradient_norm_clipped`` after, in the steps that
    the trainer logs.
    """

    def __init__(self, max_norm: float = 1.0) -> None:
        """Clip to this Euclidean norm over all parameters together."""
        if not max_norm > 0:
            raise ConfigurationError(f"callbacks.gradient_clipping.max_norm is {max_norm}; expected more than 0.")
        self.max_norm = float(max_norm)

    def on_before_optimizer_step(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, optimizer: Optimizer
    ) -> None:
        """Clip what the step is about to use; gradients are unscaled by now."""
        del optimizer
        norm = torch.nn.utils.clip_grad_norm_(pl_module.parameters(), self.max_norm)
        if step_is_logged(trainer):
            pl_module.log("train/gradient_norm", norm)
            pl_module.log("train/gradient_norm_clipped", norm.clamp(max=self.max_norm))
