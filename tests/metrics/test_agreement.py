"""Agreement of codes with labels, beside scikit-learn."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from wotd.metrics import label_agreement


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 4)), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_it_agrees_with_sklearn_on_known_labels(pairs: list[tuple[int, int]]) -> None:
    codes, labels = np.array(pairs).T
    agreement = label_agreement(codes, labels)
    known = labels >= 0
    assert agreement.known == known.sum()
    if not known.any():
        assert math.isnan(agreement.accuracy)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # codes that are no label of any row
        assert agreement.balanced == pytest.approx(balanced_accuracy_score(labels[known], codes[known]))
    assert agreement.accuracy == pytest.approx(accuracy_score(labels[known], codes[known]))
    assert agreement.within_one == pytest.approx(np.mean(np.abs(codes[known] - labels[known]) <= 1))
    assert agreement.majority == pytest.approx(np.bincount(labels[known]).max() / known.sum())


def test_nothing_is_measured_without_labels() -> None:
    agreement = label_agreement(np.array([0, 1]), np.array([-1, -1]))
    assert agreement.known == 0
    measured = (agreement.accuracy, agreement.balanced, agreement.within_one, agreement.majority)
    assert all(math.isnan(value) for value in measured)
