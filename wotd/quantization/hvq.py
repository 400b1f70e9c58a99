"""The hierarchical vector quantizer: a residual quantizer with its own number of codes on each level.

Shape letters: N rows, B batch, L levels, K codes of a level, Z latent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from wotd.errors import ConfigurationError, TrainingError
from wotd.quantization.codebook import Codebook, assign
from wotd.quantization.reading import LevelReading


@dataclass(frozen=True)
class Quantized:
    """What a quantizer says of a batch.

    Attributes:
        codes: int64 B×L, one index per level.
        quantized: B×Z, the sum of the codewords, with the gradient of the latents (straight-through).
        commitment: mean squared distance between a free level's input and its codeword, over levels
            and dimensions; that between latents and quantized where all levels are taught.
        inputs: per level B×Z (B×1 where levels are numbers), what the level was given to say.
        distances: per level B×K, the squared distances of which the least decides the code.
    """

    codes: Tensor
    quantized: Tensor
    commitment: Tensor
    inputs: tuple[Tensor, ...]
    distances: tuple[Tensor, ...]


class HierarchicalVectorQuantizer(nn.Module):
    """A code level by level; its codewords add up to what it stands for.

    A *free* level says the nearest codeword of what the levels before it left over. A *taught*
    level says the nearest key in its own view of the latent (:class:`LevelReading`); its codeword
    is the mean of what was left over where it says so. Either way the first codes of a row do not
    depend on later levels, so every prefix of a code is a coarser code of the same row.

    Source: residual quantization as in N. Zeghidour et al., "SoundStream" (2021), algorithm 1, with
    codebooks by moving averages and a k-means start; level sizes may differ.
    """

    def __init__(
        self,
        dim: int,
        level_sizes: Sequence[int],
        *,
        taught: Sequence[int] = (),
        decay: float = 0.99,
        revive_below: float = 0.02,
        start_iterations: int = 20,
    ) -> None:
        """Make an unstarted quantizer.

        Args:
            dim: Z.
            level_sizes: codes per level.
            taught: indices of the levels that are taught by labels.
            decay: share of a codeword's running sum that a batch leaves in place.
            revive_below: use, as a share of an even share, below which a free level's code is moved.
            start_iterations: of k-means, per level.

        Raises:
            ConfigurationError: if a number is out of range.
        """
        super().__init__()
        if start_iterations < 1:
            raise ConfigurationError(f"model.quantizer.start_iterations is {start_iterations}; expected 1 or more.")
        if strange := [level for level in taught if not 0 <= level < len(level_sizes)]:
            raise ConfigurationError(
                f"model.quantizer.taught names the levels {strange}; there are levels 0 to {len(level_sizes) - 1}."
            )
        self.dim, self.level_sizes = dim, tuple(int(size) for size in level_sizes)
        self.taught, self.start_iterations = tuple(sorted(int(level) for level in taught)), start_iterations
        self.codebooks = nn.ModuleList(
            Codebook(size, dim, decay=decay, revive_below=revive_below) for size in self.level_sizes
        )
        self.readings = nn.ModuleDict({str(level): LevelReading(self.level_sizes[level], dim) for level in self.taught})
        self._options = {"decay": decay, "revive_below": revive_below, "start_iterations": start_iterations}

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments that rebuild it."""
        return {"taught": list(self.taught), **self._options}

    @property
    def levels(self) -> list[Codebook]:
        """The codebooks, coarse to fine."""
        return list(self.codebooks)  # type: ignore[arg-type]

    @property
    def initialised(self) -> bool:
        """Whether every level has been started."""
        return all(bool(level.initialised) for level in self.levels)

    def _distances(self, level: int, latents_BZ: Tensor, residuals_BZ: Tensor) -> Tensor:
        if level in self.taught:
            distances_BK: Tensor = self.readings[str(level)].distances(latents_BZ)  # type: ignore[operator]
            return distances_BK
        return self.levels[level].distances(residuals_BZ)

    @torch.no_grad()
    def start(self, latents_NZ: Tensor, generator: torch.Generator, labels_NL: Tensor | None = None) -> None:
        """Start each level on the residuals of the levels before it.

        Args:
            latents_NZ: a large sample of latents.
            generator: decides the k-means seeds.
            labels_NL: labels of the taught levels, -1 where unknown.

        Raises:
            TrainingError: if a taught level has no label at all, or a free one too few rows.
        """
        residuals_NZ = latents_NZ
        for index, level in enumerate(self.levels):
            if index in self.taught:
                if labels_NL is None or not bool((labels_NL[:, index] >= 0).any()):
                    raise TrainingError(f"level {index} is to be taught by labels, but no training passage has one.")
                self.readings[str(index)].start(latents_NZ, labels_NL[:, index])  # type: ignore[operator]
                codes_N = self._distances(index, latents_NZ, residuals_NZ).argmin(1)
                level.start_from_codes(residuals_NZ, codes_N)
            else:
                level.start(residuals_NZ, generator, iterations=self.start_iterations)
                codes_N = assign(residuals_NZ, level.embed_KZ)
            residuals_NZ = residuals_NZ - level.lookup(codes_N)

    def permute(self, level: int, permutation_K: Tensor) -> None:
        """Rename the codes of a free level: code k is called ``permutation_K[k]`` from now on.

        Codes change by just that: later levels see what a codeword left over, not what it was called.

        Raises:
            ConfigurationError: if there is no such level, it is taught, or that is no permutation of its codes.
        """
        if not 0 <= level < len(self.level_sizes) or level in self.taught:
            free = [index for index in range(len(self.level_sizes)) if index not in self.taught]
            raise ConfigurationError(
                f"level is {level}; only the codes of free levels can be renamed, which are {free}, for those of a "
                f"taught level are its labels."
            )
        self.levels[level].permute(permutation_K)

    def forward(self, latents_BZ: Tensor) -> Quantized:
        """Quantize a batch; in training mode let the codewords follow it."""
        # Under autocast, half-precision distances could not tell near codewords apart.
        with torch.autocast(latents_BZ.device.type, enabled=False):
            latents_BZ = latents_BZ.float()
            residuals_BZ = latents_BZ
            codes, inputs, distances, commitments = [], [], [], []
            for index, level in enumerate(self.levels):
                distances_BK = self._distances(index, latents_BZ, residuals_BZ)
                codes_B = distances_BK.argmin(1)
                codeword_BZ = level.lookup(codes_B)
                if index not in self.taught:
                    commitments.append(nn.functional.mse_loss(residuals_BZ, codeword_BZ))
                if self.training:
                    self._follow(index, residuals_BZ.detach(), codes_B)
                inputs.append(residuals_BZ)
                residuals_BZ = residuals_BZ - codeword_BZ
                codes.append(codes_B)
                distances.append(distances_BK)
            quantized_BZ = latents_BZ - residuals_BZ.detach()  # the value of the sum, the gradient of the latents
            commitment = torch.stack(commitments or [residuals_BZ.square().mean()]).mean()
        return Quantized(torch.stack(codes, 1), quantized_BZ, commitment, tuple(inputs), tuple(distances))

    def _follow(self, index: int, residuals_BZ: Tensor, codes_B: Tensor) -> None:
        level = self.levels[index]
        level.update(residuals_BZ, codes_B)
        if index not in self.taught:  # which codes a taught level uses is for its labels to say
            level.revive(residuals_BZ)

    @torch.no_grad()
    def encode(self, latents_BZ: Tensor) -> Tensor:
        """Codes of latents, int64 B×L."""
        residuals_BZ, codes = latents_BZ, []
        for index, level in enumerate(self.levels):
            codes_B = self._distances(index, latents_BZ, residuals_BZ).argmin(1)
            residuals_BZ = residuals_BZ - level.lookup(codes_B)
            codes.append(codes_B)
        return torch.stack(codes, 1)

    def decode(self, codes_BL: Tensor) -> Tensor:
        """The sum of the codewords of codes or of prefixes of codes, B×Z."""
        total_BZ = torch.zeros(len(codes_BL), self.dim, device=codes_BL.device)
        for level, codes_B in zip(self.levels, codes_BL.unbind(1), strict=False):
            total_BZ = total_BZ + level.lookup(codes_B)
        return total_BZ
