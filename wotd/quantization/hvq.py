"""The hierarchical vector quantizer: a residual quantizer with its own number of codes on each level.

Shape letters: N rows, B batch, L levels, K codes of a level, Z latent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from wotd.quantization.codebook import Codebook


@dataclass(frozen=True)
class Quantized:
    """What a quantizer says of a batch.

    Attributes:
        codes: int64 B×L, one index per level.
        quantized: B×Z, the sum of the codewords, with the gradient of the latents (straight-through).
        commitment: mean squared distance between each level's input and its codeword, over levels.
        inputs: per level B×Z (B×1 where levels are numbers), what the level was given to say.
        distances: per level B×K, squared distances of the level's input to the codewords.
    """

    codes: Tensor
    quantized: Tensor
    commitment: Tensor
    inputs: tuple[Tensor, ...]
    distances: tuple[Tensor, ...]


class HierarchicalVectorQuantizer(nn.Module):
    """Level by level, the nearest codeword of what the levels before it left over.

    The first codes of a row do not depend on later levels, so every prefix of a code is a coarser
    code of the same row.

    Source: residual quantization as in N. Zeghidour et al., "SoundStream" (2021), algorithm 1, with
    codebooks by moving averages and a k-means start; level sizes may differ.
    """

    def __init__(
        self,
        dim: int,
        level_sizes: Sequence[int],
        *,
        decay: float = 0.99,
        revive_below: float = 0.02,
        start_iterations: int = 20,
    ) -> None:
        """Make an unstarted quantizer of ``len(level_sizes)`` levels over latents of length ``dim``."""
        super().__init__()
        self.dim, self.level_sizes = dim, tuple(int(size) for size in level_sizes)
        self.start_iterations = start_iterations
        self.codebooks = nn.ModuleList(
            Codebook(size, dim, decay=decay, revive_below=revive_below) for size in self.level_sizes
        )
        self._options = {"decay": decay, "revive_below": revive_below, "start_iterations": start_iterations}

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments that rebuild it."""
        return dict(self._options)

    @property
    def levels(self) -> list[Codebook]:
        """The codebooks, coarse to fine."""
        return list(self.codebooks)  # type: ignore[arg-type]

    @property
    def initialised(self) -> bool:
        """Whether every level has been started."""
        return all(bool(level.initialised) for level in self.levels)

    @torch.no_grad()
    def start(self, latents_NZ: Tensor, generator: torch.Generator, labels_NL: Tensor | None = None) -> None:
        """Start each level on the residuals of the levels before it.

        Args:
            latents_NZ: a large sample of latents.
            generator: decides the k-means seeds.
            labels_NL: labels, -1 where unknown. A level with any known label starts at the means of
                its labels, so that code k means label k; others start by k-means.
        """
        residuals_NZ = latents_NZ
        for index, level in enumerate(self.levels):
            if labels_NL is not None and bool((labels_NL[:, index] >= 0).any()):
                level.start_from_labels(residuals_NZ, labels_NL[:, index], generator)
            else:
                level.start(residuals_NZ, generator, iterations=self.start_iterations)
            codes_N = level.nearest(level.distances(residuals_NZ))
            residuals_NZ = residuals_NZ - level.lookup(codes_N)

    def forward(self, latents_BZ: Tensor, labels_BL: Tensor | None = None) -> Quantized:
        """Quantize a batch; in training mode let the codebooks follow it.

        Args:
            latents_BZ: the latents.
            labels_BL: in training, codes that a row's levels ought to have (-1: none). Such a
                codeword follows the rows that ought to bear it, not the rows that happen to.
        """
        # Under autocast, half-precision distances could not tell near codewords apart.
        with torch.autocast(latents_BZ.device.type, enabled=False):
            residuals_BZ = latents_BZ.float()
            codes, inputs, distances, commitments = [], [], [], []
            quantized_BZ = torch.zeros_like(residuals_BZ)
            for index, level in enumerate(self.levels):
                distances_BK = level.distances(residuals_BZ)
                codes_B = level.nearest(distances_BK.detach())
                codeword_BZ = level.lookup(codes_B)
                commitments.append(nn.functional.mse_loss(residuals_BZ, codeword_BZ))
                if self.training:
                    labels_B = None if labels_BL is None else labels_BL[:, index]
                    self._follow(level, residuals_BZ.detach(), codes_B, labels_B)
                inputs.append(residuals_BZ)
                quantized_BZ = quantized_BZ + codeword_BZ
                residuals_BZ = residuals_BZ - codeword_BZ
                codes.append(codes_B)
                distances.append(distances_BK)
            straight_through_BZ = latents_BZ + (quantized_BZ - latents_BZ).detach()
        return Quantized(
            torch.stack(codes, 1),
            straight_through_BZ,
            torch.stack(commitments).mean(),
            tuple(inputs),
            tuple(distances),
        )

    @staticmethod
    def _follow(level: Codebook, residuals_BZ: Tensor, codes_B: Tensor, labels_B: Tensor | None) -> None:
        if labels_B is not None and bool((labels_B >= 0).any()):
            level.update(residuals_BZ, torch.where(labels_B >= 0, labels_B, codes_B))
            return
        level.update(residuals_BZ, codes_B)
        level.revive(residuals_BZ)

    @torch.no_grad()
    def encode(self, latents_BZ: Tensor) -> Tensor:
        """Codes of latents, int64 B×L."""
        residuals_BZ, codes = latents_BZ, []
        for level in self.levels:
            codes_B = level.nearest(level.distances(residuals_BZ))
            residuals_BZ = residuals_BZ - level.lookup(codes_B)
            codes.append(codes_B)
        return torch.stack(codes, 1)

    def decode(self, codes_BL: Tensor) -> Tensor:
        """The sum of the codewords of codes or of prefixes of codes, B×Z."""
        total_BZ = torch.zeros(len(codes_BL), self.dim, device=codes_BL.device)
        for level, codes_B in zip(self.levels, codes_BL.unbind(1), strict=False):
            total_BZ = total_BZ + level.lookup(codes_B)
        return total_BZ
