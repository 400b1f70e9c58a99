"""The directions of most variance: eigenvectors where that is cheap, and hardly less where it is not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from wotd.encoders import subspace
from wotd.encoders.subspace import principal_directions


def spread_rows(decay: float, number: int = 600, dim: int = 400) -> Tensor:
    """Rows whose variance falls with the power of a direction's number, in random directions."""
    generator = torch.Generator().manual_seed(1)
    turned, _ = torch.linalg.qr(torch.randn(dim, dim, generator=generator))
    rows = torch.randn(number, dim, generator=generator) * torch.arange(1, dim + 1) ** -decay
    return rows @ turned


@pytest.mark.parametrize("decay", [0.3, 1.0])
def test_what_is_sought_step_by_step_holds_as_much_variance(decay: float, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = spread_rows(decay)
    exact = principal_directions(rows, 16)
    monkeypatch.setattr(subspace, "EXACT_DIM", 8)
    found = principal_directions(rows, 16)
    assert not torch.equal(found, exact)
    torch.testing.assert_close(found @ found.T, torch.eye(16), atol=1e-5, rtol=0)
    kept = [(rows @ directions.T).square().sum(0) for directions in (found, exact)]
    assert kept[0].sum() > 0.99 * kept[1].sum()
    assert bool((kept[0].diff() <= 1e-3 * kept[0][:-1]).all()), "most first"
    assert torch.equal(found, principal_directions(rows, 16)), "the same every time"


def test_up_to_a_bound_they_are_the_eigenvectors() -> None:
    rows = spread_rows(1.0, dim=60)
    _, vectors = torch.linalg.eigh((rows.T @ rows).double())
    assert torch.equal(principal_directions(rows, 5), vectors.flip(1)[:, :5].T.float())
