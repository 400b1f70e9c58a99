"""Churn of codes between two models, and the matching that undoes mere renaming."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wotd.errors import InputError
from wotd.metrics import churn, match_codes, rename_codes

SIZES = (4, 3)


@st.composite
def codes(draw, rows: int = 30):
    number = draw(st.integers(1, rows))
    levels = [draw(st.lists(st.integers(0, size - 1), min_size=number, max_size=number)) for size in SIZES]
    return np.array(levels).T


@st.composite
def pairs(draw):
    old = draw(codes())
    new = np.stack(
        [
            draw(st.lists(st.integers(0, size - 1), min_size=len(old), max_size=len(old)).map(np.array))
            for size in SIZES
        ],
        axis=1,
    )
    return new, old


def test_churn_of_codes_counted_by_hand():
    old = np.array([[0, 1], [0, 2], [1, 1], [3, 0]])
    new = np.array([[0, 1], [1, 2], [1, 2], [2, 0]])
    found = churn(new, old)
    assert found.per_level == (0.5, 0.25)
    assert found.per_prefix == (0.5, 0.75)
    assert found.whole == 0.75


@given(codes(), st.permutations(range(4)), st.permutations(range(3)))
@settings(max_examples=60)
def test_mere_renaming_is_no_churn(old, first, second):
    new = rename_codes(old, [np.array(first), np.array(second)])
    assert churn(rename_codes(new, match_codes(new, old, SIZES)), old).whole == 0


@given(pairs())
@settings(max_examples=60)
def test_no_renaming_agrees_more(pair):
    new, old = pair
    matched = match_codes(new, old, SIZES)
    for level, size in enumerate(SIZES):
        assert sorted(matched[level]) == list(range(size))
        every = itertools.permutations(range(size))
        best = max(np.mean(np.array(names)[new[:, level]] == old[:, level]) for names in every)
        assert np.mean(matched[level][new[:, level]] == old[:, level]) == pytest.approx(best)


@given(pairs())
@settings(max_examples=30)
def test_longer_prefixes_churn_more_and_the_whole_code_is_the_longest(pair):
    found = churn(*pair)
    assert list(found.per_prefix) == sorted(found.per_prefix)
    assert found.per_prefix[0] == found.per_level[0]
    assert max(found.per_level) <= found.whole == found.per_prefix[-1]


def test_codes_nobody_bears_keep_their_names_and_so_do_fixed_levels():
    old = np.array([[0, 0], [0, 0], [1, 1]])
    new = np.array([[1, 1], [1, 1], [0, 0]])
    assert [names.tolist() for names in match_codes(new, old, SIZES)] == [[1, 0, 2, 3], [1, 0, 2]]
    assert [names.tolist() for names in match_codes(new, old, SIZES, fixed_levels=[0])] == [[0, 1, 2, 3], [1, 0, 2]]
    nobody = np.empty((0, 2), dtype=np.int64)
    assert [names.tolist() for names in match_codes(nobody, nobody, SIZES)] == [[0, 1, 2, 3], [0, 1, 2]]


def test_of_no_rows_nothing_is_known():
    found = churn(np.empty((0, 2), dtype=np.int64), np.empty((0, 2), dtype=np.int64))
    assert all(map(math.isnan, (*found.per_level, *found.per_prefix, found.whole)))


def test_codes_of_other_rows_or_levels_are_refused():
    two = np.zeros((2, 2), dtype=np.int64)
    with pytest.raises(InputError, match=r"shapes \(2, 2\) and \(3, 2\)"):
        churn(two, np.zeros((3, 2), dtype=np.int64))
    with pytest.raises(InputError, match="2 levels; expected 3"):
        match_codes(two, two, (4, 3, 2))
    with pytest.raises(InputError, match="new codes of level 1 go from 0 to 3; expected 0 to 2"):
        match_codes(np.array([[0, 0], [0, 3]]), two, SIZES)
