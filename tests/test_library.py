"""The library finds what a plain search over all passages and works finds."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wotd import library as library_module
from wotd.library import Library, Tree
from wotd.semantic_ids import IDPattern, SemanticID

SIZES = (3, 2, 4)
codes_st = st.tuples(*(st.integers(0, size - 1) for size in SIZES))
patterns_st = st.tuples(*(st.none() | st.integers(0, size - 1) for size in SIZES)).map(IDPattern)
prefixes_st = st.integers(0, len(SIZES)).flatmap(
    lambda depth: st.tuples(*(st.integers(0, size - 1) for size in SIZES[:depth]))
)


class Stored:
    """Artifacts of these codes; passage i is the i-th of the one work, whose code is the first of them."""

    def __init__(self, codes: list[tuple[int, ...]], own_id: str | None = None) -> None:
        self.stored, self.own_id = codes, own_id

    def codes(self) -> pa.Table:
        count = len(self.stored)
        return pa.table(
            {
                "corpus": pa.array(["files:w"] * count, pa.string()),
                "passage": pa.array(range(count), pa.int64()),
                "text": pa.array([f"text {row}" for row in range(count)], pa.string()),
                "code": pa.array([list(code) for code in self.stored], pa.list_(pa.int64())),
            }
        )

    def semantic_ids(self) -> dict:
        work = {"title": "W", "author": "A", "code": list(self.stored[0])} if self.stored else {}
        return {"corpora": {"files:w": work | ({"id": self.own_id} if self.own_id else {})} if work else {}}


@given(st.lists(codes_st, max_size=30), prefixes_st)
def test_prefixes_find_what_a_plain_search_finds(codes: list[tuple[int, ...]], prefix: tuple[int, ...]) -> None:
    library = Library(Stored(codes), SIZES)
    below = [code for code in codes if code[: len(prefix)] == prefix]
    assert len(library) == len(codes)
    assert library.count(SemanticID(prefix)) == len(below)
    children = library.children(SemanticID(prefix))
    assert [child.indices for child, _ in children] == sorted(
        {code[: len(prefix) + 1] for code in below if len(prefix) < 3}
    )
    assert all(passages == sum(code[: len(child)] == child.indices for code in codes) for child, passages in children)
    expected = bool(codes) and codes[0][: len(prefix)] == prefix
    assert [work["corpus"] for work in library.works(SemanticID(prefix))] == (["files:w"] if expected else [])


@given(st.lists(codes_st, max_size=30))
def test_rows_of_a_code_are_the_passages_that_bear_it_in_stored_order(codes: list[tuple[int, ...]]) -> None:
    library = Library(Stored(codes), SIZES)
    assert [tuple(code) for code in library.codes_CL.tolist()] == sorted(set(codes))
    for place, code in enumerate(library.codes_CL.tolist()):
        assert library.rows(place).tolist() == [row for row, other in enumerate(codes) if list(other) == code]


@pytest.mark.parametrize("texts", [True, False])
def test_a_neighbor_says_where_it_stands(texts: bool) -> None:
    stored = Stored([(2, 1, 3), (0, 0, 0)])
    if not texts:
        table = stored.codes().drop_columns("text")
        stored.codes = lambda: table  # type: ignore[method-assign]
    found = Library(stored, SIZES).neighbor(1, 0.25)
    assert (found.corpus, found.title, found.author, found.passage, found.id) == ("files:w", "W", "A", 1, "0-0-0")
    assert found.text == ("text 1" if texts else None)
    assert found.distance == 0.25


def test_a_work_lies_under_its_published_id_whatever_its_code() -> None:
    codes = [(2, 1, 3), (2, 1, 3), (2, 1, 0)]
    library = Library(Stored(codes, "2-1-0-4"), SIZES)
    assert library.id_levels == 4
    assert library.works(SemanticID((2, 1, 3))) == []
    for prefix in ((2, 1), (2, 1, 0), (2, 1, 0, 4)):
        assert library.works(SemanticID(prefix)) == [
            {"corpus": "files:w", "title": "W", "author": "A", "id": "2-1-0-4"}
        ]
    assert library.works(SemanticID((2, 1, 0, 5))) == []
    assert library.count(SemanticID((2, 1, 0, 4))) == library.count(SemanticID((2, 1, 0))) == 1
    assert library.children(SemanticID((2, 1, 0))) == library.children(SemanticID((2, 1, 0, 4))) == []
    assert Library(Stored(codes), SIZES).id_levels == Library(Stored([]), SIZES).id_levels == 3


@given(st.lists(codes_st, max_size=30), patterns_st)
def test_patterns_find_what_a_plain_search_finds(codes: list[tuple[int, ...]], pattern: IDPattern) -> None:
    library = Library(Stored(codes), SIZES)
    expected = [row for row, code in enumerate(codes) if pattern.matches(SemanticID(code))]
    assert library.passages(pattern).tolist() == expected
    assert library.passages(pattern, "files:w").tolist() == expected
    assert library.passages(pattern, "files:other").tolist() == []
    assert [work["corpus"] for work in library.works(pattern)] == (["files:w"] if 0 in expected else [])


@given(st.lists(codes_st, min_size=1, max_size=30), st.integers(1, 3))
def test_rows_are_grouped_by_prefix_the_largest_group_first(codes: list[tuple[int, ...]], depth: int) -> None:
    library = Library(Stored(codes), SIZES)
    rows = library.passages(IDPattern())[::2]
    groups = library.by_id(rows, depth)
    assert {str(group): those.tolist() for group, those in groups} == {
        "-".join(map(str, prefix)): [row for row in rows if codes[row][:depth] == prefix]
        for prefix in {codes[row][:depth] for row in rows}
    }
    order = [(-len(those), group) for group, those in groups]
    assert order == sorted(order)


def leaves(tree: Tree) -> dict[str, int]:
    """IDs without children, and how many passages bear each."""
    if not tree.children:
        return {tree.id: tree.passages}
    assert sum(child.passages for child in tree.children) == tree.passages
    return {key: count for child in tree.children for key, count in leaves(child).items()}


@given(st.lists(codes_st, max_size=30), prefixes_st, st.integers(1, 3))
def test_a_tree_holds_every_prefix_that_passages_bear(
    codes: list[tuple[int, ...]], prefix: tuple[int, ...], depth: int
) -> None:
    tree = Library(Stored(codes), SIZES).tree(SemanticID(prefix), depth, lambda each: f"name of {each}")
    below = [code for code in codes if code[: len(prefix)] == prefix]
    deepest = min(len(prefix) + depth, len(SIZES))
    expected: dict[str, int] = {}
    for code in below:
        leaf = "-".join(map(str, code[:deepest]))
        expected[leaf] = expected.get(leaf, 0) + 1
    assert leaves(tree) == (expected or {str(SemanticID(prefix)): 0})
    assert (tree.passages, tree.more, tree.name) == (len(below), 0, f"name of {tree.id}")


def test_a_tree_of_too_many_branches_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = [(a, b, c) for a in range(3) for b in range(2) for c in range(4)] + [(2, 0, 0), (1, 0, 0)]
    library = Library(Stored(codes), SIZES)
    for most, depth in ((33, 3), (32, 2), (9, 2), (8, 1), (3, 1)):  # branches: 3, 9 and 33 up to each level
        monkeypatch.setattr(library_module, "MAX_BRANCHES", most)
        tree = library.tree(SemanticID(()), 3, str)
        assert max(leaf.count("-") for leaf in leaves(tree)) == depth - 1
        assert tree.more == 0
    monkeypatch.setattr(library_module, "MAX_BRANCHES", 2)
    tree = library.tree(SemanticID(()), 3, str)
    assert [child.id for child in tree.children] == ["1", "2"], "those of most passages"
    assert (tree.passages, tree.more) == (len(codes), 1)
