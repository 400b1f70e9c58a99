"""Whether passages of a work are called alike."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wotd.metrics import work_consistency


def test_shares_counted_by_hand() -> None:
    works = np.array([5, 5, 5, 5, 2, 2, 8])
    codes = np.array([[0, 0], [0, 1], [0, 1], [1, 1], [3, 0], [3, 0], [2, 2]])
    # work 5: 3 of 4, then 0-1 on 2 of 4; work 2: all; work 8 has one passage only
    assert work_consistency(codes, works) == pytest.approx(((0.75 + 1) / 2, (0.5 + 1) / 2))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 4)), min_size=2, max_size=40))
@settings(max_examples=60)
def test_it_is_what_counting_each_work_gives(rows: list[tuple[int, int, int]]) -> None:
    table = np.array(rows)
    codes, works = table[:, :2], table[:, 2]
    expected = []
    for depth in (1, 2):
        prefixes = [[tuple(code[:depth]) for code in codes[works == work].tolist()] for work in np.unique(works)]
        shares = [max(map(each.count, each)) / len(each) for each in prefixes if len(each) > 1]
        expected.append(np.mean(shares) if shares else math.nan)
    found = work_consistency(codes, works)
    assert found == pytest.approx(tuple(expected), nan_ok=True)
    assert not found[1] > found[0], "a longer prefix is shared by fewer"


def test_works_of_one_passage_say_nothing() -> None:
    assert all(map(math.isnan, work_consistency(np.array([[0, 0], [1, 1]]), np.array([0, 1]))))
    assert all(map(math.isnan, work_consistency(np.empty((0, 2), dtype=np.int64), np.empty(0, dtype=np.int64))))
