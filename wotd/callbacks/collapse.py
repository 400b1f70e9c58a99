"""What has collapsed in a model, and why; plain functions, no trainer.

Distances and spreads are told in units of the data's variance, as nMSE is: 1 is what tells the
training embeddings apart. Shape letters: N rows, D embedding, Z latent, L levels, K codes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from wotd.encoders import SemanticEncoder
from wotd.metrics.usage import level_usage
from wotd.module import SemanticIDModule
from wotd.quantization import HierarchicalVectorQuantizer
from wotd.quantization.walk import walk

VANISHED = 1e-6
"""Share of the data's variance below which there is nothing left to tell apart."""

GROWN = 100.0
"""Times the data's variance by which latents may spread; they start below 1."""


@dataclass(frozen=True)
class Finding:
    """What is wrong with a run.

    Attributes:
        sentence: cause, numbers and the setting to change.
        levels: the levels that have collapsed; none where the loss is what is wrong.
        taught: whether labels say which codes these levels use, so that no restart can mend them.
    """

    sentence: str
    levels: tuple[int, ...] = ()
    taught: bool = False


@torch.no_grad()
def collapsed_levels(
    module: SemanticIDModule, x_ND: Tensor, *, perplexity_below: float, share_below: float = 0.0
) -> list[Finding]:
    """The levels that say as good as the same few codes of every row; one finding for all where it is all of them.

    Args:
        module: whose model is looked at, as it would encode; it is left as it was.
        x_ND: a sample of training embeddings.
        perplexity_below: effective number of codes below which a level has collapsed.
        share_below: the same as a share of its codes; the larger of the two counts.
    """
    model = module.model
    codes_NL = model.encode(x_ND)
    usages = [
        level_usage(torch.bincount(codes_N, minlength=size))
        for codes_N, size in zip(codes_NL.unbind(1), model.level_sizes, strict=True)
    ]
    sizes = model.level_sizes
    collapsed = [
        level
        for level, usage in enumerate(usages)
        if usage.perplexity < max(perplexity_below, share_below * sizes[level])
    ]
    if not collapsed:
        return []
    latents_NZ = _latents(model, x_ND)
    taught = [level for level in collapsed if level in model.quantizer.taught]
    causes = {level: _cause(module, level, latents_NZ, codes_NL) for level in collapsed}
    if len(collapsed) == len(usages):
        code = "-".join(str(int(index)) for index in codes_NL.mode(0).values)
        first = next((level for level in collapsed if level not in taught), 0)
        said = f"zero entropy: as good as all of {len(x_ND)} training rows get the code {code}"
        return [Finding(f"{said}; level {first} does since {causes[first]}.", tuple(collapsed))]
    return [
        Finding(
            f"level {level} has collapsed: of {model.level_sizes[level]} codes it uses {usages[level].perplexity:.2f} "
            f"(perplexity, {len(x_ND)} training rows), since {causes[level]}.",
            (level,),
            level in taught,
        )
        for level in collapsed
    ]


def _latents(model: SemanticEncoder, x_ND: Tensor) -> Tensor:
    """Latents as the model would encode them, N×Z: in eval mode, which drops no units."""
    training = model.training
    model.eval()
    latents_NZ = model.latents(x_ND)
    model.train(training)
    return latents_NZ


def _cause(module: SemanticIDModule, level: int, latents_NZ: Tensor, codes_NL: Tensor) -> str:
    """Why a level says one code of all rows, and what to change."""
    model, losses = module.model, module.losses
    rate = f"model.optimizer.learning_rate ({module.optimizer.learning_rate:g})"
    commitment = f"model.losses.commitment ({losses.commitment:g})"
    spread = _spread(latents_NZ, model.input_dim)
    if spread < VANISHED:
        return f"the latents hardly differ ({spread:.1e} of the data's variance); lower {rate} or {commitment}"
    if spread > GROWN:
        return f"the latents have grown to {spread:.1e} times the data's variance; lower {rate}"
    if level in model.quantizer.taught:
        return (
            f"its view of the latents tells no labels apart; see what labels the texts have, lower {rate}, or raise "
            f"model.losses.alignment ({losses.alignment:g})"
        )
    if not isinstance(model.quantizer, HierarchicalVectorQuantizer):
        return (
            f"its number stays within one step of its grid; lower {rate} or raise model.losses.entropy "
            f"({losses.entropy:g})"
        )
    spread = _spread(latents_NZ - model.quantizer.decode(codes_NL[:, :level]), model.input_dim)
    if spread < VANISHED:
        return (
            f"the levels before it leave nothing over ({spread:.1e} of the data's variance); lower {commitment}, or "
            f"give model.level_sizes fewer levels or codes"
        )
    _, distances, _ = walk(model.quantizer.search, latents_NZ, codes_NL)
    gaps_NK = distances[level] / model.input_dim
    said_N, *_, others_N = gaps_NK.sort(1).values.unbind(1)
    mend = f"lower {rate}, so that codewords keep up with the latents"
    if not model.quantizer.revive_below:
        mend = "set model.quantizer.revive_below, which is 0, to 0.02, so that unused codes are moved"
    where = "lie out of reach of" if float((others_N - said_N).mean()) > spread else "huddle together beside"
    return (
        f"its codewords {where} what is left over (spread {spread:.2g}, at a distance of {float(said_N.mean()):.2g} to "
        f"{float(others_N.mean()):.2g}); {mend}"
    )


def _spread(vectors_NZ: Tensor, dimension: int) -> float:
    """Variance over rows, summed over the latent and told per dimension of the embeddings."""
    return float(vectors_NZ.var(0, correction=0).sum()) / dimension
