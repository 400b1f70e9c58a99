"""Stopping in good order when a signal asks for it."""

from __future__ import annotations

import logging
import signal
import threading
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback

logger = logging.getLogger(__name__)

_BATCHES_APART = 8
"""Processes of a distributed run ask each other after so many batches."""


class StopAfterBatch(Callback):
    """Ends training after the batch at hand when SIGTERM or Ctrl-C comes; a second Ctrl-C ends it at once.

    In the middle of a batch an exception would leave weights and counters that do not belong
    together. In a distributed run all processes stop after the same batch, whichever of them was
    signalled. Lightning's own handler talks to the other processes from within, while they are in
    the middle of something else, and may wait for ever.

    Attributes:
        received: the signal, where one came to this process or, in a distributed run, to another.
    """

    def __init__(self) -> None:
        """Listen from the start of training; before that, whoever listened before does."""
        self.received: signal.Signals | None = None
        self._before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Take Lightning's place as the one who listens."""
        del trainer, pl_module
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._receive)
            if self._before[signal.SIGINT] is signal.default_int_handler:
                signal.signal(signal.SIGINT, self._receive)

    def release(self) -> None:
        """Give the signals back to whoever listened before, which Lightning omits if an error meets another."""
        if threading.current_thread() is threading.main_thread():
            for signum, handler in self._before.items():
                signal.signal(signum, handler)

    def _receive(self, signum: int, frame: object) -> None:
        del frame
        self.received = self.received or signal.Signals(signum)
        if signum == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            logger.info("stopping after this batch; Ctrl-C again stops at once")

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Let Lightning raise at the end of this batch, in all processes, if a signal came to one."""
        del outputs, batch
        if trainer.world_size > 1:
            if (batch_idx + 1) % _BATCHES_APART and batch_idx + 1 != trainer.num_training_batches:
                return
            number = torch.tensor(int(self.received or 0), device=pl_module.device)
            torch.distributed.all_reduce(number, torch.distributed.ReduceOp.MAX)
            self.received = signal.Signals(int(number)) if int(number) else None
        if self.received:
            trainer._signal_connector.received_sigterm = True  # what its handler would have set
