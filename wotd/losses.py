"""The terms that training minimises, each in its own unit, and their weighted sum.

Shape letters: B batch, L levels, K codes of a level, Z latent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional

from wotd.encoders.semantic_encoder import SemanticEncoding
from wotd.errors import ConfigurationError


@dataclass(frozen=True)
class LossWeights:
    """How much each term counts in the sum; 0 switches a term off."""

    reconstruction: float = 1.0
    commitment: float = 0.25
    entropy: float = 0.02
    diversity: float = 0.02
    alignment: float = 0.1

    def __post_init__(self) -> None:
        """Refuse weights that are negative or not finite."""
        for name, weight in asdict(self).items():
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < math.inf:
                raise ConfigurationError(f"model.losses.{name} is {weight}; expected a finite number, 0 or more.")


@dataclass(frozen=True)
class LossTerms:
    """Values of the terms on one batch, unweighted.

    Attributes:
        reconstruction: squared error over the variance of the data (nMSE).
        commitment: squared distance of latents from what their codes stand for, over the variance of the latents.
        entropy: entropy of a row's codes less entropy of the batch's codes, per level as a share of
            log K, or, where a level has a label prior, plus the divergence of the batch from it.
        diversity: chance that two rows say the same code of a level, 0 where all codes are said alike
            often, 1 where one is all that is said.
        alignment: cross-entropy of labels under the levels' probabilities, in nats, over known labels.
    """

    reconstruction: Tensor
    commitment: Tensor
    entropy: Tensor
    diversity: Tensor
    alignment: Tensor

    def weighted(self, weights: LossWeights) -> LossTerms:
        """Each term times its weight."""
        return LossTerms(**{f.name: getattr(self, f.name) * getattr(weights, f.name) for f in fields(self)})

    def total(self) -> Tensor:
        """The sum of the terms."""
        return torch.stack(list(self.to_mapping().values())).sum()

    def to_mapping(self) -> dict[str, Tensor]:
        """Terms by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


def semantic_losses(
    encoding: SemanticEncoding,
    sharpness_L: Tensor,
    labels_BL: Tensor | None = None,
    priors: Sequence[Tensor | None] = (),
) -> LossTerms:
    """All terms for one batch.

    Args:
        encoding: what the model made of the batch.
        sharpness_L: :attr:`SemanticEncoder.sharpness`, which is measured, not learned: training would grow it
            without end, so that every row looks certain.
        labels_BL: int64, -1 where unknown or never seen in training; None where no level is supervised.
        priors: per level, the distribution of its labels in the training data (K), or None where
            the level is free.
    """
    quantized = encoding.quantized
    priors = priors or [None] * len(quantized.distances)
    entropies, diversities = [], []
    # Under autocast, half-precision logits could not tell near codes apart.
    with torch.autocast(sharpness_L.device.type, enabled=False):
        for level, (distances_BK, prior_K) in enumerate(zip(quantized.distances, priors, strict=True)):
            log_p_BK = functional.log_softmax(-distances_BK * sharpness_L[level], 1)
            p_BK = log_p_BK.exp()
            entropies.append(_entropy_term(p_BK, log_p_BK, prior_K))
            diversities.append(_diversity_term(p_BK))
        return LossTerms(
            reconstruction=encoding.reconstruction_loss,
            commitment=quantized.commitment,
            entropy=torch.stack(entropies).mean(),
            diversity=torch.stack(diversities).mean(),
            alignment=_alignment_term(quantized.distances, sharpness_L, labels_BL, priors),
        )


def _entropy_term(p_BK: Tensor, log_p_BK: Tensor, prior_K: Tensor | None) -> Tensor:
    """Rows should be sure of one code, and the batch should use all of them, or those of the prior."""
    per_row = -(p_BK * log_p_BK).sum(1).mean()
    mean_K = p_BK.mean(0).clamp_min(1e-12)
    if prior_K is None:
        batch = (mean_K * mean_K.log()).sum()
    else:
        batch = (mean_K * (mean_K.log() - prior_K.clamp_min(1e-6).log())).sum()
    return (per_row + batch) / math.log(log_p_BK.shape[1])


def _diversity_term(p_BK: Tensor) -> Tensor:
    """Chance that two rows of the batch say the same code; between 1/K and 1, told from 0 to 1.

    Source: E. H. Simpson, "Measurement of Diversity" (1949).
    """
    same = p_BK.mean(0).square().sum()
    least = 1 / p_BK.shape[1]
    return (same - least) / (1 - least)


def _alignment_term(
    distances: Sequence[Tensor], sharpness_L: Tensor, labels_BL: Tensor | None, priors: Sequence[Tensor | None]
) -> Tensor:
    """Mean over levels with a known label in the batch; zero where there is none.

    Labels count the same, however common: unseen authors write in other proportions.
    """
    terms = [
        functional.cross_entropy(-distances_BK * sharpness, labels_B, weight=_evenly(prior_K), ignore_index=-1)
        for distances_BK, sharpness, labels_B, prior_K in zip(
            distances, sharpness_L, [] if labels_BL is None else labels_BL.unbind(1), priors, strict=False
        )
        if bool((labels_B >= 0).any())
    ]
    # Zero with a gradient: distributed training waits for one of every parameter.
    return torch.stack(terms).mean() if terms else sum((d.sum() for d in distances), sharpness_L.sum()) * 0.0


def _evenly(prior_K: Tensor | None) -> Tensor | None:
    """Weights under which labels of that distribution count the same; those that never occur count nothing."""
    return None if prior_K is None else torch.where(prior_K > 0, 1 / prior_K.clamp_min(1e-12), 0)
