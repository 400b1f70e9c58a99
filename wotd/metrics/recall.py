"""Whether what is near by embedding is near by code.

Shape letters: N rows, Q queries among them, K neighbours, C distinct codes, D embedding, L levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wotd.metrics.prefixes import prefix_groups

NEIGHBORS = 10
_QUERIES_AT_ONCE = 256


@dataclass(frozen=True)
class NeighborRecall:
    """Shares of the true nearest neighbours that codes find again, 0 to 1; NaN where all rows are neighbours.

    Attributes:
        prefix: found among as many rows whose codes share the longest prefixes with the query's code.
        reconstruction: found among as many rows whose decoded codes are nearest to the query's embedding.
    """

    prefix: float
    reconstruction: float


def neighbor_recall(
    x_ND: Tensor, decoded_ND: Tensor, codes_NL: NDArray[np.int64], queries_Q: NDArray[np.int64], k: int = NEIGHBORS
) -> NeighborRecall:
    """Recall at k of the rows nearest to each query by Euclidean distance of their embeddings, itself left out.

    Rows in a tie for the last places (of an equally long shared prefix, or of one code) count with the
    chance that they get one: places left over rows in the tie.

    Args:
        x_ND: embeddings.
        decoded_ND: what their codes decode to.
        codes_NL: their codes.
        queries_Q: which rows ask.
        k: how many neighbours.
    """
    if not len(queries_Q) or len(x_ND) - 1 <= k:
        return NeighborRecall(float("nan"), float("nan"))
    centre_D = x_ND.mean(0)  # distances of far-off points would lose their digits
    x_ND, decoded_ND = x_ND - centre_D, decoded_ND - centre_D
    groups_NL = prefix_groups(codes_NL)
    code_N = groups_NL[:, -1]
    _, first_C = np.unique(code_N, return_index=True)
    decoded_CD = decoded_ND[torch.from_numpy(first_C).to(decoded_ND.device)]
    rows_C = np.bincount(code_N)
    prefix = reconstruction = 0.0
    for first in range(0, len(queries_Q), _QUERIES_AT_ONCE):
        asked = queries_Q[first : first + _QUERIES_AT_ONCE]
        x_QD = x_ND[torch.from_numpy(asked).to(x_ND.device)]
        true_QK = _nearest(x_QD, x_ND, k, without=asked)
        codes_QK = _nearest(x_QD, decoded_CD, min(k + 1, len(decoded_CD)))
        prefix += _found_by_prefix(groups_NL, asked, true_QK, k)
        reconstruction += _found_by_code(code_N, rows_C, codes_QK, asked, true_QK, k)
    total = len(queries_Q) * k
    return NeighborRecall(prefix / total, reconstruction / total)


def _nearest(x_QD: Tensor, x_ND: Tensor, k: int, without: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """The k nearest of N points to each query, nearest first; ``without`` names the row of each query itself."""
    distance_QN = x_ND.square().sum(1) - 2 * (x_QD @ x_ND.T)  # but for a constant of each query
    if without is not None:
        distance_QN[torch.arange(len(without)), torch.from_numpy(without).to(x_ND.device)] = torch.inf
    nearest_QK: NDArray[np.int64] = distance_QN.topk(k, largest=False).indices.cpu().numpy()
    return nearest_QK


def _found_by_prefix(
    groups_NL: NDArray[np.int64], asked_Q: NDArray[np.int64], true_QK: NDArray[np.int64], k: int
) -> float:
    """How many true neighbours rank among the first k by length of the shared prefix, in expectation."""
    shared_QK = (groups_NL[true_QK] == groups_NL[asked_Q, None]).sum(2)
    # Rows, other than the query itself, that share at least so many levels with it: from none to all and one more.
    sharing = [np.bincount(groups_N)[groups_N[asked_Q]] - 1 for groups_N in groups_NL.T]
    sharing_QL = np.stack([np.full(len(asked_Q), len(groups_NL) - 1), *sharing, np.zeros_like(asked_Q)], axis=1)
    closer_QK = np.take_along_axis(sharing_QL, shared_QK + 1, axis=1)
    tied_QK = np.take_along_axis(sharing_QL, shared_QK, axis=1) - closer_QK
    return float(((k - closer_QK) / tied_QK).clip(0, 1).sum())


def _found_by_code(
    code_N: NDArray[np.int64],
    rows_C: NDArray[np.int64],
    codes_QK: NDArray[np.int64],
    asked_Q: NDArray[np.int64],
    true_QK: NDArray[np.int64],
    k: int,
) -> float:
    """How many true neighbours bear the codes nearest to the query, these taken until k rows do, in expectation.

    Of k + 1 codes at least k have a row other than the query's own, so no farther code can get a place.
    """
    rows_QK = rows_C[codes_QK] - (codes_QK == code_N[asked_Q, None])
    before_QK = np.cumsum(rows_QK, axis=1) - rows_QK
    chance_QK = ((k - before_QK) / np.maximum(rows_QK, 1)).clip(0, 1)
    borne_QKK = code_N[true_QK][:, :, None] == codes_QK[:, None, :]
    return float((borne_QKK * chance_QK[:, None, :]).sum())
