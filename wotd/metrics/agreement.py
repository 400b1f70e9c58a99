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
        majority: share of the commonest label among ``reference`` labels: what a constant reaches.
        known: how many rows have a label.
    """

    accuracy: float
    balanced: float
    within_one: float
    majority: float
    known: int


def label_agreement(
    codes_N: NDArray[np.int64], labels_N: NDArray[np.int64], reference_N: NDArray[np.int64] | None = None
) -> LabelAgreement:
    """Agreement of one level.

    Args:
        codes_N: the level's codes.
        labels_N: the level's labels, -1 where unknown.
        reference_N: labels that decide which one is the commonest (the training data's); by
            default those of the rows themselves.
    """
    known_N = labels_N >= 0
    codes, labels = codes_N[known_N], labels_N[known_N]
    if not len(labels):
        nan = float("nan")
        return LabelAgreement(nan, nan, nan, nan, 0)
    reference = labels if reference_N is None else reference_N[reference_N >= 0]
    commonest = int(np.bincount(reference).argmax()) if len(reference) else -1
    hits = codes == labels
    balanced = float(np.mean([hits[labels == label].mean() for label in np.unique(labels)]))
    return LabelAgreement(
        accuracy=float(hits.mean()),
        balanced=balanced,
        within_one=float((np.abs(codes - labels) <= 1).mean()),
        majority=float((labels == commonest).mean()),
        known=len(labels),
    )
