"""The terms that training minimises, each in its own unit, and their weighted sum.

Shape letters: B batch, L levels, K codes of a level, Z latent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from wotd.encoders.semantic_encoder import SemanticEncoding
from wotd.errors import ConfigurationError

Sum = Callable[[Tensor], Tensor]
"""Adds a tensor up over the processes that share a batch; it has no gradient."""


def _alone(value: Tensor) -> Tensor:
    """The sum over one process."""
    return value.detach()


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
    summed: Sum = _alone,
) -> LossTerms:
    """All terms for one batch, or for a process's part of a common one.

    Where processes share a batch, the mean of their terms, each weighted by its rows, is the term of the common batch,
    and so is the mean of the gradients where they have equally many rows.

    Args:
        encoding: what the model made of the batch.
        sharpness_L: :attr:`SemanticEncoder.sharpness`, which is measured, not learned: training would grow it
            without end, so that every row looks certain.
        labels_BL: int64, -1 where unknown or never seen in training; None where no level is supervised.
        priors: per level, the distribution of its labels in the training data (K), or None where
            the level is free.
        summed: adds up over the processes that share the batch.
    """
    quantized = encoding.quantized
    priors = priors or [None] * len(quantized.distances)
    # Under autocast, half-precision logits could not tell near codes apart.
    with torch.autocast(sharpness_L.device.type, enabled=False):
        entropy_L, diversity_L = _use_of_codes(quantized.distances, sharpness_L, priors, summed)
        return LossTerms(
            reconstruction=encoding.reconstruction_loss,
            commitment=quantized.commitment,
            entropy=entropy_L.mean(),
            diversity=diversity_L.mean(),
            alignment=_alignment_term(quantized.distances, sharpness_L, labels_BL, priors, summed),
        )


def _use_of_codes(
    distances: Sequence[Tensor], sharpness_L: Tensor, priors: Sequence[Tensor | None], summed: Sum
) -> tuple[Tensor, Tensor]:
    """Entropy and diversity per level, levels of one size together, for speed."""
    terms = []
    for size in dict.fromkeys(distances_BK.shape[1] for distances_BK in distances):
        levels = [level for level, distances_BK in enumerate(distances) if distances_BK.shape[1] == size]
        distances_BMK = torch.stack([distances[level] for level in levels], 1)
        none_K = sharpness_L.new_zeros(size)
        log_priors = [none_K if prior_K is None else prior_K.clamp_min(1e-6).log() for prior_K in priors]
        log_prior_MK = torch.stack([log_priors[level] for level in levels])
        terms.append(_UseOfCodes.apply(distances_BMK, sharpness_L[levels], log_prior_MK, summed))  # type: ignore[no-untyped-call]
    entropies, diversities = zip(*terms, strict=True)
    return torch.cat(entropies), torch.cat(diversities)


class _UseOfCodes(torch.autograd.Function):
    """Entropy and diversity of M levels of one size; the gradient by hand, for a graph of them would be felt.

    Entropy: rows should be sure of one code, and the batch should use all of them, or those of the prior.
    Diversity: the chance that two rows of the batch say the same code, between 1/K and 1, told from 0 to 1.

    Source: E. H. Simpson, "Measurement of Diversity" (1949).
    """

    @staticmethod
    def forward(
        ctx: Any, distances_BMK: Tensor, sharpness_M: Tensor, log_prior_MK: Tensor, summed: Sum
    ) -> tuple[Tensor, Tensor]:
        """The two terms of each level, of probabilities softmax(-sharpness · distances)."""
        size = distances_BMK.shape[2]
        log_p_BMK = torch.log_softmax(distances_BMK * -sharpness_M.unsqueeze(1), 2)
        p_BMK = log_p_BMK.exp()
        mean_MK = p_BMK.mean(0) if summed is _alone else _common_mean(p_BMK, summed)
        unlike_prior_MK = mean_MK.clamp_min(1e-12).log() - log_prior_MK
        row_entropy_M = -torch.linalg.vecdot(p_BMK, log_p_BMK).mean(0)
        entropy_M = (row_entropy_M + torch.linalg.vecdot(mean_MK, unlike_prior_MK)) / math.log(size)
        diversity_M = (mean_MK.square().sum(1) - 1 / size) / (1 - 1 / size)
        ctx.save_for_backward(log_p_BMK, p_BMK, mean_MK, unlike_prior_MK, sharpness_M)
        return entropy_M, diversity_M

    @staticmethod
    def backward(ctx: Any, entropy_M: Tensor, diversity_M: Tensor) -> tuple[Tensor, None, None, None]:
        """The gradient of the distances; what is the same for all codes of a row leaves its softmax as it is."""
        log_p_BMK, p_BMK, mean_MK, unlike_prior_MK, sharpness_M = ctx.saved_tensors
        rows, _, size = p_BMK.shape
        of_entropy_M1 = entropy_M.unsqueeze(1) / (rows * math.log(size))
        of_diversity_M1 = diversity_M.unsqueeze(1) * (2 / (rows * (1 - 1 / size)))
        toward_BMK = torch.addcmul(
            of_entropy_M1 * unlike_prior_MK + of_diversity_M1 * mean_MK, log_p_BMK, of_entropy_M1, value=-1
        )
        toward_BMK.sub_(torch.linalg.vecdot(p_BMK, toward_BMK).unsqueeze(2))
        return toward_BMK.mul_(p_BMK).mul_(-sharpness_M.unsqueeze(1)), None, None, None


def _common_mean(p_BMK: Tensor, summed: Sum) -> Tensor:
    """Mean over the rows of all processes, M×K."""
    sums = summed(torch.cat([p_BMK.sum(0).flatten(), p_BMK.new_tensor([len(p_BMK)])]))
    return (sums[:-1] / sums[-1]).view(p_BMK.shape[1:])


def _alignment_term(
    distances: Sequence[Tensor],
    sharpness_L: Tensor,
    labels_BL: Tensor | None,
    priors: Sequence[Tensor | None],
    summed: Sum,
) -> Tensor:
    """Mean over levels with a known label in the batch; zero, with a gradient, where there is none.

    Labels count the same, however common: unseen authors write in other proportions.
    """
    if labels_BL is None:
        return sharpness_L.new_zeros(())
    losses, weights = [], []
    for distances_BK, sharpness, labels_B, prior_K in zip(
        distances, sharpness_L, labels_BL.unbind(1), priors, strict=False
    ):
        weight_K = _evenly(prior_K)
        logits_BK = -distances_BK * sharpness
        losses.append(functional.cross_entropy(logits_BK, labels_B, weight=weight_K, ignore_index=-1, reduction="sum"))
        known_B = labels_B >= 0
        weight_B = known_B if weight_K is None else torch.where(known_B, weight_K[labels_B.clamp_min(0)], 0)
        weights.append(weight_B.sum())
    if not losses:  # distributed training waits for a gradient of every parameter
        return sum((d.sum() for d in distances), sharpness_L.sum()) * 0.0
    rows = sharpness_L.new_tensor(len(labels_BL))
    *total, all_rows = summed(torch.stack([*weights, rows])).unbind()
    total_L = torch.stack(total)
    present_L = total_L > 0
    mean_L = torch.stack(losses) * (all_rows / rows) / torch.where(present_L, total_L, 1)
    return mean_L.sum() / present_L.sum().clamp_min(1)


def _evenly(prior_K: Tensor | None) -> Tensor | None:
    """Weights under which labels of that distribution count the same; those that never occur count nothing."""
    return None if prior_K is None else torch.where(prior_K > 0, 1 / prior_K.clamp_min(1e-12), 0)
