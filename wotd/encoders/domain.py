"""How far a row lies from the data that a model was trained on.

Shape letters: N rows, B batch, W width of a row.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wotd.errors import TrainingError
from wotd.quantization.products import linear

SHRINKAGE = 0.01
"""Share of the identity in the correlations: directions that the data hardly use count much, but not boundlessly."""

FALSE_ALARMS = 0.05
"""Share of unseen rows of the domain that are taken for foreign."""

_BLOCK_ROWS = 256
_FIT_ROWS = 16384
_NOISE = 1e-6


class Domain(nn.Module):
    """Mahalanobis distance to the training rows, every column brought to its own spread first.

    What is foreign to a domain seldom leaves along its main directions; it has parts along those that
    the domain never uses, and those this distance makes large. Source: P. C. Mahalanobis, "On the
    generalised distance in statistics" (1936); to detect what is out of a distribution, K. Lee et al.,
    "A Simple Unified Framework for Detecting Out-of-Distribution Samples", NeurIPS 2018.

    All it knows are buffers, so it lives in the state dict of the model that holds it.
    """

    mean_W: Tensor
    whitening_WW: Tensor
    limit: Tensor

    def __init__(self, width: int) -> None:
        """Make one that knows no data yet and finds nothing far."""
        super().__init__()
        self.register_buffer("mean_W", torch.zeros(width))
        self.register_buffer("whitening_WW", torch.zeros(width, width))
        self.register_buffer("limit", torch.tensor(torch.inf))

    @torch.no_grad()
    def fit(self, x_NW: Tensor) -> None:
        """Learn mean and correlations of the training rows; columns that never change do not count.

        Args:
            x_NW: rows of the domain, any float type, finite.

        Raises:
            TrainingError: if the rows are none, or of another width.
        """
        if x_NW.ndim != 2 or x_NW.shape[1] != len(self.mean_W) or not len(x_NW):
            raise TrainingError(
                f"rows of the domain have the shape {tuple(x_NW.shape)}; expected N×{len(self.mean_W)}, N at least 1."
            )
        parts = torch.split(x_NW, _FIT_ROWS)
        mean_W = torch.stack([part.double().sum(0) for part in parts]).sum(0) / len(x_NW)
        gram_WW = torch.zeros(len(mean_W), len(mean_W), dtype=torch.float64, device=x_NW.device)
        for part in parts:
            centred_NW = part.double() - mean_W
            gram_WW += centred_NW.T @ centred_NW
        spread_W = (gram_WW.diagonal() / len(x_NW)).sqrt()
        changes_W = spread_W > _NOISE * mean_W.abs()
        inverse_W = torch.where(changes_W, spread_W, torch.inf).reciprocal()
        correlation_WW = inverse_W[:, None] * (gram_WW / len(x_NW)) * inverse_W
        identity_WW = torch.eye(len(mean_W), dtype=torch.float64, device=x_NW.device)
        factor_WW = torch.linalg.cholesky(torch.lerp(correlation_WW, identity_WW, SHRINKAGE))
        whitening_WW = torch.linalg.solve_triangular(factor_WW, inverse_W.diag(), upper=False)
        self.mean_W.copy_(mean_W)
        self.whitening_WW.copy_(whitening_WW)

    @torch.no_grad()
    def set_limit(self, x_NW: Tensor) -> None:
        """Take a row for foreign from now on if it is farther off than all but ``FALSE_ALARMS`` of these.

        Args:
            x_NW: rows of the domain that it was not fitted to.
        """
        if len(x_NW):
            self.limit.copy_(torch.quantile(self.score(x_NW).double(), 1 - FALSE_ALARMS))

    def is_foreign(self, x_BW: Tensor) -> Tensor | None:
        """Whether rows are farther off than the limit, bool B; None where none was set."""
        return None if bool(torch.isinf(self.limit)) else self.score(x_BW) > self.limit

    @torch.no_grad()
    def score(self, x_BW: Tensor) -> Tensor:
        """Squared distance of rows to the domain over W, float32 B; over the domain its mean is 1 or less.

        A row's score does not depend on the rows beside it.
        """
        scores = []
        for block in torch.split(x_BW.float(), _BLOCK_ROWS):  # products of one shape, as in the encoder
            padded = nn.functional.pad(block, (0, 0, 0, _BLOCK_ROWS - len(block)))
            scores.append(linear(padded - self.mean_W, self.whitening_WW).square().mean(1)[: len(block)])
        return torch.cat(scores)
