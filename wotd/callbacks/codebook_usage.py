"""Use of each codebook, counted over validation, logged each epoch."""

from __future__ import annotations

import logging
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from wotd.encoders import SemanticEncoder
from wotd.errors import ConfigurationError
from wotd.metrics.usage import CodebookUsage as CodebookUsageMetric

logger = logging.getLogger(__name__)


class CodebookUsage(Callback):
    """Logs ``val/level_{l}/perplexity``, ``usage`` and ``dead``, and warns of a level that collapses.

    Needs ``validation_step`` to return the codes of the batch, B×L.
    """

    def __init__(self, warn_below: float = 0.1) -> None:
        """Warn when a level's perplexity falls below this share of its codes."""
        if not 0 <= warn_below <= 1:
            raise ConfigurationError(f"callbacks.codebook_usage.warn_below is {warn_below}; expected 0 to 1.")
        self.warn_below = warn_below
        self._metric: CodebookUsageMetric | None = None

    def on_validation_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Begin to count anew."""
        del trainer
        self._metric = CodebookUsageMetric(_level_sizes(pl_module)).to(pl_module.device)

    def on_validation_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count the batch's codes."""
        del trainer, pl_module, batch, batch_idx, dataloader_idx
        if self._metric is not None and isinstance(outputs, Tensor):
            self._metric.update(outputs)

    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Log each level's use; computing sums the counts of all processes."""
        if self._metric is None:
            return
        usages = self._metric.compute()
        self._metric = None
        for level, (usage, size) in enumerate(zip(usages, _level_sizes(pl_module), strict=True)):
            values = {"perplexity": usage.perplexity, "usage": usage.usage, "dead": float(usage.dead)}
            pl_module.log_dict({f"val/level_{level}/{name}": value for name, value in values.items()}, sync_dist=True)
            if usage.perplexity < self.warn_below * size and not trainer.sanity_checking:
                logger.warning(
                    "level %d collapses: it uses %.1f of %d codes (perplexity), %d are dead",
                    level, usage.perplexity, size, usage.dead,
                )  # fmt: skip


def _level_sizes(pl_module: lightning.LightningModule) -> tuple[int, ...]:
    model = pl_module.model
    if not isinstance(model, SemanticEncoder):
        raise TypeError(f"codebook_usage needs a module whose model is a SemanticEncoder, not {type(model).__name__}")
    return model.level_sizes
