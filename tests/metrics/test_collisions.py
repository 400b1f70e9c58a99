"""Collisions of whole codes, their floor and their expectation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wotd.metrics import collisions
from wotd.metrics.collisions import expected_collisions


def test_a_collision_is_an_item_beyond_the_first_on_its_code() -> None:
    found = collisions(np.array([[0, 1], [0, 1], [0, 2], [1, 1], [0, 1]]), [2, 3])
    assert found.distinct == 3
    assert found.rate == pytest.approx(2 / 5)
    assert found.floor == 0


def test_more_items_than_codes_cannot_all_be_apart() -> None:
    found = collisions(np.stack([np.arange(8) // 4, np.arange(8) % 2], 1), [2, 2])
    assert found.floor == pytest.approx(0.5)
    assert found.rate == pytest.approx(0.5)


@pytest.mark.parametrize(("items", "sizes"), [(10, (2, 3)), (50, (8, 8)), (200, (4, 4, 4)), (1, (5,)), (7, (1, 1))])
def test_the_expectation_is_what_simulation_finds(items: int, sizes: tuple[int, ...]) -> None:
    generator = np.random.default_rng(0)
    capacity = math.prod(sizes)
    rates = [1 - len(np.unique(generator.integers(capacity, size=items))) / items for _ in range(2000)]
    error = np.std(rates) / math.sqrt(len(rates))
    floor, expected = expected_collisions(items, sizes)
    assert expected == pytest.approx(np.mean(rates), abs=4 * error + 1e-9)
    assert floor == max(0.0, 1 - capacity / items)


@given(items=st.integers(1, 10**9), sizes=st.lists(st.integers(1, 2**16), min_size=1, max_size=8))
def test_floor_and_expectation_are_shares_and_in_order(items: int, sizes: list[int]) -> None:
    floor, expected = expected_collisions(items, sizes)
    assert 0 <= floor <= expected + 1e-9
    assert expected <= 1


def test_the_expectation_stays_exact_for_many_codes() -> None:
    _, expected = expected_collisions(10**6, [256] * 4)
    assert expected == pytest.approx(10**6 / 2 / 256**4, rel=1e-3)  # as many as pairs, at that share


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=40))
@settings(max_examples=50)
def test_the_rate_lies_between_the_floor_and_one(codes: list[tuple[int, int]]) -> None:
    found = collisions(np.array(codes), [3, 4])
    assert found.distinct == len(set(codes))
    assert found.floor - 1e-12 <= found.rate < 1


def test_nothing_is_measured_of_no_items() -> None:
    found = collisions(np.empty((0, 2), dtype=np.int64), [3, 4])
    assert found.distinct == 0
    assert all(math.isnan(value) for value in (found.rate, found.floor, found.random))
