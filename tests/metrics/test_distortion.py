"""Normalised squared error, beside scikit-learn."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import explained_variance_score, r2_score

from wotd.metrics import normalized_mse


@given(rows=st.integers(2, 20), dim=st.integers(1, 6), seed=st.integers(0, 99))
@settings(max_examples=30)
def test_it_is_one_minus_r_squared(rows: int, dim: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x, noise = torch.randn(rows, dim, generator=generator), torch.randn(rows, dim, generator=generator)
    r2 = r2_score(x.double().numpy(), (x + noise).double().numpy(), multioutput="variance_weighted")
    assert normalized_mse(x, x + noise) == pytest.approx(1 - r2, rel=1e-4)
    centred = x + noise - noise.mean(0)
    explained = explained_variance_score(x.double(), centred.double(), multioutput="variance_weighted")
    assert normalized_mse(x, centred) == pytest.approx(1 - explained, rel=1e-4)


def test_zero_is_exact_and_one_is_what_the_mean_reaches() -> None:
    x = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    assert normalized_mse(x, x) == 0
    assert normalized_mse(x, x.mean(0).expand(30, 4)) == pytest.approx(1)


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_nothing_is_measured_without_variance(rows: int) -> None:
    assert math.isnan(normalized_mse(torch.ones(rows, 2), torch.zeros(rows, 2)))
