"""Agreement of codes with labels, beside scikit-learn."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, mean_absolute_error

from wotd.metrics import label_agreement, ordered_agreement, work_accuracy

PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 4)), min_size=1, max_size=40)


@given(PAIRS)
@settings(max_examples=60)
def test_it_agrees_with_sklearn_on_known_labels(pairs: list[tuple[int, int]]) -> None:
    codes, labels = np.array(pairs).T
    agreement, steps = label_agreement(codes, labels), ordered_agreement(codes, labels)
    known = labels >= 0
    assert agreement.known == known.sum()
    if not known.any():
        assert math.isnan(agreement.accuracy)
        return
    codes, labels = codes[known], labels[known]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # codes that are no label of any row
        assert agreement.balanced == pytest.approx(balanced_accuracy_score(labels, codes))
    each = f1_score(labels, codes, labels=range(5), average=None, zero_division=0)
    assert agreement.macro_f1 == pytest.approx(each[np.unique(labels)].mean())
    assert agreement.accuracy == pytest.approx(accuracy_score(labels, codes))
    assert agreement.majority == pytest.approx(np.bincount(labels).max() / len(labels))
    assert steps.mean_absolute_error == pytest.approx(mean_absolute_error(labels, codes))
    assert steps.within_one == pytest.approx(np.mean(np.abs(codes - labels) <= 1))


def test_nothing_is_measured_without_labels() -> None:
    codes, unknown = np.array([0, 1]), np.array([-1, -1])
    agreement, steps = label_agreement(codes, unknown), ordered_agreement(codes, unknown)
    assert agreement.known == 0
    measured = (agreement.accuracy, agreement.balanced, agreement.macro_f1, agreement.majority)
    assert all(map(math.isnan, (*measured, steps.mean_absolute_error, steps.within_one)))
    assert math.isnan(work_accuracy(codes, unknown, np.array([0, 0])))


def test_a_work_is_what_most_of_its_passages_say() -> None:
    works = np.array([9, 2, 2, 2, 9, 4, 4, 7])
    codes = np.array([3, 1, 0, 1, 3, 2, 1, 0])
    labels = np.array([3, 1, 1, 1, 3, 2, 2, -1])
    # 9 and 2 are right, 4 ties between 1 and 2 and says the lower, 7 has no label
    assert work_accuracy(codes, labels, works) == pytest.approx(2 / 3)


@given(PAIRS)
@settings(max_examples=40)
def test_works_of_one_passage_are_passages(pairs: list[tuple[int, int]]) -> None:
    codes, labels = np.array(pairs).T
    by_work = work_accuracy(codes, labels, np.arange(len(codes))[::-1])
    assert by_work == pytest.approx(label_agreement(codes, labels).accuracy, nan_ok=True)
