"""Matrix products in which a row's result does not depend on where in the batch the row stands.

Libraries multiply what is left over beside whole vector registers in another order, and which rows
that concerns depends on their place. Inner lengths that are whole registers leave nothing over, so
shorter ones are filled up with zeros.

Shape letters: B batch, I inner, K codes, O output.
"""

from __future__ import annotations

from torch import Tensor, nn

_REGISTER = 16
"""Numbers in the widest vector register in use: 512 bits of float32."""


def linear(x_BI: Tensor, weight_OI: Tensor, bias_O: Tensor | None = None) -> Tensor:
    """``x @ weight.T + bias``, B×O."""
    return nn.functional.linear(filled(x_BI), filled(weight_OI), bias_O)


def squared_distances(x_BI: Tensor, points_KI: Tensor) -> Tensor:
    """Squared Euclidean distances of rows to points, B×K, not below zero."""
    x_BI, points_KI = filled(x_BI), filled(points_KI)
    squares_K, squares_B1 = points_KI.square().sum(1), x_BI.square().sum(1, keepdim=True)
    return squares_K.addmm(x_BI, points_KI.T, alpha=-2).add(squares_B1).clamp_min(0)


def filled(x_BI: Tensor) -> Tensor:
    """Rows with zeros behind them up to whole registers."""
    missing = -x_BI.shape[1] % _REGISTER
    return nn.functional.pad(x_BI, (0, missing)) if missing else x_BI
