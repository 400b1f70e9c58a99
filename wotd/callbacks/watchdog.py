"""A watch on the health of training: what collapses is mended, or stops the run with its cause said."""

from __future__ import annotations

import logging
import math
from typing import Any, NoReturn

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch import Tensor

from wotd.callbacks.collapse import Finding, collapsed_levels
from wotd.callbacks.schedule import CosineWarmup
from wotd.errors import ConfigurationError, TrainingError
from wotd.module import SemanticIDModule
from wotd.quantization import HierarchicalVectorQuantizer

logger = logging.getLogger(__name__)

SAMPLE_ROWS, ROWS_PER_CODE = 2048, 4
"""Training rows looked at each epoch: so many, or so many for each code of the largest level, if that is more."""

MEAN_ALONE = 1.0
"""About the loss of a model that says the mean of all rows: a fraction of it may multiply without harm."""

_ACTIONS = ("repair", "stop", "warn")
_HEAVY = 10.0
"""A loss weight above this is a likelier cause of an exploding loss than the learning rate."""


class Watchdog(Callback):
    """Looks at the codes of a sample of training rows after each epoch's last batch, and at the loss throughout.

    A level that says one code of all rows, or few of many, though it once said more, has collapsed; a loss many times
    the least that was seen explodes. Either makes an unhealthy epoch. ``repair`` starts all codewords
    anew where a free level has collapsed; taught levels are only named, since which codes they use is
    for their labels to say. After ``patience`` unhealthy epochs in a row the next one ends training in
    good order: results are those of the best checkpoint. It looks before validation, so what is
    repaired is validated before it is saved.

    A loss that is not finite ends the run with an error, and no checkpoint is made of it. A healthy
    run is not touched: its weights are those of a run without a watchdog, bit for bit. In a
    distributed run the first process looks, and all do as it says.
    """

    def __init__(
        self,
        action: str = "repair",
        patience: int = 2,
        perplexity_below: float = 1.25,
        share_below: float = 0.05,
        explosion: float = 10.0,
    ) -> None:
        """Watch.

        Args:
            action: ``repair``, then stop; ``stop``; or ``warn`` and do nothing.
            patience: unhealthy epochs in a row that are borne.
            perplexity_below: effective number of codes below which a level has collapsed.
            share_below: the same as a share of its codes, which is what counts on large levels.
            explosion: how many times the least loss, or 1 where that is less, an epoch's mean loss may be.

        Raises:
            ConfigurationError: if a setting cannot be meant.
        """
        name = "callbacks.watchdog"
        if action not in _ACTIONS:
            raise ConfigurationError(f"{name}.action is '{action}'; expected one of {', '.join(_ACTIONS)}.")
        if patience < 0:
            raise ConfigurationError(f"{name}.patience is {patience}; expected 0 or more.")
        if not 1 <= perplexity_below < 2:
            raise ConfigurationError(
                f"{name}.perplexity_below is {perplexity_below}; expected 1 or more and less than 2."
            )
        if not 0 <= share_below < 1:
            raise ConfigurationError(f"{name}.share_below is {share_below}; expected 0 or more and less than 1.")
        if not explosion > 1:
            raise ConfigurationError(f"{name}.explosion is {explosion}; expected more than 1.")
        self.action, self.patience = action, patience
        self.perplexity_below, self.share_below, self.explosion = perplexity_below, share_below, explosion
        self._lived: set[int] = set()
        self._least = math.inf
        self._unhealthy = 0
        self._total: Tensor | None = None
        self._batches = 0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Note which levels live, and say what cannot go well."""
        module = _semantic(pl_module)
        if trainer.is_global_zero:
            _say(self._look(module, self._sample(trainer, module)))

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the loss where the trainer logs, and at all else after the last batch of an epoch."""
        del batch, batch_idx
        loss = outputs["loss"].detach().float() * trainer.accumulate_grad_batches
        self._total = loss if self._total is None else self._total.to(loss.device) + loss
        self._batches += 1
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        last = trainer.is_last_batch
        if not (last or math.isinf(self._least) or (every > 0 and trainer.global_step % every == 0)):
            return  # on a GPU a look at the loss is waited for
        module = _semantic(pl_module)
        mean = float(trainer.strategy.reduce(self._total / self._batches, reduce_op="mean"))
        if not math.isfinite(mean):
            _end(trainer, self._loss_cause("the training loss is not finite", trainer, module, mean))
        if last and not _finite(module):
            _end(trainer, self._loss_cause("the weights are no longer finite", trainer, module, mean))
        if math.isinf(self._least):
            self._least = mean
        if last:
            self._total, self._batches = None, 0
            self._after_epoch(trainer, module, mean)

    def _after_epoch(self, trainer: lightning.Trainer, module: SemanticIDModule, loss: float) -> None:
        findings: list[Finding] = []
        if trainer.is_global_zero:
            x_ND = self._sample(trainer, module)
            if loss > self.explosion * max(self._least, MEAN_ALONE):
                findings.append(Finding(self._loss_cause("the training loss explodes", trainer, module, loss)))
            findings += [f for f in self._look(module, x_ND) if self._lived.intersection(f.levels)]
            _say(findings)
        self._least = min(self._least, loss)
        findings = trainer.strategy.broadcast(findings)
        grave = [finding for finding in findings if not finding.taught]
        self._unhealthy = self._unhealthy + 1 if grave else 0
        if not grave or self.action == "warn":
            return
        if self._unhealthy > self.patience:
            trainer.should_stop = True
            if trainer.is_global_zero:
                logger.warning(
                    "stopping after epoch %d: %d epochs in a row were unhealthy, more than "
                    "callbacks.watchdog.patience=%d bears; results are those of the best checkpoint",
                    trainer.current_epoch + 1, self._unhealthy, self.patience,
                )  # fmt: skip
        elif self.action == "repair":
            self._repair(trainer, module, grave)

    def _repair(self, trainer: lightning.Trainer, module: SemanticIDModule, grave: list[Finding]) -> None:
        """Start all codewords anew where a free level has collapsed, alike on all processes."""
        dead = sorted({level for finding in grave for level in finding.levels} - set(module.model.quantizer.taught))
        if not dead or not isinstance(module.model.quantizer, HierarchicalVectorQuantizer):
            return
        loader: Any = trainer.train_dataloader
        module.restart(loader.dataset)
        if trainer.is_global_zero:
            logger.warning("started all codewords anew, since levels %s had collapsed", ", ".join(map(str, dead)))

    def _look(self, module: SemanticIDModule, x_ND: Tensor) -> list[Finding]:
        """What has collapsed; the levels that have not are noted as having lived."""
        findings = collapsed_levels(module, x_ND, perplexity_below=self.perplexity_below, share_below=self.share_below)
        collapsed = {level for finding in findings for level in finding.levels}
        self._lived |= set(range(len(module.model.level_sizes))) - collapsed
        return findings

    @staticmethod
    def _sample(trainer: lightning.Trainer, module: SemanticIDModule) -> Tensor:
        """A spread of the training rows, always the same."""
        loader: Any = trainer.train_dataloader
        dataset = loader.dataset
        rows = min(len(dataset), max(SAMPLE_ROWS, ROWS_PER_CODE * max(module.model.level_sizes)))
        index = torch.arange(rows) * len(dataset) // rows
        sample: Tensor = dataset[index].embeddings.to(module.device)
        return sample

    def _loss_cause(self, what: str, trainer: lightning.Trainer, module: SemanticIDModule, loss: float) -> str:
        """A sentence: what went wrong with the loss, why, and what to change."""
        rate = float(trainer.optimizers[0].param_groups[0]["lr"])
        norm = trainer.callback_metrics.get("train/gradient_norm")
        seen = [f"loss {loss:.3g} at step {trainer.global_step}"]
        seen += [f"{self._least:.3g} before"] if math.isfinite(self._least) else []
        seen += [f"gradients of norm {float(norm):.3g}"] if norm is not None else []
        said = f"{what} ({', '.join(seen)}): "
        heaviest = max(vars(module.losses).items(), key=lambda item: item[1])
        if heaviest[1] > _HEAVY:
            return f"{said}model.losses.{heaviest[0]} is {heaviest[1]:g}, which outweighs all else; lower it."
        if str(trainer.precision) == "16-mixed":
            return f"{said}half precision ends at 65504; set callbacks.amp.precision to bf16-mixed or 32-true."
        warmed = any(isinstance(each, CosineWarmup) and each.warmup_fraction > 0 for each in trainer.callbacks)  # type: ignore[attr-defined]
        return (
            f"{said}the learning rate of {rate:.3g} is too high; lower model.optimizer.learning_rate "
            f"({module.optimizer.learning_rate:g})"
            f"{'' if warmed else ', or warm up with callbacks.cosine_warmup.warmup_fraction'}."
        )

    def state_dict(self) -> dict[str, Any]:
        """What was seen so far, so that a run that goes on judges as if it had not been stopped."""
        return {
            "lived": sorted(self._lived),
            "least": self._least,
            "unhealthy": self._unhealthy,
            "total": None if self._total is None else float(self._total),
            "batches": self._batches,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what was seen."""
        self._lived, self._least = set(state_dict["lived"]), state_dict["least"]
        self._unhealthy, self._batches = state_dict["unhealthy"], state_dict["batches"]
        total = state_dict["total"]
        self._total = None if total is None else torch.tensor(total)


def _semantic(pl_module: lightning.LightningModule) -> SemanticIDModule:
    if not isinstance(pl_module, SemanticIDModule):
        raise TypeError(f"watchdog needs a SemanticIDModule, not a {type(pl_module).__name__}")
    return pl_module


def _finite(module: SemanticIDModule) -> bool:
    """Whether all weights and codewords are; the same on all processes, which share them."""
    values = (*module.parameters(), *module.model.quantizer.buffers())
    return all(bool(torch.isfinite(value).all()) for value in values)


def _say(findings: list[Finding]) -> None:
    for finding in findings:
        logger.warning("%s", finding.sentence)


def _end(trainer: lightning.Trainer, cause: str) -> NoReturn:
    """Raise, and let nothing be saved of a model that is beyond use: what was saved before it stays."""
    for callback in trainer.checkpoint_callbacks:
        if isinstance(callback, ModelCheckpoint):
            callback.save_on_exception = False
    raise TrainingError(f"{cause[:-1]}, and start again; the checkpoints from before it are kept.")
