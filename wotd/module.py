"""The LightningModule: one step, one validation, one optimizer around the plain-torch model.

Scalars it logs: ``{train,val}/loss``, ``{train,val}/TERM`` and ``{train,val}/TERM_weighted`` for the
terms of :mod:`wotd.losses`; those of training are means over the steps since they were logged last.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lightning
import torch
from torch import Tensor

from wotd import processes
from wotd.configuration import check_types
from wotd.data.batches import EmbeddingBatch, EmbeddingDataset
from wotd.encoders.semantic_encoder import SemanticEncoder, SemanticEncoding
from wotd.errors import ConfigurationError
from wotd.losses import LossTerms, LossWeights, semantic_losses
from wotd.progress import progress
from wotd.quantization import GIVEN, QUANTIZERS
from wotd.taxonomy import UNKNOWN_CODE, Taxonomy

logger = logging.getLogger(__name__)

START_ROWS = 65536
"""Rows of the training data, at most, on which the model is started and its codewords are fitted."""


@dataclass(frozen=True)
class OptimizerSettings:
    """AdamW's settings; ``fused`` null lets the device and the precision decide."""

    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    fused: bool | None = None

    def __post_init__(self) -> None:
        """Refuse rates that cannot be meant."""
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ConfigurationError(f"model.optimizer.learning_rate is {self.learning_rate}; expected more than 0.")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise ConfigurationError(f"model.optimizer.weight_decay is {self.weight_decay}; expected 0 or more.")


class SemanticIDModule(lightning.LightningModule):
    """Trains a :class:`SemanticEncoder`.

    Its checkpoints carry plain data only (``weights_only=True`` loads them) and all that is needed
    to make artifacts of them: the encoder's shape and whatever ``provenance`` the run hands over.
    """

    def __init__(
        self,
        encoder: SemanticEncoder,
        *,
        losses: LossWeights | None = None,
        optimizer: OptimizerSettings | None = None,
        supervised: bool = False,
        compile: bool = False,
        seed: int = 0,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        """Train the encoder with these weights.

        Args:
            encoder: the model, started or not.
            losses: weights of the terms.
            optimizer: AdamW's settings.
            supervised: whether levels are to bear the labels of the batch.
            compile: compile the networks with ``torch.compile`` (needs a C++ compiler).
            seed: decides the start of the codewords, their fits, and what each step draws.
            provenance: plain data to keep in every checkpoint.
        """
        super().__init__()
        self.model = encoder
        self.losses, self.optimizer = losses or LossWeights(), optimizer or OptimizerSettings()
        self.supervised, self.compile_networks, self.seed = supervised, compile, seed
        self.provenance = dict(provenance or {})
        self._recent: Tensor | None = None
        self._recent_steps = 0
        self._has_prior: list[bool] | None = None
        for level, size in enumerate(encoder.level_sizes):
            self.register_buffer(f"prior_{level}", torch.zeros(size))

    @property
    def priors(self) -> list[Tensor | None]:
        """Per level the distribution of its labels in the training data, None where it is free."""
        buffers = [getattr(self, f"prior_{level}") for level in range(len(self.model.level_sizes))]
        if self._has_prior is None:  # asked once: on a GPU the answer is waited for
            self._has_prior = [bool(prior_K.any()) for prior_K in buffers]
        return [prior_K if has else None for prior_K, has in zip(buffers, self._has_prior, strict=True)]

    def configure_model(self) -> None:
        """Compile the two networks in place, which leaves the names in the state dict as they are."""
        if self.compile_networks:
            self.model.encoder.compile()
            self.model.decoder.compile()
            self.compile_networks = False

    @torch.no_grad()
    def start(self, dataset: EmbeddingDataset, calibration: EmbeddingDataset | None = None) -> None:
        """Start the model on a spread of the data's rows; deterministic by seed on every process.

        Args:
            dataset: the training rows.
            calibration: rows that training does not see, which tell how far from it unseen rows lie.
        """
        batch = dataset[_spread(len(dataset))]
        count = len(batch.embeddings)
        embeddings, labels = batch.embeddings.to(self.device), batch.labels.to(self.device)
        generator = torch.Generator().manual_seed(self.seed)
        description, rounds = (
            f"starting {len(self.model.level_sizes)} levels on {count} vectors",
            self.model.quantizer.rounds,
        )
        with progress(description, rounds, "rounds") as advance:
            taught = labels if self.supervised else None
            self.model.start(embeddings, generator, taught, on_round=lambda: advance(1))
        if self.supervised:
            self._set_priors(dataset.labels)
        if calibration is not None:
            self._calibrate(calibration, first=True)

    @torch.no_grad()
    def refit(self, dataset: EmbeddingDataset, calibration: EmbeddingDataset | None = None) -> None:
        """Calibrate the levels and let the codewords follow what the encoder has learned; alike on every process.

        Args:
            dataset: the training rows.
            calibration: rows with labels that training does not see.
        """
        if calibration is not None:
            self._calibrate(calibration)
        generator = torch.Generator().manual_seed(self.seed + 1_000_003 * (self.current_epoch + 1))
        self.model.refit(dataset[_spread(len(dataset))].embeddings.to(self.device), generator)
        processes.follow_first(self.model.buffers())

    def _calibrate(self, dataset: EmbeddingDataset, *, first: bool = False) -> None:
        rows = dataset[_spread(len(dataset))]
        x_NW, labels_NL = rows.embeddings.to(self.device), rows.labels.to(self.device)
        self.model.domain.set_limit(x_NW)
        self.model.calibrate(x_NW, self.taught_labels(labels_NL) if self.supervised else None, first=first)

    @torch.no_grad()
    def restart(self, dataset: EmbeddingDataset) -> None:
        """Start the codewords anew on what the encoder makes of the training rows; alike on every process."""
        generator = torch.Generator().manual_seed(self.seed + 1_000_003 * (self.global_step + 1))
        self.model.restart(dataset[_spread(len(dataset))].embeddings.to(self.device), generator)
        processes.follow_first(self.model.buffers())

    def _set_priors(self, labels_NL: Tensor) -> None:
        for level, size in enumerate(self.model.level_sizes):
            known_N = labels_NL[:, level][labels_NL[:, level] >= 0]
            if len(known_N):
                counts_K = torch.bincount(known_N, minlength=size).float()
                getattr(self, f"prior_{level}").copy_(counts_K / counts_K.sum())
        self._has_prior = None

    def taught_labels(self, labels_BL: Tensor) -> Tensor:
        """Labels, with those that no training passage bears made unknown: nothing could have taught them.

        Their keys lie far off on purpose, so one such passage in validation would outweigh all others.
        """
        columns = [
            labels_B if prior_K is None else torch.where(prior_K[labels_B.clamp_min(0)] > 0, labels_B, UNKNOWN_CODE)
            for labels_B, prior_K in zip(labels_BL.unbind(1), self.priors, strict=True)
        ]
        return torch.stack(columns, 1)

    def forward(self, embeddings_BD: Tensor) -> SemanticEncoding:
        """What the model makes of a batch."""
        encoding: SemanticEncoding = self.model(embeddings_BD)
        return encoding

    def terms(self, batch: EmbeddingBatch, *, common: bool = False) -> tuple[LossTerms, SemanticEncoding]:
        """Loss terms of a batch, or of this process's part of a common one, and what they were measured on."""
        labels_BL = self.taught_labels(batch.labels) if self.supervised else None
        encoding = self(batch.embeddings)
        options = {"summed": processes.summed} if common else {}
        return semantic_losses(encoding, self.model.sharpness, labels_BL, self.priors, **options), encoding

    def on_train_start(self) -> None:
        """Log at least once an epoch, however few steps it has."""
        processes.follow_first(self.buffers())
        self._has_prior = None  # a checkpoint may have brought others
        trainer = self.trainer
        steps = int(trainer.num_training_batches) // trainer.accumulate_grad_batches
        trainer.log_every_n_steps = min(trainer.log_every_n_steps, max(1, steps))  # type: ignore[attr-defined]

    def on_train_batch_start(self, batch: EmbeddingBatch, batch_idx: int) -> None:
        """Draw each step's randomness from a seed of its own, so that a run that goes on draws the same."""
        del batch, batch_idx
        seed = self.seed + 1_000_003 * (self.trainer.global_step + 1)
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would queue calls for devices that are not there
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def training_step(self, batch: EmbeddingBatch, batch_idx: int) -> Tensor:
        """One batch; its terms are logged in the steps that the trainer logs."""
        del batch_idx
        terms, _ = self.terms(batch, common=self.trainer.world_size > 1)
        weighted = terms.weighted(self.losses)
        loss = weighted.total()
        scalars = _scalars("train", loss, terms, weighted)
        values = torch.stack(list(scalars.values())).detach().float()
        self._recent = values if self._recent is None else self._recent + values
        self._recent_steps += 1
        if step_is_logged(self.trainer):
            means = (self._recent / self._recent_steps).unbind()
            self.log_dict(dict(zip(scalars, means, strict=True)), sync_dist=True)
            self._recent, self._recent_steps = None, 0
        return loss

    @torch.no_grad()
    def validation_loss(self, dataset: EmbeddingDataset) -> float:
        """``val/loss`` of the model as it stands, outside of any trainer; on a spread of many rows."""
        training = self.training
        self.eval()
        total, rows = 0.0, _spread(len(dataset))
        for index in torch.split(rows, 1024):
            embeddings, labels = dataset[index]
            terms, _ = self.terms(EmbeddingBatch(embeddings.to(self.device), labels.to(self.device)))
            total += float(terms.weighted(self.losses).total()) * len(index)
        self.train(training)
        return total / max(1, len(rows))

    def validation_step(self, batch: EmbeddingBatch, batch_idx: int) -> Tensor:
        """One batch of validation; returns its codes for whoever counts them."""
        del batch_idx
        terms, encoding = self.terms(batch, common=self.trainer.world_size > 1)
        weighted = terms.weighted(self.losses)
        scalars = _scalars("val", weighted.total(), terms, weighted)
        rows = all_rows = len(batch.embeddings)
        if self.trainer.world_size > 1:
            # Lightning takes the mean of the processes' batch sizes for a whole number, so they have to be alike.
            all_rows = int(processes.summed(torch.tensor(rows, device=self.device)))
            share = rows * self.trainer.world_size / all_rows
            scalars = {name: value * share for name, value in scalars.items()}
        self.log_dict(scalars, batch_size=all_rows, sync_dist=True)
        return encoding.quantized.codes

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW; fused unless gradients are scaled (Lightning would then leave them scaled)."""
        scaled = str(self.trainer.precision) == "16-mixed"
        if self.optimizer.fused and scaled:
            raise ConfigurationError(
                "model.optimizer.fused=true cannot go with 16-mixed precision, whose scaled gradients it would clip: "
                "set it to false, or the precision to bf16-mixed."
            )
        fused = not scaled if self.optimizer.fused is None else self.optimizer.fused
        parameters = [p for p in self.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": self.optimizer.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        fused = fused and self.device.type in ("cpu", "cuda")
        return torch.optim.AdamW(groups, lr=self.optimizer.learning_rate, fused=fused)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the encoder's shape and the run's provenance, as plain data."""
        checkpoint["wotd"] = {"encoder": self.model.config, **self.provenance}


def _spread(rows: int) -> Tensor:
    """Indices of at most ``START_ROWS`` rows, spread evenly, in their order."""
    count = min(rows, START_ROWS)
    return torch.arange(count) * rows // max(1, count)


def step_is_logged(trainer: lightning.Trainer) -> bool:
    """Whether the trainer hands to its logger what the step at hand logs; asked before the optimizer steps."""
    every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
    return every > 0 and (trainer.global_step + 1) % every == 0


def _scalars(stage: str, loss: Tensor, terms: LossTerms, weighted: LossTerms) -> dict[str, Tensor]:
    """The loss and its terms by the names they are logged under."""
    scalars = {f"{stage}/loss": loss}
    scalars |= {f"{stage}/{name}": value for name, value in terms.to_mapping().items()}
    return scalars | {f"{stage}/{name}_weighted": value for name, value in weighted.to_mapping().items()}


def build_module(
    input_dim: int,
    taxonomy: Taxonomy | None,
    *,
    level_sizes: Sequence[int] | None = None,
    feature_dim: int = 0,
    latent_dim: int = 128,
    hidden: Sequence[int] = (512, 256),
    dropout: float = 0.1,
    quantizer: Mapping[str, Any] | None = None,
    losses: LossWeights | None = None,
    optimizer: OptimizerSettings | None = None,
    compile: bool = False,
    seed: int = 0,
    provenance: Mapping[str, Any] | None = None,
) -> SemanticIDModule:
    """Make the module that a config's ``model`` group describes.

    Args:
        input_dim: D, as the embedding model or the vectors have it.
        taxonomy: whose levels are learned where ``level_sizes`` is None; None for bare vectors.
        level_sizes: free levels of these sizes; None for the taxonomy's levels, supervised.
        feature_dim: F, features behind the embedding of each row.
        latent_dim: Z.
        hidden: widths of the learned correction.
        dropout: share of its units dropped in training.
        quantizer: ``kind`` and the options of that kind.
        losses: weights of the loss terms.
        optimizer: AdamW's settings.
        compile: whether to compile the networks.
        seed: decides the start.
        provenance: plain data to keep in every checkpoint.

    Raises:
        ConfigurationError: if levels are to be the taxonomy's and there is none, or a setting cannot be used.
    """
    supervised = level_sizes is None
    if supervised and taxonomy is None:
        raise ConfigurationError(
            "model.level_sizes is null, which means the taxonomy's levels, but bare vectors have no labels: give a "
            "list such as model.level_sizes=[8,8,8,5], or use +experiment=deep."
        )
    options = dict(quantizer or {"kind": "hvq"})
    kind = str(options.pop("kind", "hvq"))
    if kind in QUANTIZERS:  # else the encoder says which there are
        check_types(QUANTIZERS[kind], options, "model.quantizer")
    if given := [name for name in GIVEN if name in options and (supervised or name != "taught")]:
        raise ConfigurationError(
            f"model.quantizer has {', '.join(given)}, which features and taxonomy decide; expected it left out."
        )
    if level_sizes is None and taxonomy is not None:
        level_sizes = taxonomy.sizes
        options["taught"] = [index for index, level in enumerate(taxonomy.levels) if not level.ranked]
    encoder = SemanticEncoder(
        input_dim,
        list(level_sizes or ()),
        feature_dim=feature_dim,
        latent_dim=latent_dim,
        hidden=hidden,
        dropout=dropout,
        quantizer=kind,
        quantizer_options=options,
    )
    return SemanticIDModule(
        encoder,
        losses=losses,
        optimizer=optimizer,
        supervised=supervised,
        compile=compile,
        seed=seed,
        provenance=provenance,
    )
