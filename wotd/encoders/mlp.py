"""The network between embeddings and latents: a linear map plus a correction that is learned."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from wotd import processes
from wotd.quantization.products import linear


class EvenLinear(nn.Linear):
    """A linear map that gives a row the same bits wherever in the batch it stands."""

    def forward(self, x_BI: Tensor) -> Tensor:
        """Map rows of length ``in_features`` to rows of length ``out_features``."""
        return linear(x_BI, self.weight, self.bias)


class CommonDropout(nn.Dropout):
    """Drops units of a batch that processes share: all draw for all of its rows, and each takes those it has.

    So the number of processes decides nothing, if they draw from one seed.
    """

    def forward(self, x_BI: Tensor) -> Tensor:
        """Zero some units and scale up the others; nothing in eval mode."""
        number = processes.number()
        if number == 1 or not self.training or not self.p:
            return super().forward(x_BI)
        kept = nn.functional.dropout(x_BI.new_ones(number * len(x_BI), x_BI.shape[1]), self.p)
        return x_BI * kept[processes.rank() :: number]


class CorrectedLinear(nn.Module):
    """``linear(x) + mlp(x)``, where the mlp starts at zero.

    Training therefore begins at whatever the linear map is set to (a principal subspace, in closed
    form) instead of at noise, and can only add to it.
    """

    def __init__(self, input_dim: int, hidden: Sequence[int], output_dim: int, *, dropout: float = 0.0) -> None:
        """Make the map; an empty ``hidden`` leaves it purely linear."""
        super().__init__()
        self.linear = EvenLinear(input_dim, output_dim)
        nn.init.zeros_(self.linear.bias)
        widths = [input_dim, *hidden]
        layers: list[nn.Module] = []
        for narrow, wide in pairwise(widths):
            layers += [EvenLinear(narrow, wide), nn.GELU(), CommonDropout(dropout)]
        self.correction: nn.Module | None = None
        if hidden:
            last = EvenLinear(widths[-1], output_dim)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
            self.correction = nn.Sequential(*layers, last)

    def forward(self, x_BI: Tensor) -> Tensor:
        """Map rows of length ``input_dim`` to rows of length ``output_dim``."""
        y_BO: Tensor = self.linear(x_BI)
        return y_BO if self.correction is None else y_BO + self.correction(x_BI)

    @torch.no_grad()
    def start(self, weight_OI: Tensor) -> None:
        """Begin at the given linear map."""
        self.linear.weight.copy_(weight_OI)
        self.linear.bias.zero_()
