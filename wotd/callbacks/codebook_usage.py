"""Use of each codebook, counted over validation, logged each epoch."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from wotd.callbacks.boards import boards_of, last_step
from wotd.encoders import SemanticEncoder
from wotd.errors import ConfigurationError
from wotd.metrics.usage import CodebookUsage as CodebookUsageMetric
from wotd.metrics.usage import level_usage

logger = logging.getLogger(__name__)


class CodebookUsage(Callback):
    """Logs ``val/level_{l}/perplexity``, ``usage``, ``dead``, ``revived`` and ``entropy``, and warns of collapse.

    A code is revived that was dead in the validation before and is used in this one; entropy is told in bits. Where a
    logger shows histograms, ``val/level_{l}/codes`` has the counts. Needs ``validation_step`` to return the codes of
    the batch, B×L.

    Attributes:
        history: the counts of each validation of the fit so far, per level int64 K.
    """

    def __init__(self, warn_below: float = 0.1) -> None:
        """Warn when a level's perplexity falls below this share of its codes."""
        if not 0 <= warn_below <= 1:
            raise ConfigurationError(f"callbacks.codebook_usage.warn_below is {warn_below}; expected 0 to 1.")
        self.warn_below = warn_below
        self.history: list[list[Tensor]] = []
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
        with self._metric.sync_context(should_unsync=True):
            counts = [counts_K.cpu().clone() for counts_K in self._metric.counts()]
            usages = [*map(level_usage, counts)]
        self._metric = None
        before = self.history[-1] if self.history else None
        for level, (usage, size) in enumerate(zip(usages, _level_sizes(pl_module), strict=True)):
            values = {
                "perplexity": usage.perplexity,
                "entropy": math.log2(usage.perplexity) if usage.perplexity > 0 else math.nan,
                "usage": usage.usage,
                "dead": float(usage.dead),
                "revived": float(((before[level] == 0) & (counts[level] > 0)).sum()) if before else 0.0,
            }
            pl_module.log_dict({f"val/level_{level}/{name}": value for name, value in values.items()}, sync_dist=True)
            if usage.perplexity < self.warn_below * size and not trainer.sanity_checking:
                logger.warning(
                    "level %d collapses: it uses %.1f of %d codes (perplexity), %d are dead",
                    level, usage.perplexity, size, usage.dead,
                )  # fmt: skip
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self.history.append(counts)
            for board in boards_of(trainer):
                for level, counts_K in enumerate(counts):
                    board.histogram(f"val/level_{level}/codes", counts_K.numpy(), last_step(trainer))

    def state_dict(self) -> dict[str, Any]:
        """The counts so far, so that a run that goes on shows all of its epochs."""
        return {
            "sizes": [len(counts_K) for counts_K in self.history[0]] if self.history else [],
            "history": [torch.cat(counts).int() for counts in self.history],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take up the counts."""
        self.history = [list(torch.split(counts.long(), state_dict["sizes"])) for counts in state_dict["history"]]


def _level_sizes(pl_module: lightning.LightningModule) -> tuple[int, ...]:
    model = pl_module.model
    if not isinstance(model, SemanticEncoder):
        raise TypeError(f"codebook_usage needs a module whose model is a SemanticEncoder, not {type(model).__name__}")
    return model.level_sizes
