"""Codewords fitted anew, in closed form, at the end of each epoch."""

from __future__ import annotations

from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.trainer.states import TrainerFn

from wotd.data.splits import TRAIN, VAL
from wotd.errors import ConfigurationError


class CodewordRefit(Callback):
    """Before each validation of a fit, lets codewords and calibration follow what the encoder has learned.

    Between two fits codewords stand still and the encoder learns by gradient. The checkpoint that is
    judged by a validation therefore holds codewords that fit its encoder.
    """

    def __init__(self, every_n_epochs: int = 1) -> None:
        """Fit anew at every so many epochs' end."""
        if every_n_epochs < 1:
            raise ConfigurationError(
                f"callbacks.codeword_refit.every_n_epochs is {every_n_epochs}; expected 1 or more."
            )
        self.every_n_epochs = every_n_epochs

    def on_validation_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Fit; all processes do so on the same rows."""
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
            return
        if (trainer.current_epoch + 1) % self.every_n_epochs:
            return
        module: Any = pl_module
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        module.refit(data.dataset(TRAIN), data.dataset(VAL))
