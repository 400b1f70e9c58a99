"""How far two models call the same rows by other codes, once codes that only swapped names are matched.

Two runs that differ in their seed may find the same groups and number them differently; that is no
change. So codes of one are first renamed to those of the other, one to one within each level.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from wotd.errors import InputError


@dataclass(frozen=True)
class Churn:
    """Shares of rows whose codes differ, 0 to 1; NaN of no rows.

    Attributes:
        per_level: for each level, the share of rows whose index differs there.
        per_prefix: for depths 1 to L, the share of rows whose first so many indices are not all the same.
        whole: share of rows whose whole code differs; the last of ``per_prefix``.
    """

    per_level: tuple[float, ...]
    per_prefix: tuple[float, ...]
    whole: float


def match_codes(
    new_NL: NDArray[np.int64],
    old_NL: NDArray[np.int64],
    level_sizes: Sequence[int],
    fixed_levels: Collection[int] = (),
) -> list[NDArray[np.int64]]:
    """For each level, the one-to-one renaming of new codes under which most rows keep their old index.

    The assignment problem of each level by itself (H. W. Kuhn, "The Hungarian method", 1955). Among
    renamings that are equally good, the one that renames fewest codes is taken, so codes that no row
    bears keep their index where they can.

    Args:
        new_NL: codes to be renamed.
        old_NL: codes of the same rows to be kept to.
        level_sizes: codes per level, of both.
        fixed_levels: levels whose codes have a meaning of their own and keep their index.

    Returns:
        a permutation a level, int64 of length K: ``permutations[l][new]`` is the old name of ``new``.

    Raises:
        InputError: if the codes do not belong to the same rows, or to these levels.
    """
    _check(new_NL, old_NL)
    if new_NL.shape[1] != len(level_sizes):
        raise InputError(f"codes have {new_NL.shape[1]} levels; expected {len(level_sizes)}, as level_sizes says.")
    permutations = []
    for level, size in enumerate(level_sizes):
        identity_K = np.arange(size)
        permutations.append(
            identity_K if level in fixed_levels else _matched(new_NL[:, level], old_NL[:, level], level, size)
        )
    return permutations


def rename_codes(codes_NL: NDArray[np.int64], permutations: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Codes under the names that :func:`match_codes` found, int64 N×L."""
    renamed_NL: NDArray[np.int64] = np.empty_like(codes_NL)
    for level, permutation_K in enumerate(permutations):
        renamed_NL[:, level] = permutation_K[codes_NL[:, level]]
    return renamed_NL


def churn(new_NL: NDArray[np.int64], old_NL: NDArray[np.int64]) -> Churn:
    """How many rows changed their codes, as they are; rename the new ones first where names may have swapped.

    Raises:
        InputError: if the codes do not belong to the same rows and levels.
    """
    _check(new_NL, old_NL)
    levels = new_NL.shape[1]
    if not len(new_NL):
        nan = float("nan")
        return Churn((nan,) * levels, (nan,) * levels, nan)
    differs_NL = new_NL != old_NL
    per_level = tuple(map(float, differs_NL.mean(0)))
    per_prefix = tuple(map(float, np.logical_or.accumulate(differs_NL, axis=1).mean(0)))
    return Churn(per_level, per_prefix, per_prefix[-1])


def _matched(new_N: NDArray[np.int64], old_N: NDArray[np.int64], level: int, size: int) -> NDArray[np.int64]:
    for name, codes_N in (("new", new_N), ("old", old_N)):
        if len(codes_N) and not 0 <= codes_N.min() <= codes_N.max() < size:
            raise InputError(
                f"{name} codes of level {level} go from {codes_N.min()} to {codes_N.max()}; expected 0 to {size - 1}."
            )
    counts_KK = np.bincount(new_N * size + old_N, minlength=size * size).reshape(size, size)
    # One more row in agreement outweighs all names kept together, so these decide among equals only.
    _, permutation_K = linear_sum_assignment(counts_KK * (size + 1) + np.eye(size, dtype=np.int64), maximize=True)
    return np.asarray(permutation_K, dtype=np.int64)


def _check(new_NL: NDArray[np.int64], old_NL: NDArray[np.int64]) -> None:
    if new_NL.ndim != 2 or new_NL.shape != old_NL.shape or not new_NL.shape[1]:
        raise InputError(f"codes have the shapes {new_NL.shape} and {old_NL.shape}; expected two of the same N×L.")
