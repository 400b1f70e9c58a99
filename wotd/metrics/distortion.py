"""How far reconstructions are from what they stand for."""

from __future__ import annotations

from torch import Tensor


def normalized_mse(x_ND: Tensor, reconstruction_ND: Tensor) -> float:
    """Squared error over the variance of ``x`` itself: 0 is exact, 1 is what the mean of ``x`` reaches.

    It is one minus R² over all dimensions together, which is the explained variance where the errors
    have mean zero; NaN where ``x`` has no variance.
    """
    error = (x_ND - reconstruction_ND).double().square().sum()
    variance = (x_ND - x_ND.mean(0)).double().square().sum()
    return float(error / variance) if float(variance) > 0 else float("nan")
