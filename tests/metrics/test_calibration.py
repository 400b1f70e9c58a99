"""Reliability curves and their expected error, beside torchmetrics."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.classification import binary_calibration_error

from wotd.metrics import reliability


@given(st.lists(st.tuples(st.floats(0, 1, width=32), st.booleans()), min_size=1, max_size=60))
@settings(max_examples=60)
def test_the_expected_error_is_that_of_torchmetrics(rows: list[tuple[float, bool]]) -> None:
    confidence = np.array([sure for sure, _ in rows], dtype=np.float32)
    # On an edge between two bins, rounding decides to which side it falls.
    confidence = np.where(np.abs(confidence * 15 - np.round(confidence * 15)) < 1e-3, np.float32(0.9), confidence)
    right = np.array([hit for _, hit in rows])
    expected = binary_calibration_error(torch.from_numpy(confidence), torch.from_numpy(right).int(), n_bins=15)
    curve = reliability(confidence, right)
    assert curve.expected_error == pytest.approx(float(expected), abs=1e-5)
    assert curve.counts.sum() == len(rows)
    assert np.array_equal(np.isnan(curve.accuracy), curve.counts == 0)


def test_the_curve_counted_by_hand() -> None:
    curve = reliability(np.array([0.1, 0.3, 0.6, 1.0]), np.array([False, True, True, True]), bins=2)
    assert curve.counts.tolist() == [2, 2]
    assert curve.confidence.tolist() == pytest.approx([0.2, 0.8])
    assert curve.accuracy.tolist() == [0.5, 1.0]
    assert curve.expected_error == pytest.approx(0.25)


def test_what_is_as_sure_as_it_is_right_has_no_error() -> None:
    assert reliability(np.full(4, 0.75), np.array([True, True, True, False])).expected_error == pytest.approx(0)
    assert reliability(np.ones(4), np.ones(4, dtype=bool)).expected_error == 0
    assert reliability(np.ones(4), np.zeros(4, dtype=bool)).expected_error == 1


def test_of_no_rows_nothing_is_known() -> None:
    assert math.isnan(reliability(np.empty(0), np.empty(0, dtype=bool)).expected_error)
