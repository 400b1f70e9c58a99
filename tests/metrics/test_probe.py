"""Probes: a balanced logistic regression on standardised vectors."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from wotd.metrics import fit_probe


def vectors(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of very different scales, and labels that two columns decide but for some noise."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(rows, 5)) * np.array([1, 1000, 1e-3, 1, 1]) + 50
    labels = ((x[:, 0] > 50.8).astype(int) + (x[:, 2] > 50)).astype(np.int64)
    return x, labels


def test_it_is_the_regression_of_sklearn_on_what_is_known() -> None:
    x, labels = vectors(300)
    labels[::7] = -1
    probe = fit_probe(x, labels)
    known = labels >= 0
    kept = x[known].astype(np.float32)
    mean, scale = kept.mean(0), kept.std(0)
    expected = LogisticRegression(C=0.01, class_weight="balanced", max_iter=200).fit(
        (kept - mean) / scale, labels[known]
    )
    unseen, truth = vectors(400, seed=1)
    assert np.mean(probe.predict(unseen) == expected.predict((unseen - mean) / scale)) > 0.99
    assert np.mean(probe.predict(unseen) == truth) > 0.7


def test_rare_labels_weigh_as_much_as_common_ones() -> None:
    generator = np.random.default_rng(0)
    labels = (np.arange(400) % 20 == 0).astype(np.int64)
    x = generator.normal(size=(400, 2)) + labels[:, None]
    assert fit_probe(x, labels).predict(x).sum() > 2 * labels.sum()


@pytest.mark.parametrize("labels", [[-1, -1, -1], [2, 2, 2], [2, -1, 2]])
def test_of_fewer_than_two_labels_nothing_is_learned(labels: list[int]) -> None:
    assert fit_probe(np.ones((3, 2)), np.array(labels)) is None


def test_it_learns_the_same_every_time_and_is_quiet(recwarn: pytest.WarningsRecorder) -> None:
    x, labels = vectors(200)
    one, two = (fit_probe(x, labels)["logisticregression"].coef_ for _ in range(2))
    assert np.array_equal(one, two)
    assert not recwarn.list
