"""Passages that say nearly the same: found by the runs of eight words they share.

The editions of one work that two providers carry cut their passages differently, so equal texts
would miss them; shared runs of words do not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wotd.providers.text import words

RUN_WORDS = 8
SHARED = 0.5
"""A passage is a near-duplicate of another when they share this part of the shorter one's runs."""

_SAMPLED = 2
_COMMON = 50


def near_duplicates(texts: Sequence[str]) -> NDArray[np.int64]:
    """Pairs of passages that share half of their eight-word runs or more.

    One run in two is compared, chosen by its value, so that equal runs are chosen in all texts.
    Runs that stand in more than 50 passages are formulas, not copies, and do not count.

    Returns:
        int64 M×2, each pair once, the lower index first, in ascending order.
    """
    runs, passages = _runs(texts)
    kept = np.flatnonzero(runs % np.uint64(_SAMPLED) == 0)
    kept = kept[np.argsort(runs[kept], kind="stable")]  # by run and, within it, by passage
    runs, passages = runs[kept], passages[kept]
    new_run = np.diff(runs, prepend=~runs[:1]) != 0
    once = new_run | (np.diff(passages, prepend=-1) != 0)  # a run that a passage repeats counts once
    passages, starts = passages[once], np.flatnonzero(new_run[once])
    sizes = np.diff(starts, append=len(passages))
    shared = [
        _pairs_within(passages[start : start + size])
        for start, size in zip(starts, sizes, strict=True)
        if 1 < size <= _COMMON
    ]
    if not shared:
        return np.empty((0, 2), dtype=np.int64)
    pairs, counts = np.unique(np.concatenate(shared), axis=0, return_counts=True)
    per_passage = np.bincount(passages, minlength=len(texts))
    shorter = np.minimum(per_passage[pairs[:, 0]], per_passage[pairs[:, 1]])
    return pairs[counts >= np.maximum(2, np.ceil(SHARED * shorter))]


def _runs(texts: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """A 64-bit number for every run of eight words, and the passage each stands in."""
    vocabulary: dict[str, int] = {}
    numbers: list[int] = []
    lengths = np.zeros(len(texts), dtype=np.int64)
    for index, text in enumerate(texts):
        found = words(text.casefold())
        lengths[index] = len(found)
        numbers.extend(vocabulary.setdefault(word, len(vocabulary) + 1) for word in found)
    tokens = np.asarray(numbers, dtype=np.uint64)
    owner = np.repeat(np.arange(len(texts)), lengths)
    if len(tokens) < RUN_WORDS:
        return np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.int64)
    count = len(tokens) - RUN_WORDS + 1
    value = np.zeros(count, dtype=np.uint64)
    for offset in range(RUN_WORDS):
        value = (value * np.uint64(0x9E3779B97F4A7C15)) ^ (
            tokens[offset : offset + count] * np.uint64(0xC2B2AE3D27D4EB4F)
        )
        value ^= value >> np.uint64(29)
    inside = owner[:count] == owner[RUN_WORDS - 1 :]
    return value[inside], owner[:count][inside]


def _pairs_within(members: NDArray[np.int64]) -> NDArray[np.int64]:
    first, second = np.triu_indices(len(members), 1)
    return np.stack([members[first], members[second]], 1)
