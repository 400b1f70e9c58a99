"""Groups of rows by prefix, and the entropy of a level given the levels before it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy
from sklearn.metrics import mutual_info_score

from wotd.metrics import conditional_entropy, prefix_groups

CODES = st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=1, max_size=40).map(np.array)


@given(CODES)
@settings(max_examples=60)
def test_rows_are_in_one_group_just_if_they_share_the_prefix(codes: np.ndarray) -> None:
    groups = prefix_groups(codes)
    for depth in range(1, 4):
        _, expected = np.unique(codes[:, :depth], axis=0, return_inverse=True)
        assert np.array_equal(groups[:, depth - 1], expected.reshape(-1))


@given(CODES)
@settings(max_examples=60)
def test_entropies_agree_with_scipy_and_add_up(codes: np.ndarray) -> None:
    bits = conditional_entropy(codes)
    assert bits[0] == pytest.approx(entropy(np.unique(codes[:, 0], return_counts=True)[1], base=2), abs=1e-9)
    told = mutual_info_score(codes[:, 0], codes[:, 1]) / math.log(2)
    alone = entropy(np.unique(codes[:, 1], return_counts=True)[1], base=2)
    assert bits[1] == pytest.approx(alone - told, abs=1e-9)
    whole = entropy(np.unique(codes, axis=0, return_counts=True)[1], base=2)
    assert sum(bits) == pytest.approx(whole, abs=1e-9)
    assert all(0 <= value <= 2 + 1e-9 for value in bits)


def test_a_level_that_repeats_the_one_before_adds_nothing() -> None:
    level = np.arange(8) % 4
    assert conditional_entropy(np.stack([level, level, np.arange(8) // 4], 1)) == pytest.approx((2, 0, 1))


def test_of_no_rows_nothing_is_known() -> None:
    assert all(map(math.isnan, conditional_entropy(np.empty((0, 2), dtype=np.int64))))
    assert prefix_groups(np.empty((0, 2), dtype=np.int64)).shape == (0, 2)
