"""Distance to the training data: what it is, what it does not depend on, what it finds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import mahalanobis
from torch import Tensor

from wotd.encoders.domain import SHRINKAGE, Domain
from wotd.errors import TrainingError


def plane(rows: int = 2000, width: int = 12, seed: int = 0) -> Tensor:
    """Rows that spread along three directions and hardly at all along the others, on columns of unlike scale."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(3, width, generator=torch.Generator().manual_seed(9))
    rows_NW = torch.randn(rows, 3, generator=generator) @ directions
    noise_NW = 0.05 * torch.randn(rows, width, generator=generator)
    return (rows_NW + noise_NW) * torch.logspace(-2, 2, width) + 5


def fitted(x_NW: Tensor) -> Domain:
    domain = Domain(x_NW.shape[1])
    domain.fit(x_NW)
    return domain


def test_it_is_the_mahalanobis_distance_of_the_shrunk_covariance() -> None:
    x = plane()
    values = x.double().numpy()
    spread = values.std(0)
    correlation = (1 - SHRINKAGE) * np.corrcoef(values.T) + SHRINKAGE * np.eye(x.shape[1])
    inverse = np.linalg.inv(correlation * np.outer(spread, spread))
    expected = [mahalanobis(row, values.mean(0), inverse) ** 2 / x.shape[1] for row in values[:50]]
    np.testing.assert_allclose(fitted(x).score(x[:50]).numpy(), expected, rtol=1e-3)


def test_rows_of_the_domain_score_one_or_less_seen_or_not() -> None:
    domain = fitted(plane(5000))
    seen, unseen = float(domain.score(plane(5000)).mean()), float(domain.score(plane(5000, seed=1)).mean())
    assert 0 < seen <= 1
    assert unseen == pytest.approx(seen, rel=0.1)
    round_cloud = torch.randn(5000, 12, generator=torch.Generator().manual_seed(0))
    assert float(fitted(round_cloud).score(round_cloud).mean()) == pytest.approx(1, abs=0.01)


def test_what_leaves_by_an_unused_direction_is_farther_than_the_farthest_along_the_main_ones() -> None:
    x = plane()
    domain = fitted(x)
    off = x.clone()
    off[:, 4] += 0.5 * x[:, 4].std()
    assert float(off.std() / x.std()) < 1.01
    assert float(domain.score(off).quantile(0.1)) > float(domain.score(x).quantile(0.95))


@settings(max_examples=30)
@given(st.integers(1, 600), st.integers(0, 599), st.integers(1, 600))
def test_a_score_does_not_depend_on_the_rows_beside_it(rows: int, first: int, count: int) -> None:
    domain, x = fitted(plane(width=37)), plane(rows, width=37, seed=3)
    together = domain.score(x)
    assert together.shape == (rows,)
    assert torch.equal(domain.score(x[first : first + count]) if first < rows else together[:0],
                       together[first : first + count])  # fmt: skip
    assert torch.equal(domain.score(x.flip(0)), together.flip(0))


@pytest.mark.parametrize("rows", [1, 2, 7, 20_000])
def test_any_number_of_rows_can_be_fitted(rows: int) -> None:
    x = plane(rows)
    domain = fitted(x)
    assert torch.isfinite(domain.score(plane(100, seed=2))).all()
    assert torch.isfinite(domain.whitening_WW).all()


def test_rows_in_parts_are_the_rows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    x = plane()
    whole = fitted(x).whitening_WW
    monkeypatch.setattr("wotd.encoders.domain._FIT_ROWS", 300)
    torch.testing.assert_close(fitted(x).whitening_WW, whole, rtol=1e-5, atol=1e-7)


def test_a_column_that_never_changes_does_not_count() -> None:
    x = torch.cat([plane(), torch.full((2000, 1), 0.1)], 1)
    domain = fitted(x)
    moved = x.clone()
    moved[:, -1] = 7
    torch.testing.assert_close(domain.score(moved), domain.score(x))
    torch.testing.assert_close(domain.score(x) * 13 / 12, fitted(plane()).score(plane()), rtol=1e-4, atol=1e-5)


def test_units_of_columns_do_not_count() -> None:
    x, units = plane(), torch.logspace(-3, 3, 12)
    torch.testing.assert_close(fitted(x * units).score(x * units), fitted(x).score(x), rtol=1e-3, atol=1e-4)


def test_half_precision_rows_are_taken() -> None:
    x = plane().half()
    torch.testing.assert_close(fitted(x).score(x), fitted(x.float()).score(x.float()))


def test_all_it_knows_is_in_the_state_dict_and_fitting_twice_gives_the_same() -> None:
    x = plane()
    domain, other = fitted(x), Domain(12)
    assert not other.score(x).any()
    other.load_state_dict(domain.state_dict())
    assert torch.equal(other.score(x), domain.score(x))
    assert torch.equal(fitted(x).whitening_WW, domain.whitening_WW)
    assert not list(domain.parameters())
    assert set(domain.state_dict()) == {"mean_W", "whitening_WW", "limit"}
    assert all(buffer.dtype == torch.float32 for buffer in domain.buffers())


def test_no_rows_score_nothing() -> None:
    assert fitted(plane()).score(torch.empty(0, 12)).shape == (0,)


@pytest.mark.parametrize("shape", [(5, 11), (0, 12), (12,)])
def test_rows_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(TrainingError, match=r"rows of the domain have the shape .*; expected N×12"):
        Domain(12).fit(torch.zeros(shape))
