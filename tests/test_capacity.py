"""Capacity before training: what can be told apart, what starves, and advice that would help."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wotd.capacity import ENOUGH_ITEMS_PER_CODE, FEW_ITEMS_PER_CODE, planned, starving_levels

sizes_st = st.lists(st.integers(2, 300), min_size=1, max_size=5)


def test_a_plan_knows_floor_and_expectation() -> None:
    facts = planned(5000, (8, 8, 8, 5))
    assert facts["collisions"]["floor"] == pytest.approx(1 - 2560 / 5000)
    assert facts["collisions"]["expected"] == pytest.approx(1 - 2560 * (1 - (1 - 1 / 2560) ** 5000) / 5000)
    assert facts["bits"] == 11.32
    assert sum(level["bits_it_can_carry"] for level in facts["levels"]) == pytest.approx(11.32, abs=0.01)
    (advice,) = facts["advice"]
    assert "at least 49% of the items must share a code" in advice
    assert "250,000 codes are needed (17.9 bits): one more level of 98." in advice, "a last level of 489 would starve"
    (advice,) = planned(5000, (8, 8, 8, 5), trained_on=100_000)["advice"]
    assert "(17.9 bits): a last level of 489, or one more level of 98." in advice
    assert 8 * 8 * 8 * 489 >= 250_000
    assert planned(5000, (8, 8, 8, 489))["collisions"]["expected"] < 0.01


def test_a_plan_names_levels_that_carry_nothing() -> None:
    facts = planned(1000, (16, 16, 16, 16))
    assert facts["levels"][3]["bits_it_can_carry"] == 0
    assert "Level 3 can hardly tell more items apart" in facts["advice"][0]
    assert "Level 1 has one code and says nothing" in planned(100, (4, 1))["advice"][0]
    assert planned(500, (64, 64), trained_on=2000)["advice"] == []


@pytest.mark.parametrize(
    ("items", "sizes", "sentence"),
    [
        (3000, (256,) * 4, "Level 0, 1, 2, 3 would starve: 3,000 items are fewer than 20 a code, "),
        (3000, (256,) * 4, "; make levels of at most 75 codes, or train on 10,240 items or more."),
        (1000, (8, 256, 8), "Level 1 would starve: 1,000 items"),
        (
            100,
            (256,),
            "(training refuses a level with more codes than items); make levels of at most 2 codes, ",
        ),
        (60, (4,), "unseen items; train on 160 items or more."),
    ],
)
def test_starving_levels_and_what_feeds_them(items: int, sizes: tuple[int, ...], sentence: str) -> None:
    (said,) = starving_levels(items, sizes)
    assert sentence in said
    assert said in planned(items, sizes)["advice"]


def test_enough_is_enough() -> None:
    assert starving_levels(20 * 256, (256,) * 4) == []
    assert len(starving_levels(20 * 256 - 1, (256,) * 4)) == 1


@given(st.integers(1, 10_000), sizes_st)
def test_advice_helps_whoever_follows_it(items: int, sizes: list[int]) -> None:
    for said in starving_levels(items, sizes):
        named = [int(level) for level in re.match(r"Level ([\d, ]+) would", said)[1].split(", ")]
        assert named == [level for level, size in enumerate(sizes) if items / size < FEW_ITEMS_PER_CODE]
        more = int(re.search(r"train on ([\d,]+) items", said)[1].replace(",", ""))
        assert starving_levels(more, sizes) == []
        if smaller := re.search(r"at most (\d+) codes", said):
            assert starving_levels(items, [min(size, int(smaller[1])) for size in sizes]) == []
    assert bool(starving_levels(items, sizes)) == (items < FEW_ITEMS_PER_CODE * max(sizes))


@given(st.integers(1, 100_000), sizes_st, st.integers(1, 100_000))
def test_more_codes_are_advised_only_where_they_suffice_and_do_not_starve(
    items: int, sizes: list[int], trained_on: int
) -> None:
    for said in planned(items, sizes, trained_on=trained_on)["advice"]:
        if "For less than 1%" not in said:
            continue
        wanted = int(re.search(r"([\d,]+) codes are needed", said)[1].replace(",", ""))
        last, more = (
            re.search(r"a last level of ([\d,]+)", said),
            re.search(r"(one|\d+) more levels? of ([\d,]+)", said),
        )
        larger = [[*sizes[:-1], int(last[1].replace(",", ""))]] if last else []
        if more:
            larger.append([*sizes, *[int(more[2].replace(",", ""))] * (1 if more[1] == "one" else int(more[1]))])
        for enlarged in larger:
            assert math.prod(enlarged) >= wanted
            assert planned(items, enlarged)["collisions"]["expected"] < 0.01
            assert trained_on >= FEW_ITEMS_PER_CODE * enlarged[-1]
        assert larger or trained_on < 2 * ENOUGH_ITEMS_PER_CODE


@given(st.integers(1, 10_000), sizes_st)
def test_levels_carry_no_more_than_there_is_to_tell(items: int, sizes: list[int]) -> None:
    facts = planned(items, sizes)
    carried = [level["bits_it_can_carry"] for level in facts["levels"]]
    assert sum(carried) == pytest.approx(min(math.log2(items), sum(map(math.log2, sizes))), abs=0.03)
    assert facts["collisions"]["floor"] <= facts["collisions"]["expected"] + 1e-9
    assert [level["trained_per_code"] for level in facts["levels"]] == [items / size for size in sizes]
