"""Semantic IDs as values: their text form, their order, their prefixes, and the index over them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wotd.errors import InputError
from wotd.semantic_ids import IDPattern, SemanticID

indices_st = st.lists(st.integers(0, 999_999_999), max_size=8).map(tuple)
ids_st = st.builds(SemanticID, indices_st)
crowded_ids_st = st.builds(SemanticID, st.lists(st.integers(0, 2), max_size=4).map(tuple))


@given(ids_st)
def test_the_text_form_is_read_back_equal(semantic_id: SemanticID) -> None:
    assert SemanticID.parse(str(semantic_id)) == semantic_id


@pytest.mark.parametrize(
    ("text", "indices"),
    [("2-3-5-1", (2, 3, 5, 1)), ("0", (0,)), (" 2-3 \n", (2, 3)), ("", ()), ("  ", ()), ("255-0-12", (255, 0, 12))],
)
def test_parse_reads_indices_joined_by_hyphens(text: str, indices: tuple[int, ...]) -> None:
    assert SemanticID.parse(text).indices == indices


@pytest.mark.parametrize(
    "text",
    ["a", "2-", "-2", "2--3", "2-3-x", "2.5", "2 3", "2,3", "2-3\n4", "+2", "٢-٣", "²", "1" * 10, "0" + "-0" * 64],
)
def test_parse_refuses_anything_else_and_quotes_it(text: str) -> None:
    with pytest.raises(InputError, match=r"^semantic ID is .*expected indices joined by hyphens, such as 2-3-5-1\.$"):
        SemanticID.parse(text)


def test_parse_quotes_no_more_than_a_line() -> None:
    with pytest.raises(InputError) as caught:
        SemanticID.parse("x" * 10_000)
    assert len(str(caught.value)) < 200


@given(st.text("0123456789- x", max_size=12))
def test_parse_reads_just_the_texts_whose_parts_are_all_digits(text: str) -> None:
    parts = text.strip().split("-")
    if not text.strip():
        assert SemanticID.parse(text) == SemanticID(())
    elif all(part.isdigit() and len(part) < 10 for part in parts):
        assert list(SemanticID.parse(text)) == [int(part) for part in parts]
    else:
        with pytest.raises(InputError, match="expected indices joined by hyphens"):
            SemanticID.parse(text)


def test_a_negative_index_is_refused() -> None:
    with pytest.raises(InputError, match=r"\[2, -1\] has a negative index"):
        SemanticID((2, -1))


def test_it_is_a_value() -> None:
    assert len({SemanticID((1, 2)), SemanticID((1, 2)), SemanticID((1,))}) == 2
    assert list(SemanticID((3, 1))) == [3, 1]
    assert len(SemanticID((3, 1))) == 2
    assert str(SemanticID(())) == ""
    with pytest.raises(AttributeError):
        SemanticID((1,)).indices = (2,)  # type: ignore[misc]


def test_order_is_by_number_and_a_prefix_comes_first() -> None:
    ordered = [SemanticID.parse(text) for text in ("", "1", "1-9", "2", "2-0", "2-10", "10", "10-0")]
    backwards = [*reversed(ordered)]
    assert sorted(backwards) == ordered


@given(ids_st, st.data())
def test_every_prefix_leads_to_the_id(semantic_id: SemanticID, data: st.DataObject) -> None:
    depth = data.draw(st.integers(0, len(semantic_id)))
    prefix = semantic_id.prefix(depth)
    assert len(prefix) == depth
    assert semantic_id.startswith(prefix)
    assert prefix.startswith(semantic_id) == (depth == len(semantic_id))


@pytest.mark.parametrize("depth", [-1, 3])
def test_a_prefix_of_another_depth_is_refused(depth: int) -> None:
    with pytest.raises(InputError, match=rf"depth is {depth}; expected 0 to 2 for the semantic ID 1-2"):
        SemanticID((1, 2)).prefix(depth)


def test_similar_digits_are_no_prefix() -> None:
    assert not SemanticID.parse("12-3").startswith(SemanticID.parse("1"))
    assert not SemanticID.parse("1").startswith(SemanticID.parse("1-0"))


@pytest.mark.parametrize("text", ["", "7", "7-7-7-4", "0-0-0-0"])
def test_ids_within_the_sizes_pass(text: str) -> None:
    SemanticID.parse(text).check_sizes([8, 8, 8, 5])
    assert len(SemanticID.parse(text)) <= 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0-0-0-0-0", "has 5 levels; these artifacts have 4"),
        ("8", "level 0 is 8; expected 0 to 7"),
        ("0-0-0-5", "level 3 is 5; expected 0 to 4"),
        ("0-9-9", "level 1 is 9; expected 0 to 7"),
    ],
)
def test_ids_that_no_quantizer_of_these_sizes_says_are_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        SemanticID.parse(text).check_sizes([8, 8, 8, 5])


# --- patterns


indices_st = st.lists(st.none() | st.integers(0, 3), max_size=4).map(tuple)


@pytest.mark.parametrize(
    ("text", "indices", "form"),
    [
        ("5-*-6", (5, None, 6), "5-*-6"),
        ("5-3", (5, 3), "5-3"),
        ("*-*-6", (None, None, 6), "*-*-6"),
        ("5-*-*", (5,), "5"),
        ("*", (), ""),
        ("  ", (), ""),
    ],
)
def test_a_pattern_has_one_form_for_one_meaning(text: str, indices: tuple, form: str) -> None:
    pattern = IDPattern.parse(text)
    assert (pattern.indices, str(pattern), len(pattern)) == (indices, form, len(indices))
    assert IDPattern.parse(form) == pattern


@pytest.mark.parametrize("text", ["a", "5-", "**", "5*", "-*", "5--6", "٥", "*" + "-*" * 64])
def test_a_pattern_of_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^ID pattern is .*joined by hyphens, such as 5-\*-6\.$"):
        IDPattern.parse(text)


@given(indices_st, st.lists(st.integers(0, 3), max_size=4))
def test_a_pattern_matches_what_agrees_with_it_on_every_level(wanted: tuple, indices: list[int]) -> None:
    last = max((level for level, index in enumerate(wanted) if index is not None), default=-1)
    expected = len(indices) > last and all(wanted[level] in (None, indices[level]) for level in range(last + 1))
    assert IDPattern(wanted).matches(SemanticID(tuple(indices))) is expected


@given(st.lists(st.integers(0, 3), max_size=4), st.lists(st.integers(0, 3), max_size=4))
def test_a_prefix_is_a_pattern(prefix: list[int], indices: list[int]) -> None:
    semantic_id = SemanticID(tuple(indices))
    assert IDPattern(tuple(prefix)).matches(semantic_id) == semantic_id.startswith(SemanticID(tuple(prefix)))


def test_a_pattern_out_of_range_is_refused() -> None:
    IDPattern.parse("7-*-7").check_sizes([8, 8, 8, 5])
    with pytest.raises(InputError, match=r"ID pattern \*-8: level 1 is 8; expected 0 to 7"):
        IDPattern.parse("*-8").check_sizes([8, 8, 8, 5])
    with pytest.raises(InputError, match=r"ID pattern .* has 5 levels; these artifacts have 4"):
        IDPattern.parse("*-*-*-*-1").check_sizes([8, 8, 8, 5])
    with pytest.raises(InputError, match="negative index"):
        IDPattern((None, -1))
