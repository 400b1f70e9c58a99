"""The checkpoint that a run goes on from."""

from __future__ import annotations

import logging
from typing import Any

import lightning
from lightning.pytorch.callbacks import ModelCheckpoint

from wotd.data.batches import ResumableLoader
from wotd.errors import ConfigurationError

logger = logging.getLogger(__name__)


class LastCheckpoint(ModelCheckpoint):
    """Keeps ``last.ckpt``: after each epoch, after every so many steps within one, and where a signal stops the run.

    An error leaves it as it was: weights, counters and the place in the data belong together after a batch, and not
    in the midst of one.
    """

    def __init__(self, every_n_steps: int = 2000, **options: Any) -> None:
        """Save every so many steps; the rest is Lightning's, as ``ModelCheckpoint`` takes it."""
        if every_n_steps < 1:
            raise ConfigurationError(f"callbacks.last_checkpoint.every_n_steps is {every_n_steps}; expected 1 or more.")
        super().__init__(**{"filename": "last", "enable_version_counter": False, **options})
        self.every_n_steps = every_n_steps

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if it is time; the last batch of an epoch is left to the epoch's end."""
        del pl_module, outputs, batch, batch_idx
        due = trainer.global_step % self.every_n_steps == 0 and trainer.global_step != self._last_global_step_saved
        if due and not trainer.is_last_batch and not self._should_skip_saving_checkpoint(trainer):
            self._save(trainer)

    def on_load_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Count the epoch's batches as this run has them: of another size, or shared out over other processes."""
        del pl_module
        loop, data = checkpoint.get("loops", {}).get("fit_loop", {}), trainer.datamodule  # type: ignore[attr-defined]
        places = loop.get("state_dict", {}).get("combined_loader", [])
        loader = data.train_dataloader() if data is not None and places else None
        if not isinstance(loader, ResumableLoader):
            return
        place = places[0]
        given = loader.sampler.given_of(place)
        if given == place["given"]:
            return
        logger.info(
            "epoch %d goes on after %d batches, which hold what %d of the checkpoint's held",
            *(place["epoch"] + 1, given, place["given"]),
        )
        current = loop["epoch_loop.batch_progress"]["current"]
        for name in current:
            current[name] += given - place["given"]

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        """Save where a signal ended training after a batch."""
        del pl_module
        if isinstance(exception, SystemExit) and trainer.global_step != self._last_global_step_saved:
            self._save(trainer)

    def _save(self, trainer: lightning.Trainer) -> None:
        self._save_topk_checkpoint(trainer, self._monitor_candidates(trainer))
