"""How often codes, or predictions of a probe, are the labels they stand for.

Shape letters: N rows, W works. A label is -1 where unknown; such rows do not count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score


@dataclass(frozen=True)
class LabelAgreement:
    """Agreement of one level on rows whose label is known; NaN where there is none.

    Attributes:
        accuracy: share of rows whose code equals their label.
        balanced: mean over the labels that occur of the share of their rows that agree (macro recall).
        macro_f1: mean over the labels that occur of 2·TP / (2·TP + FP + FN).
        majority: share of the commonest label of these very rows: the best that one constant can reach.
        known: how many rows have a label.
    """

    accuracy: float
    balanced: float
    macro_f1: float
    majority: float
    known: int


@dataclass(frozen=True)
class OrderedAgreement:
    """Agreement of a level whose codes are in order, such as eras; NaN where no label is known.

    Attributes:
        mean_absolute_error: mean number of steps between code and label.
        within_one: share of rows whose code is at most one step from the label.
    """

    mean_absolute_error: float
    within_one: float


def label_agreement(codes_N: NDArray[np.int64], labels_N: NDArray[np.int64]) -> LabelAgreement:
    """Agreement of one level.

    Args:
        codes_N: the level's codes.
        labels_N: the level's labels, -1 where unknown.
    """
    codes, labels = _known(codes_N, labels_N)
    if not len(labels):
        nan = float("nan")
        return LabelAgreement(nan, nan, nan, nan, 0)
    hits, occurring = codes == labels, np.unique(labels)
    return LabelAgreement(
        accuracy=float(hits.mean()),
        balanced=float(np.mean([hits[labels == label].mean() for label in occurring])),
        macro_f1=float(f1_score(labels, codes, labels=occurring, average="macro", zero_division=0)),
        majority=float(np.bincount(labels).max() / len(labels)),
        known=len(labels),
    )


def ordered_agreement(codes_N: NDArray[np.int64], labels_N: NDArray[np.int64]) -> OrderedAgreement:
    """Agreement of one level whose indices are in order; arguments as of :func:`label_agreement`."""
    codes, labels = _known(codes_N, labels_N)
    if not len(labels):
        return OrderedAgreement(float("nan"), float("nan"))
    steps = np.abs(codes - labels)
    return OrderedAgreement(float(steps.mean()), float((steps <= 1).mean()))


def work_accuracy(codes_N: NDArray[np.int64], labels_N: NDArray[np.int64], works_N: NDArray[np.int64]) -> float:
    """Share of works whose commonest code equals their label; NaN where no label is known.

    The lower code wins a tie. The label of a work is that of its passages.

    Args:
        codes_N: codes of the passages.
        labels_N: labels of the passages, -1 where unknown.
        works_N: for each passage, the index of its work.
    """
    known_N = labels_N >= 0
    codes, labels, works = codes_N[known_N], labels_N[known_N], works_N[known_N]
    if not len(labels):
        return float("nan")
    _, first_W, works = np.unique(works, return_index=True, return_inverse=True)
    votes_WK = np.zeros((len(first_W), int(codes.max()) + 1), dtype=np.int64)
    np.add.at(votes_WK, (works, codes), 1)
    return float((votes_WK.argmax(1) == labels[first_W]).mean())


def _known(codes_N: NDArray[np.int64], labels_N: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    known_N = labels_N >= 0
    return codes_N[known_N], labels_N[known_N]
