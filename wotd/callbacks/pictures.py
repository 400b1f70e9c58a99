"""Pictures of training as it goes, for loggers that show some."""

from __future__ import annotations

import time
from typing import Any, TypeVar

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.trainer.states import TrainerFn

from wotd.callbacks.boards import Board, boards_of, last_step, show
from wotd.callbacks.codebook_usage import CodebookUsage
from wotd.callbacks.label_agreement import LabelAgreement
from wotd.charts import confusion, information, usage_by_epoch
from wotd.errors import ConfigurationError
from wotd.metrics import information_of_counts

Other = TypeVar("Other", bound=Callback)

_FIRST_GUESS = 1.0
"""Seconds that drawing is taken to need before it was done once."""

MOST_CODES = 1024
"""Codes of a level, at most, whose use is drawn epoch by epoch."""


class Pictures(Callback):
    """Draws the use of codes by epoch, which codes rows of each label get, and what levels tell of labels.

    Drawn after a validation while all drawing so far took no more than ``share`` of the time since training began, and
    at its end in any case. The numbers are those of the callbacks ``codebook_usage`` and ``label_agreement``; what one
    of them does not count, or no logger shows, is not drawn.
    """

    def __init__(self, share: float = 0.02) -> None:
        """Draw for at most this share of the time; 0 at the end alone."""
        if not 0 <= share < 1:
            raise ConfigurationError(f"callbacks.pictures.share is {share}; expected 0 or more and less than 1.")
        self.share = share
        self._begun = self._spent = 0.0
        self._guess = _FIRST_GUESS
        self._drawn_at: int | None = None

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start the clock."""
        del trainer, pl_module
        self._begun, self._spent, self._drawn_at = time.perf_counter(), 0.0, None

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Draw, if there is time for it."""
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
            return
        if self._spent + self._guess <= self.share * (time.perf_counter() - self._begun):
            self._draw(trainer, pl_module)

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Draw how it ended."""
        if self._drawn_at != trainer.global_step:
            self._draw(trainer, pl_module)

    def _draw(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        boards = boards_of(trainer)
        if not boards:
            return
        begun = time.perf_counter()
        usage, agreement = _other(trainer, CodebookUsage), _other(trainer, LabelAgreement)
        names, step = _level_names(pl_module, agreement), last_step(trainer)
        if usage is not None:
            _draw_usage(boards, usage, names, step)
        if agreement is not None and agreement.taxonomy is not None and agreement.counts:
            _draw_agreement(boards, agreement, names, step)
        self._drawn_at, self._guess = trainer.global_step, time.perf_counter() - begun
        self._spent += self._guess


def _other(trainer: lightning.Trainer, kind: type[Other]) -> Other | None:
    found = [callback for callback in trainer.callbacks if isinstance(callback, kind)]  # type: ignore[attr-defined]
    return found[0] if found else None


def _draw_usage(boards: list[Board], usage: CodebookUsage, names: list[str], step: int) -> None:
    histories = [torch.stack(counts).numpy() for counts in zip(*usage.history, strict=True)]
    shown = [(name, counts) for name, counts in zip(names, histories, strict=False) if counts.shape[1] <= MOST_CODES]
    show(boards, "val/codes_by_epoch", [panel for each in shown for panel in usage_by_epoch(*each)], step)


def _draw_agreement(boards: list[Board], agreement: LabelAgreement, names: list[str], step: int) -> None:
    taxonomy = agreement.taxonomy
    assert taxonomy is not None
    told = [(index, level) for index, level in enumerate(taxonomy.levels) if not level.ranked]
    if names == list(taxonomy.level_names):
        panels = [
            panel
            for index, level in told
            for panel in confusion(level.name, agreement.counts[index][index], level.codes, "val")
        ]
        show(boards, "val/confusion", panels, step)
    ami_LM = information_of_counts([[row[index] for index, _ in told] for row in agreement.counts])
    labels = [level.name for _, level in told]
    metrics = {f"val/ami/level_{level}/{labels[column]}": float(v) for (level, column), v in np.ndenumerate(ami_LM)}
    show(boards, "val/ami", information(metrics, names, labels, ("val",)), step)


def _level_names(pl_module: lightning.LightningModule, agreement: LabelAgreement | None) -> list[str]:
    """Those of the taxonomy where levels are taught its labels."""
    if bool(pl_module.supervised) and agreement is not None and agreement.taxonomy is not None:
        return list(agreement.taxonomy.level_names)
    model: Any = pl_module.model
    return [f"level_{level}" for level in range(len(model.level_sizes))]
