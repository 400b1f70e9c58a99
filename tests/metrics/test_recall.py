"""Recall of neighbours by prefix and by reconstruction, beside ranking row by row."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wotd.metrics import neighbor_recall


def by_hand(x: np.ndarray, decoded: np.ndarray, codes: np.ndarray, queries: np.ndarray, k: int) -> tuple[float, float]:
    """Rank all rows for one query after another; a tie for the last places shares them out."""
    found = np.zeros(2)
    for query in queries:
        others = np.delete(np.arange(len(x)), query)
        near = others[np.argsort(((x[others] - x[query]) ** 2).sum(1), kind="stable")[:k]]
        shared = np.cumprod(codes[others] == codes[query], axis=1).sum(1)
        distance = np.round(((decoded[others] - x[query]) ** 2).sum(1), 9)
        for place, rank in enumerate((-shared, distance)):
            for row in near:
                mine = rank[others == row][0]
                before, tied = (rank < mine).sum(), (rank == mine).sum()
                found[place] += min(1, max(0, (k - before) / tied))
    return tuple(found / (len(queries) * k))


@given(st.integers(0, 10**6), st.integers(5, 60), st.integers(1, 4), st.integers(1, 4))
@settings(max_examples=60)
def test_it_is_what_ranking_every_row_gives(seed: int, rows: int, size: int, k: int) -> None:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(rows, 4)) + 3
    codes = generator.integers(0, size, (rows, 3))
    table = generator.normal(size=(size, size, size, 4)) + 3
    decoded = table[tuple(codes.T)]
    queries = generator.permutation(rows)[: generator.integers(1, rows)]
    recall = neighbor_recall(torch.from_numpy(x), torch.from_numpy(decoded), codes, queries, k)
    if rows - 1 <= k:
        assert math.isnan(recall.prefix)
        return
    assert (recall.prefix, recall.reconstruction) == pytest.approx(by_hand(x, decoded, codes, queries, k))


def test_codes_that_decode_to_the_rows_themselves_find_all() -> None:
    x = torch.randn(300, 6, generator=torch.Generator().manual_seed(0)) + 1000  # far from the origin
    codes = np.stack([np.arange(300) // 20, np.arange(300) % 20], 1)
    recall = neighbor_recall(x, x, codes, np.arange(300))
    assert recall.reconstruction == 1
    assert recall.prefix < 0.2


def test_tight_clusters_that_are_codes_are_found_by_prefix() -> None:
    centres = torch.arange(10.0)[:, None] * 100
    x = centres.repeat_interleave(11, 0) + torch.randn(110, 1, generator=torch.Generator().manual_seed(0))
    codes = np.arange(110)[:, None] // 11
    recall = neighbor_recall(x, centres.repeat_interleave(11, 0), codes, np.arange(110))
    assert (recall.prefix, recall.reconstruction) == (1, 1)


def test_one_code_for_all_finds_no_more_than_chance() -> None:
    x = torch.randn(101, 3, generator=torch.Generator().manual_seed(0))
    recall = neighbor_recall(x, torch.zeros(101, 3), np.zeros((101, 2), dtype=np.int64), np.arange(101))
    assert (recall.prefix, recall.reconstruction) == pytest.approx((0.1, 0.1))


@pytest.mark.parametrize(("rows", "queries"), [(0, 0), (1, 1), (11, 11), (12, 0)])
def test_where_all_rows_are_neighbours_nothing_is_measured(rows: int, queries: int) -> None:
    recall = neighbor_recall(
        torch.randn(rows, 2), torch.randn(rows, 2), np.zeros((rows, 1), np.int64), np.arange(queries)
    )
    assert math.isnan(recall.prefix)
    assert math.isnan(recall.reconstruction)
