"""Embedding → latent → code → reconstruction: the model itself, in plain torch.

Shape letters: N passages, B batch, D embedding, Z latent, L levels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from wotd.encoders.mlp import CorrectedLinear
from wotd.errors import ConfigurationError, TrainingError
from wotd.quantization import Quantized, build_quantizer

BLOCK_ROWS = 256
"""Rows that :meth:`SemanticEncoder.encode` takes at a time, padded to just that many.

Matrix products of different shapes may differ in their last bit, and a last bit can decide between
two codewords that are equally near; products of one shape give a row the same code in any company.
"""

CALIBRATION_ROWS = 16384
"""Rows, at most, on which :meth:`SemanticEncoder.calibrate` looks at all distances at once."""


@dataclass(frozen=True)
class SemanticEncoding:
    """What the model makes of a batch.

    Attributes:
        latents: B×Z, before quantization.
        quantized: what the quantizer says, codes and distances among it.
        reconstruction: B×D, in the space of the input.
        reconstruction_loss: squared error over the variance of the training data (nMSE); 1 is what
            the mean alone would reach.
    """

    latents: Tensor
    quantized: Quantized
    reconstruction: Tensor
    reconstruction_loss: Tensor

    @property
    def codes(self) -> Tensor:
        """One index per level, int64 B×L."""
        return self.quantized.codes

    @property
    def losses(self) -> dict[str, Tensor]:
        """What the model itself measures; :mod:`wotd.losses` adds the terms that need weights and labels."""
        return {"reconstruction": self.reconstruction_loss, "commitment": self.quantized.commitment}


class SemanticEncoder(nn.Module):
    """Encoder, quantizer and decoder, with the mean and scale of the data they were started on."""

    mean_D: Tensor
    scale: Tensor
    log_sharpness_L: nn.Parameter

    def __init__(
        self,
        input_dim: int,
        level_sizes: Sequence[int],
        *,
        latent_dim: int = 128,
        hidden: Sequence[int] = (512, 256),
        dropout: float = 0.0,
        quantizer: str = "hvq",
        quantizer_options: Mapping[str, Any] | None = None,
    ) -> None:
        """Make an unstarted model.

        Args:
            input_dim: D, the dimension of the embedding model.
            level_sizes: codes per level, coarse to fine.
            latent_dim: Z, at most D.
            hidden: widths of the learned correction to the linear encoder, mirrored in the decoder.
            dropout: share of hidden units dropped in training.
            quantizer: ``hvq`` or ``fsq``.
            quantizer_options: keyword arguments of the quantizer.

        Raises:
            ConfigurationError: if a size is impossible.
        """
        super().__init__()
        if input_dim < 1 or latent_dim < 1:
            raise ConfigurationError(
                f"input_dim is {input_dim} and model.latent_dim is {latent_dim}; expected 1 or more."
            )
        if not 0 <= dropout < 1:
            raise ConfigurationError(f"model.dropout is {dropout}; expected 0 or more and less than 1.")
        if any(width < 1 for width in hidden):
            raise ConfigurationError(f"model.hidden is {list(hidden)}; expected widths of 1 or more.")
        self.input_dim, self.latent_dim = int(input_dim), int(min(latent_dim, input_dim))
        self.hidden, self.dropout, self.quantizer_kind = tuple(int(w) for w in hidden), float(dropout), quantizer
        self.encoder = CorrectedLinear(self.input_dim, self.hidden, self.latent_dim, dropout=self.dropout)
        self.quantizer = build_quantizer(quantizer, self.latent_dim, level_sizes, quantizer_options or {})
        self.decoder = CorrectedLinear(self.latent_dim, self.hidden[::-1], self.input_dim, dropout=self.dropout)
        self.register_buffer("mean_D", torch.zeros(self.input_dim))
        self.register_buffer("scale", torch.ones(()))
        self.log_sharpness_L = nn.Parameter(torch.zeros(len(self.level_sizes)))

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """Codes per level."""
        return self.quantizer.level_sizes

    @property
    def config(self) -> dict[str, Any]:
        """Plain data from which :meth:`from_config` builds a model of the same shape."""
        return {
            "input_dim": self.input_dim,
            "level_sizes": list(self.level_sizes),
            "latent_dim": self.latent_dim,
            "hidden": list(self.hidden),
            "dropout": self.dropout,
            "quantizer": self.quantizer_kind,
            "quantizer_options": self.quantizer.options,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> SemanticEncoder:
        """Build an unstarted model of the shape that :attr:`config` says."""
        return cls(**config)

    @torch.no_grad()
    def start(self, x_ND: Tensor, generator: torch.Generator, labels_NL: Tensor | None = None) -> None:
        """Begin at the closed-form solution: principal subspace, then codebooks on its residuals.

        Args:
            x_ND: a large sample of the training embeddings, float32.
            generator: decides the k-means seeds.
            labels_NL: labels for the levels that are taught, -1 where unknown.

        Raises:
            TrainingError: if all embeddings are equal, or fewer than a level has codes.
        """
        mean_D = x_ND.mean(0)
        centred_ND = x_ND - mean_D
        variance = centred_ND.square().mean()
        if not float(variance) > 0:
            raise TrainingError(f"all {len(x_ND)} training embeddings are equal; there is nothing to tell apart.")
        self.mean_D.copy_(mean_D)
        self.scale.copy_(variance.sqrt())
        _, vectors_DD = torch.linalg.eigh((centred_ND.T @ centred_ND).double())
        directions_ZD = vectors_DD.flip(1)[:, : self.latent_dim].T.to(x_ND.dtype)
        self.encoder.start(directions_ZD)
        self.decoder.start(directions_ZD.T)
        self.quantizer.start((centred_ND / self.scale) @ directions_ZD.T, generator, labels_NL)
        self.calibrate(x_ND, labels_NL)

    @torch.no_grad()
    def calibrate(self, x_ND: Tensor, labels_NL: Tensor | None = None) -> None:
        """Set each level's sharpness, so that its probabilities can be read as confidences.

        A level with known labels gets the sharpness under which they are likeliest (temperature
        scaling: C. Guo et al., "On Calibration of Modern Neural Networks", 2017); another one
        that by which distances count in units of the mean gap between the two nearest codewords.
        """
        number = min(len(x_ND), CALIBRATION_ROWS)
        rows = torch.arange(number) * len(x_ND) // number  # spread evenly
        for level, distances_NK in enumerate(self.level_distances(x_ND[rows])):
            two_nearest_N2 = distances_NK.topk(2, largest=False).values
            unit = (two_nearest_N2[:, 1] - two_nearest_N2[:, 0]).mean().clamp_min(1e-12)
            log_sharpness = -unit.log()
            labels_N = None if labels_NL is None else labels_NL[rows, level]
            if labels_N is not None and bool((labels_N >= 0).any()):
                candidates = log_sharpness + torch.linspace(-3, 6, 73, device=unit.device)
                losses = [
                    nn.functional.cross_entropy(-distances_NK * c.exp(), labels_N, ignore_index=-1) for c in candidates
                ]
                log_sharpness = candidates[int(torch.stack(losses).argmin())]
            self.log_sharpness_L[level] = log_sharpness

    @property
    def sharpness(self) -> Tensor:
        """Per level, what distances are multiplied with to become logits; learned in its logarithm."""
        return self.log_sharpness_L.clamp(-20, 20).exp()

    def logits(self, distances: Sequence[Tensor]) -> list[Tensor]:
        """Per level B×K, what a softmax turns into the probability of each code."""
        return [-distances_BK * sharpness for distances_BK, sharpness in zip(distances, self.sharpness, strict=True)]

    def latents(self, x_BD: Tensor) -> Tensor:
        """Latents of embeddings, B×Z."""
        latents_BZ: Tensor = self.encoder((x_BD - self.mean_D) / self.scale)
        return latents_BZ

    def reconstruct(self, quantized_BZ: Tensor) -> Tensor:
        """Embeddings of quantized latents, B×D."""
        x_BD: Tensor = self.decoder(quantized_BZ) * self.scale + self.mean_D
        return x_BD

    def forward(self, x_BD: Tensor) -> SemanticEncoding:
        """Encode, quantize and decode a batch; in training mode the codebooks follow it."""
        latents_BZ = self.latents(x_BD)
        quantized = self.quantizer(latents_BZ)
        reconstruction_BD = self.reconstruct(quantized.quantized)
        error = nn.functional.mse_loss(reconstruction_BD.float(), x_BD.float()) / self.scale.square()
        return SemanticEncoding(latents_BZ, quantized, reconstruction_BD, error)

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """In eval mode and without gradients: what reads the model neither drops units nor moves codewords."""
        training = self.training
        if training:
            self.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            if training:
                self.train()

    def _latent_blocks(self, x_ND: Tensor) -> Iterator[tuple[Tensor, int]]:
        """Latents of blocks of just ``BLOCK_ROWS`` rows, the last one padded; how many rows count."""
        for block in torch.split(x_ND, BLOCK_ROWS):
            yield self.latents(nn.functional.pad(block, (0, 0, 0, BLOCK_ROWS - len(block)))), len(block)

    def encode(self, x_BD: Tensor) -> Tensor:
        """Codes of embeddings, int64 B×L; a row's code does not depend on the rows beside it."""
        with self._evaluating():
            return torch.cat([self.quantizer.encode(latents)[:rows] for latents, rows in self._latent_blocks(x_BD)])

    def encode_with_confidence(self, x_BD: Tensor) -> tuple[Tensor, Tensor]:
        """The codes that :meth:`encode` gives, and the probability of each, float32 B×L."""
        codes, confidences = [], []
        with self._evaluating():
            for latents_BZ, rows in self._latent_blocks(x_BD):
                quantized = self.quantizer(latents_BZ)
                probabilities = [logits_BK.softmax(1) for logits_BK in self.logits(quantized.distances)]
                chosen = zip(probabilities, quantized.codes.split(1, 1), strict=True)
                codes.append(quantized.codes[:rows])
                confidences.append(torch.cat([p_BK.gather(1, codes_B1) for p_BK, codes_B1 in chosen], 1)[:rows])
        return torch.cat(codes), torch.cat(confidences)

    def level_distances(self, x_BD: Tensor) -> tuple[Tensor, ...]:
        """Per level B×K, the squared distances of which the least decides the code."""
        with self._evaluating():
            parts = [self.quantizer(latents).distances for latents, _ in self._latent_blocks(x_BD)]
            return tuple(torch.cat(level)[: len(x_BD)] for level in zip(*parts, strict=True))

    def decode(self, codes_BL: Tensor) -> Tensor:
        """Embeddings of codes, or of prefixes of codes, B×D."""
        with self._evaluating():
            return self.reconstruct(self.quantizer.decode(codes_BL))
