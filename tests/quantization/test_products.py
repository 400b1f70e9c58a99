"""Products that do not depend on where in the batch a row stands."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from clustered_latents import rows, seeded
from hypothesis import given, settings
from hypothesis import strategies as st

from wotd.quantization.products import filled, linear, squared_distances


@given(st.integers(1, 20), st.integers(1, 40), st.integers(1, 12), st.integers(0, 99))
@settings(max_examples=40)
def test_distances_are_those_of_numpy_and_never_negative(batch: int, dim: int, size: int, seed: int) -> None:
    x, points = rows(batch, dim, seed), rows(size, dim, seed + 1)
    expected = ((x.double().numpy()[:, None] - points.double().numpy()[None]) ** 2).sum(2)
    np.testing.assert_allclose(squared_distances(x, points).numpy(), expected, rtol=1e-4, atol=1e-4)
    assert float(squared_distances(x, x).min()) >= 0


def test_a_vector_far_out_is_at_no_distance_from_itself() -> None:
    x = 1e4 + rows(64, 5)
    assert float(squared_distances(x, x).min()) >= 0


@pytest.mark.parametrize("inner", [1, 7, 16, 29, 37])
@pytest.mark.parametrize("outer", [2, 5, 8, 40])
def test_a_rows_products_do_not_depend_on_its_place(inner: int, outer: int) -> None:
    x, weight, order = rows(256, inner), rows(outer, inner, seed=1), torch.randperm(256, generator=seeded())
    assert torch.equal(linear(x[order], weight), linear(x, weight)[order])
    assert torch.equal(squared_distances(x[order], weight), squared_distances(x, weight)[order])


def test_linear_is_a_matrix_product() -> None:
    x, weight, bias = rows(5, 7), rows(3, 7, seed=1), rows(1, 3, seed=2)[0]
    torch.testing.assert_close(linear(x, weight, bias), x @ weight.T + bias)
    torch.testing.assert_close(linear(x, weight), x @ weight.T)


@pytest.mark.parametrize(("width", "whole"), [(1, 16), (15, 16), (16, 16), (17, 32)])
def test_rows_are_filled_with_zeros_up_to_whole_registers(width: int, whole: int) -> None:
    x = rows(3, width)
    assert filled(x).shape == (3, whole)
    assert torch.equal(filled(x)[:, :width], x)
    assert not filled(x)[:, width:].any()
