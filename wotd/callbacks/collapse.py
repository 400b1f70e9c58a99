"""What has collapsed in a model, why, and how its codebooks start anew; plain functions, no trainer.

Distances and spreads are told in units of the data's variance, as nMSE is: 1 is what tells the
training embeddings apart. Shape letters: N rows, D embedding, Z latent, L levels, K codes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from wotd.metrics.usage import level_usage
from wotd.module import SemanticIDModule
from wotd.quantization import Codebook, HierarchicalVectorQuantizer

VANISHED = 1e-6
"""Share of the data's variance below which there is nothing left to tell apart."""

GROWN = 100.0
"""Times the data's variance by which latents may spread; they start below 1."""

ENOUGH_ROWS = 5.0
"""An evenly used code that gets fewer rows than this before it would count as dead is moved again and again.

Which rows come is chance: of 5 expected rows none comes with a probability of exp(-5), below one in a hundred.
"""


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


def starving_level(module: SemanticIDModule, batch_rows: int) -> list[Finding]:
    """The largest free level, if batches are too small to keep evenly used codes of it alive; else nothing.

    Args:
        module: whose quantizer is looked at.
        batch_rows: rows of a batch, over all processes.
    """
    quantizer = module.model.quantizer
    if not isinstance(quantizer, HierarchicalVectorQuantizer):
        return []
    free = [level for level in range(len(quantizer.levels)) if level not in quantizer.taught]
    largest = max(free, key=quantizer.level_sizes.__getitem__, default=None)
    reason = None if largest is None else _starving(largest, quantizer.levels[largest], batch_rows)
    return [] if largest is None or reason is None else [Finding(f"{reason}.", (largest,))]


@torch.no_grad()
def collapsed_levels(
    module: SemanticIDModule, x_ND: Tensor, *, batch_rows: int, perplexity_below: float
) -> list[Finding]:
    """The levels that say as good as the same code of every row; one finding for all where it is all of them.

    Args:
        module: whose model is looked at, as it would encode; it is left as it was.
        x_ND: a sample of training embeddings.
        batch_rows: rows of a training batch, over all processes.
        perplexity_below: effective number of codes below which a level has collapsed.
    """
    model = module.model
    codes_NL = model.encode(x_ND)
    usages = [
        level_usage(torch.bincount(codes_N, minlength=size))
        for codes_N, size in zip(codes_NL.unbind(1), model.level_sizes, strict=True)
    ]
    collapsed = [level for level, usage in enumerate(usages) if usage.perplexity < perplexity_below]
    if not collapsed:
        return []
    latents_NZ = sample_latents(module, x_ND)
    taught = [level for level in collapsed if level in model.quantizer.taught]
    causes = {level: _cause(module, level, latents_NZ, codes_NL, batch_rows) for level in collapsed}
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


@torch.no_grad()
def sample_latents(module: SemanticIDModule, x_ND: Tensor) -> Tensor:
    """Latents as the model would encode them, N×Z: in eval mode, which drops no units."""
    training = module.model.training
    module.model.eval()
    latents_NZ = module.model.latents(x_ND)
    module.model.train(training)
    return latents_NZ


@torch.no_grad()
def restart(quantizer: HierarchicalVectorQuantizer, first: int, latents_NZ: Tensor, generator: torch.Generator) -> None:
    """Start the codebooks of a level and of those behind it anew, on what is left over for them.

    Codewords, running sums and running counts are set together. A taught level keeps its codes; its
    codewords follow to the means of what is now left over where it says them.

    Args:
        quantizer: whose levels start anew.
        first: the coarsest of them.
        latents_NZ: a sample of latents, at least as many as a level has codes.
        generator: decides the k-means seeds.
    """
    for index in range(first, len(quantizer.levels)):
        codes_NL = quantizer.encode(latents_NZ)
        residuals_NZ = latents_NZ - quantizer.decode(codes_NL[:, :index])
        if index in quantizer.taught:
            quantizer.levels[index].start_from_codes(residuals_NZ, codes_NL[:, index])
        else:
            quantizer.levels[index].start(residuals_NZ, generator, iterations=quantizer.start_iterations)


def _starving(level: int, codebook: Codebook, batch_rows: int) -> str | None:
    """Why codes of a level die though they are used evenly, if they do."""
    if not codebook.revive_below:
        return None
    batches = max(1.0, math.log(codebook.revive_below) / math.log(codebook.decay)) if codebook.decay else 1.0
    rows = batches * batch_rows / codebook.size
    if rows >= ENOUGH_ROWS:
        return None
    return (
        f"batches of {batch_rows} rows are too small for the {codebook.size} codes of level {level}: an evenly used "
        f"code gets {rows:.1f} rows before it would count as dead, so codes are moved all the time; raise "
        f"data.batch_size, or model.quantizer.decay ({codebook.decay:g})"
    )


def _cause(module: SemanticIDModule, level: int, latents_NZ: Tensor, codes_NL: Tensor, batch_rows: int) -> str:
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
    codebook = model.quantizer.levels[level]
    if starving := _starving(level, codebook, batch_rows):
        return starving
    said = int(codes_NL[:, level].mode().values)
    gaps_K = (codebook.embed_KZ - codebook.embed_KZ[said]).square().sum(1) / model.input_dim
    gaps_K[said] = math.inf
    nearest = float(gaps_K.min())
    mend = f"lower {rate} or model.quantizer.decay ({codebook.decay:g}), so that codewords keep up with the latents"
    if not codebook.revive_below:
        mend = "set model.quantizer.revive_below, which is 0, to 0.02, so that unused codes are moved"
    where = "lie out of reach of" if nearest > spread else "huddle together beside"
    return f"its codewords {where} what is left over (spread {spread:.2g}, next codeword {nearest:.2g} away); {mend}"


def _spread(vectors_NZ: Tensor, dimension: int) -> float:
    """Variance over rows, summed over the latent and told per dimension of the embeddings."""
    return float(vectors_NZ.var(0, correction=0).sum()) / dimension
