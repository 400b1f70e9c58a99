"""Train, validation and test: whole authors on one side, near-duplicates on one side, the same every time."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from wotd.data.duplicates import near_duplicates
from wotd.errors import CorpusError, TrainingError
from wotd.providers.corpora import Corpora

TRAIN, VAL, TEST = 0, 1, 2
SPLIT_NAMES = ("train", "val", "test")

_NAMELESS = {"anonymous", "unknown", "various", "traditional", ""}


class SplitBy(StrEnum):
    """What is kept together on one side of the split."""

    AUTHOR = "author"
    WORK = "work"
    PASSAGE = "passage"


class _Groups:
    """Disjoint sets of passages' groups (union-find with path halving)."""

    def __init__(self, count: int) -> None:
        self.parent = list(range(count))

    def find(self, item: int) -> int:
        while self.parent[item] != item:
            self.parent[item] = self.parent[self.parent[item]]
            item = self.parent[item]
        return item

    def join(self, a: int, b: int) -> None:
        low, high = sorted((self.find(a), self.find(b)))
        self.parent[high] = low


def author_key(name: str) -> str:
    """One spelling for ``Poe, Edgar Allan`` and ``Edgar Allan Poe``; empty where nobody is named."""
    plain = unicodedata.normalize("NFKD", name.casefold())
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    key = " ".join(sorted(re.findall(r"[^\W_]+", plain)))
    return "" if key in _NAMELESS else key


def split_passages(
    corpora: Corpora, *, by: SplitBy, val_fraction: float, test_fraction: float, seed: int
) -> NDArray[np.int8]:
    """The side of each passage: 0 train, 1 val, 2 test; int8 of length N.

    Raises:
        CorpusError: if there are too few authors, works or passages to give every side one.
    """
    count = len(corpora.texts) if by is SplitBy.PASSAGE else len(corpora.works)
    owner = np.arange(count) if by is SplitBy.PASSAGE else corpora.work_of_passage
    groups = _Groups(count)
    if by is SplitBy.AUTHOR:
        _join_authors(groups, [work.authors for work in corpora.works])
    authors = len({groups.find(index) for index in range(count)})
    _check_count(authors, by, val_fraction, test_fraction)
    for first, second in near_duplicates(corpora.texts):
        groups.join(int(owner[first]), int(owner[second]))
    roots = np.asarray([groups.find(index) for index in range(count)], dtype=np.int64)[owner]
    _check_count(len(np.unique(roots)), by, val_fraction, test_fraction)
    return assign_sides(roots, val_fraction=val_fraction, test_fraction=test_fraction, seed=seed)


def split_rows(rows: int, *, val_fraction: float, test_fraction: float, seed: int) -> NDArray[np.int8]:
    """The side of each row of a matrix of which nothing else is known; int8 of length ``rows``.

    Raises:
        TrainingError: if there are too few rows to give every side one.
    """
    val, test = (max(1, round(rows * fraction)) if fraction else 0 for fraction in (val_fraction, test_fraction))
    if rows <= val + test:
        raise TrainingError(f"data.vectors has {rows} rows, too few to train on, validate and test; give more.")
    sides = np.full(rows, TRAIN, dtype=np.int8)
    order = np.random.default_rng(seed).permutation(rows)
    sides[order[:val]] = VAL
    sides[order[val : val + test]] = TEST
    return sides


def _join_authors(groups: _Groups, authors: Sequence[Iterable[str]]) -> None:
    works_of: dict[str, list[int]] = defaultdict(list)
    for work, names in enumerate(authors):
        for name in names:
            if key := author_key(name):
                works_of[key].append(work)
    for works in works_of.values():
        for work in works[1:]:
            groups.join(works[0], work)


def _check_count(groups: int, by: SplitBy, val_fraction: float, test_fraction: float) -> None:
    needed = 1 + (val_fraction > 0) + (test_fraction > 0)
    if groups >= needed:
        return
    other = "passage" if by is not SplitBy.AUTHOR else "work or data.split_by=passage"
    hint = f", or set data.split_by={other}" if by is not SplitBy.PASSAGE else ""
    raise CorpusError(
        f"data.split_by={by.value} finds {groups} separate {by.value}{'' if groups == 1 else 's'} (near-duplicates "
        f"joined), but train, val and test need {needed}: give more texts{hint}."
    )


def assign_sides(
    groups_N: NDArray[np.int64], *, val_fraction: float, test_fraction: float, seed: int
) -> NDArray[np.int8]:
    """Sides of rows so that a group is whole on one side and the sides near their fractions.

    Groups come in a seeded order, and each goes to the side that lacks the largest part of what it
    is due. Every side with a fraction gets at least one group where there are enough.
    """
    names, index_N, sizes = np.unique(groups_N, return_inverse=True, return_counts=True)
    due = np.array([1 - val_fraction - test_fraction, val_fraction, test_fraction]) * len(groups_N)
    have = np.zeros(3)
    sides = np.zeros(len(names), dtype=np.int8)
    order = np.random.default_rng(seed).permutation(len(names))
    for group in order:
        # A group that would overfill a small side by more than half goes to training instead.
        fits = (have + sizes[group] <= 1.5 * due) | (np.arange(3) == TRAIN)
        lack = (due - have) / np.maximum(due, 1e-12)
        sides[group] = int(np.argmax(np.where(fits & (due > 0), lack, -np.inf)))
        have[sides[group]] += sizes[group]
    _fill_empty(sides, sizes, order, due)
    return sides[index_N]


def _fill_empty(
    sides: NDArray[np.int8], sizes: NDArray[np.int64], order: NDArray[np.int64], due: NDArray[np.float64]
) -> None:
    """Give a side that is due something but got nothing the smallest group of the side with the most groups."""
    for side in np.flatnonzero(due > 0):
        counts = np.bincount(sides, minlength=3)
        if counts[side] or counts.max() < 2:
            continue
        candidates = order[sides[order] == counts.argmax()]
        sides[candidates[sizes[candidates].argmin()]] = side
