"""What a quantizer says of a batch.

Shape letters: B batch, L levels, K codes of a level, Z latent.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Quantized:
    """What a quantizer says of a batch.

    Attributes:
        codes: int64 B×L, one index per level.
        quantized: B×Z, what the codes stand for, with the gradient of the latents (straight-through).
        commitment: mean squared distance between latents and what their codes stand for, over the variance
            of the latents (for numbers in [-1, 1], their mean squared rounding error).
        distances: per level B×K, squared distances: on a taught level to the keys of its labels, on a
            free one to what each of its codes would make of the codes before it.
    """

    codes: Tensor
    quantized: Tensor
    commitment: Tensor
    distances: tuple[Tensor, ...]
