"""Codes in groups answer what a plain search over all rows answers, whatever is in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wotd.id_index import code_groups
from wotd.id_index.code_groups import NO_CODE, CodeGroups
from wotd.semantic_ids import IDPattern, SemanticID

LEVELS = 3
indices_st = st.sampled_from([0, 1, 2, 255, 256, 70_000])
ids_st = st.lists(indices_st, max_size=LEVELS).map(tuple)
patterns_st = st.lists(st.none() | indices_st, max_size=LEVELS + 1).map(lambda indices: IDPattern(tuple(indices)))


@pytest.fixture(params=[2, 1 << 19], ids=["rows come in many parts", "in one"], autouse=True)
def _parts(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(code_groups, "_ROWS", request.param)
        yield


def matrix(ids: list[tuple[int, ...]]) -> np.ndarray:
    """IDs as rows, filled up where they are short."""
    return np.array([[*each, *[NO_CODE] * (LEVELS - len(each))] for each in ids], dtype=np.int64).reshape(-1, LEVELS)


@given(st.lists(ids_st, max_size=30), patterns_st)
def test_patterns_and_prefixes_find_what_a_plain_search_finds(ids: list[tuple[int, ...]], pattern: IDPattern) -> None:
    groups = CodeGroups.of(matrix(ids))
    rows = [row for row, each in enumerate(ids) if each and pattern.matches(SemanticID(each))]
    assert groups.matching(pattern).tolist() == rows
    assert groups.count(pattern) == len(rows)
    slices = groups.slices(pattern).tolist()
    assert all(before[1] < after[0] for before, after in pairwise(slices)), "they do not touch"
    found = [row for part in slices for row in groups.rows_of(slice(*part)).tolist()]
    assert found == sorted(rows, key=lambda row: ids[row]), "in order of ID, those of one in their order"


@given(st.lists(ids_st, max_size=30), ids_st)
def test_children_are_counted(ids: list[tuple[int, ...]], prefix: tuple[int, ...]) -> None:
    expected: dict[tuple[int, ...], int] = {}
    for each in ids:
        if each[: len(prefix)] == prefix and len(each) > len(prefix):
            expected[each[: len(prefix) + 1]] = expected.get(each[: len(prefix) + 1], 0) + 1
    children = CodeGroups.of(matrix(ids)).children(SemanticID(prefix))
    assert [(child.indices, count) for child, count in children] == sorted(expected.items())


@given(st.lists(ids_st, max_size=30))
def test_rows_have_their_ids_and_codes_their_rows(ids: list[tuple[int, ...]]) -> None:
    groups = CodeGroups.of(matrix(ids))
    assert [groups.code(row) for row in range(len(ids))] == [SemanticID(each) if each else None for each in ids]
    distinct = sorted({each for each in ids if each})
    assert [tuple(index for index in code if index != NO_CODE) for code in groups.codes_CL.tolist()] == distinct
    assert groups.counts_C.tolist() == [ids.count(each) for each in distinct]


def test_rows_of_a_prefix_are_no_copy() -> None:
    groups = CodeGroups.of(np.random.default_rng(0).integers(0, 4, (1000, 3)))
    assert np.shares_memory(groups.rows_of(groups.below(SemanticID((2, 1)))), groups.rows)


def test_indices_are_kept_in_the_narrowest_type() -> None:
    groups = CodeGroups.of(np.array([[255, 256, -1], [0, 70_000, 127]]))
    assert [level.dtype for level in groups.levels] == [np.uint8, np.uint32, np.int8]


class Counting:
    """Indices of rows that count how many of them were read."""

    def __init__(self, indices: np.ndarray) -> None:
        self.indices, self.dtype, self.read = indices, indices.dtype, 0

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, part: Any) -> np.ndarray:
        found = self.indices[part]
        self.read += found.size
        return found


@pytest.mark.parametrize("number", [1_000, 30_000])
def test_grouping_reads_each_index_as_often_however_many_rows_there_are(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_groups, "_ROWS", 512)
    levels = [Counting(level_N) for level_N in np.random.default_rng(0).integers(0, 256, (4, number)).astype(np.uint8)]
    CodeGroups.grouped(levels, lambda _, length, dtype: np.empty(length, dtype))
    most = (
        7,
        6,
        6,
        6,
    )  # the highest, two for a pass of sorting, two for the runs, the codes; on the first, which have any
    assert all(level.read <= times * number for level, times in zip(levels, most, strict=True))
