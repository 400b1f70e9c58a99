"""How often a level's code is the label it is named for, beside the majority rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class LabelAgreement:
    """Agreement of one level on rows whose label is known; NaN where there is none.

    Attributes:
        accuracy: share of rows whose code equals their label.
        balanced: mean over the labels that occur of the share of their rows that agree.
        within_one: share of rows whose code is at most one step from the label (ordered levels).
        majority: share of the commonest label of these very rows: the best that one constant can reach.
        known: how many rows have a label.
    """

    accuracy: float
    balanced: float
    within_one: float
    majority: float
    known: int


def label_agreement(codes_N: NDArray[np.int64], labels_N: NDArray[np.int64]) -> LabelAgreement:
    """Agreement of one level.

    Args:
        codes_N: the level's codes.
        labels_N: the level's labels, -1 where unknown.
    """
    known_N = labels_N >= 0
    codes, labels = codes_N[known_N], labels_N[known_N]
    if not len(labels):
        nan = float("nan")
        return LabelAgreement(nan, nan, nan, nan, 0)
    hits = codes == labels
    balanced = float(np.mean([hits[labels == label].mean() for label in np.unique(labels)]))
    return LabelAgreement(
        accuracy=float(hits.mean()),
        balanced=balanced,
        within_one=float((np.abs(codes - labels) <= 1).mean()),
        majority=float(np.bincount(labels).max() / len(labels)),
        known=len(labels),
    )
