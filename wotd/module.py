"""The LightningModule: one step, one validation, one optimizer around the plain-torch model.

Scalars it logs: ``{train,val}/loss``, ``{train,val}/TERM`` and ``{train,val}/TERM_weighted`` for the
terms of :mod:`wotd.losses`.
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

from wotd.data.batches import EmbeddingBatch, EmbeddingDataset
from wotd.encoders.semantic_encoder import SemanticEncoder, SemanticEncoding
from wotd.errors import ConfigurationError
from wotd.losses import LossTerms, LossWeights, semantic_losses
from wotd.taxonomy import Taxonomy

logger = logging.getLogger(__name__)

START_ROWS = 65536
"""Rows of the training data, at most, on which the model is started."""


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
            seed: decides the start of the codebooks.
            provenance: plain data to keep in every checkpoint.
        """
        super().__init__()
        self.model = encoder
        self.losses, self.optimizer = losses or LossWeights(), optimizer or OptimizerSettings()
        self.supervised, self.compile_networks, self.seed = supervised, compile, seed
        self.provenance = dict(provenance or {})
        for level, size in enumerate(encoder.level_sizes):
            self.register_buffer(f"prior_{level}", torch.zeros(size))

    @property
    def priors(self) -> list[Tensor | None]:
        """Per level the distribution of its labels in the training data, None where it is free."""
        buffers = [getattr(self, f"prior_{level}") for level in range(len(self.model.level_sizes))]
        return [prior_K if bool(prior_K.any()) else None for prior_K in buffers]

    def configure_model(self) -> None:
        """Compile the two networks in place, which leaves the names in the state dict as they are."""
        if self.compile_networks:
            self.model.encoder.compile()
            self.model.decoder.compile()
            self.compile_networks = False

    @torch.no_grad()
    def start(self, dataset: EmbeddingDataset) -> None:
        """Start the model on a spread of the data's rows; deterministic by seed on every process."""
        rows = torch.linspace(0, len(dataset) - 1, min(len(dataset), START_ROWS)).long()
        batch = dataset[rows]
        embeddings, labels = batch.embeddings.to(self.device), batch.labels.to(self.device)
        logger.info("starting %d levels on %d vectors", len(self.model.level_sizes), len(rows))
        generator = torch.Generator().manual_seed(self.seed)
        self.model.start(embeddings, generator, labels if self.supervised else None)
        if self.supervised:
            self._set_priors(dataset.labels)

    def _set_priors(self, labels_NL: Tensor) -> None:
        for level, size in enumerate(self.model.level_sizes):
            known_N = labels_NL[:, level][labels_NL[:, level] >= 0]
            if len(known_N):
                counts_K = torch.bincount(known_N, minlength=size).float() + 1.0
                getattr(self, f"prior_{level}").copy_(counts_K / counts_K.sum())

    def forward(self, embeddings_BD: Tensor) -> SemanticEncoding:
        """What the model makes of a batch."""
        encoding: SemanticEncoding = self.model(embeddings_BD)
        return encoding

    def terms(self, batch: EmbeddingBatch) -> tuple[LossTerms, SemanticEncoding]:
        """Loss terms of a batch and what they were measured on."""
        labels_BL = batch.labels if self.supervised else None
        encoding = self(batch.embeddings)
        return semantic_losses(encoding, self.model.sharpness, labels_BL, self.priors), encoding

    def training_step(self, batch: EmbeddingBatch, batch_idx: int) -> Tensor:
        """One batch; its terms are logged at the trainer's logging interval only."""
        terms, _ = self.terms(batch)
        weighted = terms.weighted(self.losses)
        loss = weighted.total()
        if batch_idx % max(1, self.trainer.log_every_n_steps) == 0:  # type: ignore[attr-defined]
            self.log("train/loss", loss.detach(), prog_bar=True)
            self._log_terms("train", terms, weighted, len(batch.embeddings))
        return loss

    @torch.no_grad()
    def validation_loss(self, dataset: EmbeddingDataset) -> float:
        """``val/loss`` of the model as it stands, outside of any trainer."""
        training, self_device = self.training, self.device
        self.eval()
        total, rows = 0.0, 0
        for index in torch.split(torch.arange(len(dataset)), 1024):
            batch = dataset[index]
            moved = EmbeddingBatch(batch.embeddings.to(self_device), batch.labels.to(self_device))
            terms, _ = self.terms(moved)
            total += float(terms.weighted(self.losses).total()) * len(index)
            rows += len(index)
        self.train(training)
        return total / max(1, rows)

    def validation_step(self, batch: EmbeddingBatch, batch_idx: int) -> Tensor:
        """One batch of validation; returns its codes for whoever counts them."""
        del batch_idx
        terms, encoding = self.terms(batch)
        weighted = terms.weighted(self.losses)
        rows = len(batch.embeddings)
        self.log("val/loss", weighted.total(), prog_bar=True, batch_size=rows, sync_dist=True)
        self._log_terms("val", terms, weighted, rows)
        return encoding.quantized.codes

    def _log_terms(self, stage: str, terms: LossTerms, weighted: LossTerms, rows: int) -> None:
        values = {f"{stage}/{name}": value.detach() for name, value in terms.to_mapping().items()}
        values |= {f"{stage}/{name}_weighted": value.detach() for name, value in weighted.to_mapping().items()}
        self.log_dict(values, batch_size=rows, sync_dist=stage == "val")

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


def build_module(
    input_dim: int,
    taxonomy: Taxonomy | None,
    *,
    level_sizes: Sequence[int] | None = None,
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
        ConfigurationError: if levels are to be the taxonomy's and there is none.
    """
    supervised = level_sizes is None
    if supervised and taxonomy is None:
        raise ConfigurationError(
            "model.level_sizes is null, which means the taxonomy's levels, but bare vectors have no labels: give a "
            "list such as model.level_sizes=[8,8,8,5], or use +experiment=deep."
        )
    options = dict(quantizer or {"kind": "hvq"})
    kind = str(options.pop("kind", "hvq"))
    if level_sizes is None and taxonomy is not None:
        level_sizes = taxonomy.sizes
        options["taught"] = [index for index, level in enumerate(taxonomy.levels) if not level.ranked]
    encoder = SemanticEncoder(
        input_dim,
        list(level_sizes or ()),
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
