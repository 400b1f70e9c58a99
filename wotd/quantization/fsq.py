"""Finite scalar quantization: each level is one bounded number, rounded to its grid.

Shape letters: N rows, B batch, L levels, K codes of a level, Z latent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from wotd.errors import ConfigurationError
from wotd.quantization.products import linear
from wotd.quantization.quantized import Quantized


class FiniteScalarQuantizer(nn.Module):
    """One linear reading of the latent per level, bounded by tanh and rounded to equal steps.

    Its levels are parallel, not residual: a prefix leaves the later numbers at the middle of their
    grids. There is no codebook that could collapse.

    Source: F. Mentzer et al., "Finite Scalar Quantization: VQ-VAE Made Simple" (2023).
    """

    log_sharpness_L: Tensor
    scale_L: Tensor
    started: Tensor

    rounds = 0
    """Nothing is given anew: it starts in one step."""

    encode_mode = "greedy"
    """How codes are found, as artifacts record it."""

    def __init__(
        self, dim: int, level_sizes: Sequence[int], *, taught: Sequence[int] = (), feature_dim: int = 0
    ) -> None:
        """Make a quantizer of ``len(level_sizes)`` numbers read off latents of length ``dim``.

        ``taught`` levels differ from others only in the loss: a grid of one number has no view of
        its own that could start at the labels, and none that could look at features.
        """
        super().__init__()
        self.feature_dim = feature_dim
        self.taught = tuple(taught)
        self.dim, self.level_sizes = dim, tuple(int(size) for size in level_sizes)
        self.read = nn.Linear(dim, len(self.level_sizes), bias=False)
        self.write = nn.Linear(len(self.level_sizes), dim, bias=False)
        self.register_buffer("log_sharpness_L", torch.zeros(len(self.level_sizes)))
        self.register_buffer("scale_L", torch.ones(len(self.level_sizes)))
        self.register_buffer("started", torch.tensor(False))

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments that rebuild it."""
        return {"taught": list(self.taught), "feature_dim": self.feature_dim}

    @property
    def initialised(self) -> bool:
        """Whether it has seen the spread of the latents."""
        return bool(self.started)

    @torch.no_grad()
    def start(
        self,
        latents_NZ: Tensor,
        generator: torch.Generator,
        labels_NL: Tensor | None = None,
        features_NF: Tensor | None = None,
        *,
        on_round: Callable[[], object] = lambda: None,
    ) -> None:
        """Read the leading principal directions of a large sample, each scaled to fill its grid."""
        del generator, labels_NL, features_NF, on_round  # closed form, and no level can be told what to mean
        centred_NZ = latents_NZ - latents_NZ.mean(0)
        _, vectors_ZZ = torch.linalg.eigh(centred_NZ.T @ centred_NZ)
        directions_LZ = vectors_ZZ.flip(1)[:, : len(self.level_sizes)].T
        if len(directions_LZ) < len(self.level_sizes):
            directions_LZ = nn.functional.pad(directions_LZ, (0, 0, 0, len(self.level_sizes) - len(directions_LZ)))
        self.read.weight.copy_(directions_LZ)
        self.scale_L.copy_((latents_NZ @ directions_LZ.T).std(0, correction=0).clamp_min(1e-6) * 1.5)
        self.write.weight.copy_(directions_LZ.T * self.scale_L)
        self.started.fill_(True)

    def restart(self, latents_NZ: Tensor, generator: torch.Generator, features_NF: Tensor | None = None) -> None:
        """Read the leading directions of these latents from now on."""
        self.start(latents_NZ, generator, None, features_NF)

    def fit(
        self, latents_NZ: Tensor, generator: torch.Generator, features_NF: Tensor | None = None, *, rounds: int = 1
    ) -> None:
        """Do nothing: grids stay where they are."""

    @property
    def sharpness(self) -> Tensor:
        """Per level, what distances are multiplied with to become logits."""
        return self.log_sharpness_L.clamp(-20, 20).exp()

    def permute(self, level: int, permutation_K: Tensor) -> None:
        """Refuse: the codes of a grid are its numbers in order, and under other names they would not be.

        Raises:
            ConfigurationError: always.
        """
        del permutation_K
        raise ConfigurationError(
            f"the codes of level {level} are numbers in order, which cannot be renamed; model/quantizer=hvq has "
            f"codes that can."
        )

    def _grids(self) -> list[Tensor]:
        return [torch.linspace(-1, 1, size, device=self.scale_L.device) for size in self.level_sizes]

    def _bounded(self, latents_BZ: Tensor) -> Tensor:
        return torch.tanh(linear(latents_BZ, self.read.weight) / self.scale_L)

    def forward(
        self, latents_BZ: Tensor, features_BF: Tensor | None = None, codes_BL: Tensor | None = None
    ) -> Quantized:
        """Round a batch to the grids, or to these codes, with straight-through gradients."""
        del features_BF
        with torch.autocast(latents_BZ.device.type, enabled=False):
            bounded_BL = self._bounded(latents_BZ.float())
            distances = tuple(
                (values_B.unsqueeze(1) - grid_K).square()
                for values_B, grid_K in zip(bounded_BL.unbind(1), self._grids(), strict=True)
            )
            if codes_BL is None:
                codes_BL = torch.stack([distances_BK.argmin(1) for distances_BK in distances], 1)
            rounded_BL = self._values(codes_BL)
            straight_through_BL = bounded_BL + (rounded_BL - bounded_BL).detach()
            commitment = nn.functional.mse_loss(bounded_BL, rounded_BL)
            return Quantized(codes_BL, self.write(straight_through_BL), commitment, distances)

    def _values(self, codes_BL: Tensor) -> Tensor:
        columns = [grid_K[codes_B] for grid_K, codes_B in zip(self._grids(), codes_BL.unbind(1), strict=False)]
        return torch.stack(columns, 1)

    @torch.no_grad()
    def encode(self, latents_BZ: Tensor, features_BF: Tensor | None = None, *, beam: int | None = None) -> Tensor:
        """Codes of latents, int64 B×L; each level is rounded by itself, so there is nothing to search."""
        del features_BF, beam
        columns = zip(self._bounded(latents_BZ).unbind(1), self._grids(), strict=True)
        return torch.stack([(values_B.unsqueeze(1) - grid_K).square().argmin(1) for values_B, grid_K in columns], 1)

    def decode(self, codes_BL: Tensor) -> Tensor:
        """Latents of codes or of prefixes of codes, B×Z."""
        values_BL = self._values(codes_BL) if codes_BL.shape[1] else codes_BL.float()
        padded_BL = nn.functional.pad(values_BL, (0, len(self.level_sizes) - values_BL.shape[1]))
        latents_BZ: Tensor = self.write(padded_BL)
        return latents_BZ
