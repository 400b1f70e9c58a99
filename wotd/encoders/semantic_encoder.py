"""Embedding → latent → code → reconstruction: the model itself, in plain torch.

Shape letters: N passages, B batch, D embedding, F features, W = D + F, Z latent, L levels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from wotd.encoders.domain import Domain
from wotd.encoders.mlp import CorrectedLinear
from wotd.encoders.subspace import principal_directions
from wotd.errors import ConfigurationError, TrainingError
from wotd.quantization import HierarchicalVectorQuantizer, Quantized, build_quantizer
from wotd.quantization.reading import likeliest_log_sharpness

BLOCK_ROWS = 256
"""Rows that :meth:`SemanticEncoder.encode` takes at a time, padded to just that many.

Matrix products of different shapes may differ in their last bit, and a last bit can decide between
two codewords that are equally near; products of one shape give a row the same code in any company.
"""

CALIBRATION_ROWS = 16384
"""Rows, at most, on which :meth:`SemanticEncoder.calibrate` looks at all distances at once."""


MAX_LAYERS = 64
"""Levels, and layers, of a model that is read; no ID has more levels."""

_CHUNK_ROWS = 8192

_FARTHEST = 5.0
"""Spreads from its mean beyond which a feature counts no more: text unlike any book must not decide by one feature."""


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
    """Encoder, quantizer and decoder, with the mean and scale of the data they were started on.

    Rows may carry features of the text behind its embedding. Levels that labels teach look at both;
    what codes stand for, and so what free levels say, is the embedding alone.
    """

    mean_D: Tensor
    scale: Tensor
    feature_mean_F: Tensor
    feature_scale_F: Tensor
    calibration_bias_L: Tensor

    def __init__(
        self,
        input_dim: int,
        level_sizes: Sequence[int],
        *,
        feature_dim: int = 0,
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
            feature_dim: F, how many features follow the embedding in a row; may be 0.
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
        if feature_dim < 0:
            raise ConfigurationError(f"feature_dim is {feature_dim}; expected 0 or more.")
        if not 0 <= dropout < 1:
            raise ConfigurationError(f"model.dropout is {dropout}; expected 0 or more and less than 1.")
        if any(width < 1 for width in hidden):
            raise ConfigurationError(f"model.hidden is {list(hidden)}; expected widths of 1 or more.")
        self.input_dim, self.feature_dim = int(input_dim), int(feature_dim)
        self.latent_dim = int(min(latent_dim, input_dim))
        self.hidden, self.dropout, self.quantizer_kind = tuple(int(w) for w in hidden), float(dropout), quantizer
        self.encoder = CorrectedLinear(self.input_dim, self.hidden, self.latent_dim, dropout=self.dropout)
        options = {**(quantizer_options or {}), "feature_dim": self.feature_dim}
        self.quantizer = build_quantizer(quantizer, self.latent_dim, level_sizes, options)
        self.decoder = CorrectedLinear(self.latent_dim, self.hidden[::-1], self.input_dim, dropout=self.dropout)
        self.register_buffer("mean_D", torch.zeros(self.input_dim))
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("feature_mean_F", torch.zeros(self.feature_dim))
        self.register_buffer("feature_scale_F", torch.ones(self.feature_dim))
        self.register_buffer("calibration_bias_L", torch.zeros(len(self.level_sizes)))
        self.domain = Domain(self.width)

    @property
    def width(self) -> int:
        """W, how long a row is: embedding and features."""
        return self.input_dim + self.feature_dim

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
            "feature_dim": self.feature_dim,
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

    @classmethod
    def restored(cls, config: Mapping[str, Any], state: Mapping[str, Tensor]) -> SemanticEncoder:
        """A model of the shape that :attr:`config` says, in eval mode, with these weights; both may be a stranger's.

        Raises:
            ConfigurationError: if they do not fit each other; found out before room is made for what the config says.
            Exception: of any kind, where the config is none.
        """
        lists = [
            config.get("level_sizes", ()),
            config.get("hidden", ()),
            (config.get("quantizer_options") or {}).get("taught", ()),
        ]
        if (most := max(map(len, lists))) > MAX_LAYERS:
            raise ConfigurationError(
                f"the encoder has {most} levels, widths or taught levels; at most {MAX_LAYERS} are read."
            )
        with torch.device("meta"):
            shapes = {name: value.shape for name, value in cls.from_config(config).state_dict().items()}
        for name in sorted({*shapes, *state}):
            here, there = shapes.get(name), state[name].shape if name in state else None
            if here != there:
                told = [f"of {list(shape)} in" if shape is not None else "missing from" for shape in (here, there)]
                raise ConfigurationError(f"{name} is {told[0]} the config and {told[1]} the weights.")
            if state[name].untyped_storage().nbytes() < state[name].nbytes:
                raise ConfigurationError(f"{name} repeats its numbers, which no weights do.")
        with torch.random.fork_rng(devices=[]):  # reading must not change what a run draws next
            encoder = cls.from_config(config)
        encoder.load_state_dict(state)
        return encoder.eval()

    @torch.no_grad()
    def start(
        self,
        x_NW: Tensor,
        generator: torch.Generator,
        labels_NL: Tensor | None = None,
        *,
        on_round: Callable[[], object] = lambda: None,
    ) -> None:
        """Begin at the closed-form solution: principal subspace, then codewords in it.

        Args:
            x_NW: a large sample of the training rows, float32, work after work.
            generator: decides the k-means seeds and the folds.
            labels_NL: labels for the levels that are taught, -1 where unknown.
            on_round: is called after each round of the quantizer's fit.

        Raises:
            TrainingError: if all embeddings are equal, or fewer than a level has codes.
        """
        x_ND, features_NF = x_NW[:, : self.input_dim], x_NW[:, self.input_dim :]
        mean_D = x_ND.mean(0)
        centred_ND = x_ND - mean_D
        variance = centred_ND.square().mean()
        if not float(variance) > 0:
            raise TrainingError(f"all {len(x_ND)} training embeddings are equal; there is nothing to tell apart.")
        self.mean_D.copy_(mean_D)
        self.scale.copy_(variance.sqrt())
        if self.feature_dim:
            self.feature_mean_F.copy_(features_NF.mean(0))
            self.feature_scale_F.copy_(features_NF.std(0, correction=0).clamp_min(1e-6))
        self.domain.fit(x_NW)
        directions_ZD = principal_directions(centred_ND, self.latent_dim)
        self.encoder.start(directions_ZD)
        self.decoder.start(directions_ZD.T)
        latents_NZ = (centred_ND / self.scale) @ directions_ZD.T
        self.quantizer.start(latents_NZ, generator, labels_NL, self.features(x_NW), on_round=on_round)
        self.calibrate(x_NW)

    def restart(self, x_NW: Tensor, generator: torch.Generator) -> None:
        """Start the codewords anew on what the encoder makes of these rows; readings stay as they are."""
        with self._evaluating():
            self.quantizer.restart(self._all_latents(x_NW), generator, self.features(x_NW))

    def _all_latents(self, x_NW: Tensor) -> Tensor:
        return torch.cat([self.latents(block) for block in torch.split(x_NW, _CHUNK_ROWS)])

    def refit(self, x_NW: Tensor, generator: torch.Generator, *, rounds: int = 1) -> None:
        """Let the codewords follow an encoder that has learned since."""
        with self._evaluating():
            self.quantizer.fit(self._all_latents(x_NW), generator, self.features(x_NW), rounds=rounds)

    @torch.no_grad()
    def calibrate(self, x_NW: Tensor, labels_NL: Tensor | None = None, *, first: bool = False) -> None:
        """Set each level's sharpness, so that its probabilities can be read as confidences.

        A free level gets that by which distances count in units of the mean gap between the two nearest
        codes. A taught level has one from its start, where labels of many works told it; rows that are
        few works say how it has changed since, which is why they are also to be shown at the start.

        Args:
            x_NW: rows that training does not see, at most ``CALIBRATION_ROWS`` of which are looked at.
            labels_NL: their labels, -1 where unknown.
            first: whether the model has just been started.
        """
        number = min(len(x_NW), CALIBRATION_ROWS)
        rows = torch.arange(number) * len(x_NW) // max(1, number)  # spread evenly
        for level, distances_NK in enumerate(self.level_distances(x_NW[rows]) if number else ()):
            if level not in self.quantizer.taught:
                gap = distances_NK.topk(2, largest=False).values.diff().mean().clamp_min(1e-12)
                self.quantizer.log_sharpness_L[level] = -math.log(float(gap))
            elif labels_NL is not None and bool((known_N := labels_NL[rows, level] >= 0).any()):
                likeliest = likeliest_log_sharpness(distances_NK[known_N], labels_NL[rows, level][known_N])
                if first:
                    self.calibration_bias_L[level] = likeliest - self.quantizer.log_sharpness_L[level]
                self.quantizer.log_sharpness_L[level] = likeliest - self.calibration_bias_L[level]

    @property
    def sharpness(self) -> Tensor:
        """Per level, what distances are multiplied with to become logits."""
        return self.quantizer.sharpness

    def logits(self, distances: Sequence[Tensor]) -> list[Tensor]:
        """Per level B×K, what a softmax turns into the probability of each code."""
        return [-distances_BK * sharpness for distances_BK, sharpness in zip(distances, self.sharpness, strict=True)]

    def latents(self, x_BW: Tensor) -> Tensor:
        """Latents of the embeddings in rows, B×Z."""
        latents_BZ: Tensor = self.encoder((x_BW[:, : self.input_dim] - self.mean_D) / self.scale)
        return latents_BZ

    def features(self, x_BW: Tensor) -> Tensor | None:
        """The features in rows, each in units of its spread and no farther out than that of text can be, B×F."""
        if not self.feature_dim:
            return None
        standard_BF = (x_BW[:, self.input_dim :] - self.feature_mean_F) / self.feature_scale_F
        return standard_BF.clamp(-_FARTHEST, _FARTHEST)

    def reconstruct(self, quantized_BZ: Tensor) -> Tensor:
        """Embeddings of quantized latents, B×D."""
        x_BD: Tensor = self.decoder(quantized_BZ) * self.scale + self.mean_D
        return x_BD

    def forward(self, x_BW: Tensor) -> SemanticEncoding:
        """Encode, quantize and decode a batch."""
        latents_BZ = self.latents(x_BW)
        quantized = self.quantizer(latents_BZ, self.features(x_BW))
        reconstruction_BD = self.reconstruct(quantized.quantized)
        error = nn.functional.mse_loss(reconstruction_BD.float(), x_BW[:, : self.input_dim].float())
        return SemanticEncoding(latents_BZ, quantized, reconstruction_BD, error / self.scale.square())

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

    def _blocks(self, x_NW: Tensor) -> Iterator[tuple[Tensor, int]]:
        """Blocks of just ``BLOCK_ROWS`` rows, the last one padded; how many rows count."""
        for block in torch.split(x_NW, BLOCK_ROWS):
            missing = BLOCK_ROWS - len(block)
            yield nn.functional.pad(block, (0, 0, 0, missing)) if missing else block, len(block)

    def _codes(self, x_BW: Tensor, beam: int | None = None, latents_BZ: Tensor | None = None) -> Tensor:
        """Codes of one block, B×L; its latents where they are known."""
        quantizer, encoder = self.quantizer, self.encoder
        if isinstance(quantizer, HierarchicalVectorQuantizer) and not quantizer.taught and encoder.correction is None:
            # Nothing but distances matters, which a linear encoder leaves products of the embedding itself.
            return quantizer.encode_through(
                encoder.linear, self.scale, x_BW[:, : self.input_dim] - self.mean_D, beam=beam
            )
        latents_BZ = self.latents(x_BW) if latents_BZ is None else latents_BZ
        return quantizer.encode(latents_BZ, self.features(x_BW), beam=beam)

    def encode(self, x_BW: Tensor, *, beam: int | None = None) -> Tensor:
        """Codes of rows, int64 B×L; a row's code does not depend on the rows beside it.

        Args:
            x_BW: embeddings, features behind them.
            beam: width of the search in place of the quantizer's own.
        """
        with self._evaluating():
            return torch.cat([self._codes(block, beam)[:rows] for block, rows in self._blocks(x_BW)])

    def encode_with_confidence(self, x_BW: Tensor) -> tuple[Tensor, Tensor]:
        """The codes that :meth:`encode` gives, and the probability of each, float32 B×L."""
        codes, confidences = [], []
        with self._evaluating():
            for block, rows in self._blocks(x_BW):
                latents_BZ = self.latents(block)
                codes_BL = self._codes(block, latents_BZ=latents_BZ)
                distances = self.quantizer(latents_BZ, self.features(block), codes_BL).distances
                chosen = zip(self.logits(distances), torch.split(codes_BL, 1, 1), strict=True)
                codes.append(codes_BL[:rows])
                confidences.append(
                    torch.cat([z_BK.softmax(1).gather(1, code_B1) for z_BK, code_B1 in chosen], 1)[:rows]
                )
        return torch.cat(codes), torch.cat(confidences)

    def errors(self, x_NW: Tensor, codes_NL: Tensor) -> Tensor:
        """Squared error of what codes decode to over the variance of the training data, float32 N.

        A row's error does not depend on the rows beside it.
        """
        errors = []
        with self._evaluating():
            for (block, rows), (codes, _) in zip(self._blocks(x_NW), self._blocks(codes_NL), strict=True):
                apart_BD = self.decode(codes) - block[:, : self.input_dim]
                errors.append(apart_BD.square().mean(1)[:rows] / self.scale.square())
        return torch.cat(errors)

    def level_distances(self, x_BW: Tensor) -> tuple[Tensor, ...]:
        """Per level B×K: squared distances as the quantizer tells them (:class:`Quantized`)."""
        with self._evaluating():
            blocks = [block for block, _ in self._blocks(x_BW)]
            parts = [self.quantizer(self.latents(block), self.features(block)).distances for block in blocks]
            return tuple(torch.cat(level)[: len(x_BW)] for level in zip(*parts, strict=True))

    def decode(self, codes_BL: Tensor) -> Tensor:
        """Embeddings of codes, or of prefixes of codes, B×D."""
        with self._evaluating():
            return self.reconstruct(self.quantizer.decode(codes_BL))
