"""What levels tell of labels, and whether they tell most of their own."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import adjusted_mutual_info_score

from wotd.metrics import adjusted_mutual_information, diagonal_dominance


def test_cells_are_those_of_sklearn_on_known_labels() -> None:
    generator = np.random.default_rng(0)
    codes, labels = generator.integers(0, 4, (300, 3)), generator.integers(-1, 3, (300, 2))
    codes[:, 1] = (labels[:, 0] + 1) % 4
    ami = adjusted_mutual_information(codes, labels)
    assert ami.shape == (3, 2)
    known = labels[:, 0] >= 0
    assert ami[1, 0] == pytest.approx(1), "names do not count, nor do rows of no label"
    assert ami[0, 0] == pytest.approx(adjusted_mutual_info_score(labels[known, 0], codes[known, 0]))
    assert abs(ami[0, 1]) < 0.05


def test_labels_that_are_equal_or_unknown_are_told_by_nothing() -> None:
    labels = np.stack([np.zeros(9), np.full(9, -1), np.arange(9) % 2], 1).astype(np.int64)
    ami = adjusted_mutual_information(np.arange(9)[:, None] % 2, labels)
    assert np.isnan(ami[0, :2]).all()
    assert ami[0, 2] == pytest.approx(1)
    assert np.isnan(adjusted_mutual_information(np.empty((0, 2), np.int64), np.empty((0, 1), np.int64))).all()


@pytest.mark.parametrize(
    ("matrix", "dominance"),
    [
        (np.eye(3), 1.0),
        (1 - np.eye(3), -1.0),
        ([[0.5, 0.1], [0.2, 0.4]], (0.3 + 0.2) / 2),
        ([[0.5, 0.1], [0.2, 0.4], [0.6, 0.0]], (-0.1 + 0.2) / 2),  # a free level tells more of the first label
        ([[0.5, np.nan], [0.2, np.nan]], 0.3),
        ([[0.5]], np.nan),
        ([[np.nan, 0.3]], np.nan),
    ],
)
def test_dominance_is_the_mean_margin_of_the_diagonal(matrix: object, dominance: float) -> None:
    assert diagonal_dominance(np.array(matrix)) == pytest.approx(dominance, nan_ok=True)


def test_a_tie_dominates_nothing() -> None:
    assert diagonal_dominance(np.full((3, 3), 0.4)) == 0
    assert math.isnan(diagonal_dominance(np.full((2, 2), np.nan)))
