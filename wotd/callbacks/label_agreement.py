"""How codes and labels come together, counted over validation, logged each epoch."""

from __future__ import annotations

from typing import Any

import lightning
import numpy as np
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from torch import Tensor

from wotd.metrics import Contingency
from wotd.module import SemanticIDModule
from wotd.taxonomy import Taxonomy


class LabelAgreement(Callback):
    """Logs ``val/agreement/{name}/accuracy`` of each level that is named for a label; nothing without labels.

    Needs ``validation_step`` to return the codes of the batch, B×L.

    Attributes:
        taxonomy: what the labels of the last validation followed; None where there were none.
        counts: by level of the code, then of the label, how often the last validation saw them together: int64, by
            label (rows) and code (columns).
    """

    def __init__(self) -> None:
        """Count nothing yet."""
        self.taxonomy: Taxonomy | None = None
        self.counts: list[list[NDArray[np.int64]]] = []
        self._metric: Contingency | None = None

    def on_validation_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Begin to count anew."""
        del trainer
        data = pl_module.provenance.get("taxonomy") if isinstance(pl_module, SemanticIDModule) else None
        self.taxonomy = Taxonomy.from_mapping(data) if data else None
        self._metric = None
        if self.taxonomy is not None:
            levels: Any = pl_module.model
            self._metric = Contingency(levels.level_sizes, self.taxonomy.sizes).to(pl_module.device)

    def on_validation_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count the batch."""
        del trainer, pl_module, batch_idx, dataloader_idx
        if self._metric is not None and isinstance(outputs, Tensor):
            self._metric.update(outputs, batch.labels)

    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Log the agreement of all processes together."""
        del trainer
        if self._metric is None or self.taxonomy is None:
            return
        self.counts = [[counts.cpu().numpy() for counts in row] for row in self._metric.compute()]
        self._metric = None
        if not pl_module.supervised:
            return
        for index, level in enumerate(self.taxonomy.levels):
            counts_KK = self.counts[index][index]
            if not level.ranked and counts_KK.sum():
                accuracy = float(np.trace(counts_KK) / counts_KK.sum())
                pl_module.log(f"val/agreement/{level.name}/accuracy", accuracy, sync_dist=True)
