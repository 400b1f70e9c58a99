"""The directions in which rows vary most: where the linear encoder starts.

Shape letters: N rows, D embedding, Z latent, Q directions that are sought.
"""

from __future__ import annotations

import torch
from torch import Tensor

EXACT_DIM = 1024
"""Up to this D, directions are eigenvectors, which take time with the cube of D."""

_MORE = 32
"""Directions that are sought beside those asked for, so that the last of these are right, too."""

_ROUNDS = 4


def principal_directions(centred_ND: Tensor, number: int) -> Tensor:
    """The orthonormal directions of most variance, most first, Z×D.

    For long rows by subspace iteration from a fixed start, in time linear in N, D and Z. Source: N. Halko,
    P. Martinsson, J. Tropp, "Finding structure with randomness" (2011), algorithm 4.4.

    Args:
        centred_ND: rows less their mean.
        number: Z, at most D.
    """
    dim = centred_ND.shape[1]
    sought = number + _MORE
    if dim <= EXACT_DIM or 4 * sought > dim:
        return _leading(centred_ND, number)
    start_DQ = torch.randn(dim, sought, generator=torch.Generator().manual_seed(0))
    basis_DQ = start_DQ.to(centred_ND)
    for _ in range(_ROUNDS):
        basis_DQ, _ = torch.linalg.qr(centred_ND.T @ (centred_ND @ basis_DQ))
    return _leading(centred_ND @ basis_DQ, number) @ basis_DQ.T


def _leading(rows_NQ: Tensor, number: int) -> Tensor:
    _, vectors_QQ = torch.linalg.eigh((rows_NQ.T @ rows_NQ).double())
    directions_ZQ: Tensor = vectors_QQ.flip(1)[:, :number].T.to(rows_NQ.dtype)
    return directions_ZQ
