"""What vectors tell of labels: the yardstick for codes, which know no more than the vectors do.

Shape letters: N rows, D length of a vector.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

REGULARIZATION = 0.01
"""``C`` of the regression on standardised vectors; of its powers of ten the best for authors never seen."""


def fit_probe(x_ND: NDArray[np.floating], labels_N: NDArray[np.int64]) -> Pipeline | None:
    """A balanced logistic regression of labels on standardised vectors; None unless two labels occur.

    Its ``predict(x_ND)`` gives labels. Each label weighs as much as any other, however rare it is.

    Args:
        x_ND: vectors to learn from.
        labels_N: their labels, -1 where unknown; such rows do not count.
    """
    known_N = labels_N >= 0
    if len(np.unique(labels_N[known_N])) < 2:
        return None
    regression = LogisticRegression(C=REGULARIZATION, class_weight="balanced", max_iter=200)
    probe = make_pipeline(StandardScaler(), regression)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # labels that separate: nothing is left to gain
        return probe.fit(np.asarray(x_ND[known_N], dtype=np.float32), labels_N[known_N])
