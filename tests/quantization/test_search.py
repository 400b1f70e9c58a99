"""The search for codes against brute force over every code that there is."""

from __future__ import annotations

from math import prod

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_codewords import DIM, LEVEL_SIZES, codewords, costs, doubles, surprises
from torch import Tensor

from wotd.quantization.codewords import prefix_numbers
from wotd.quantization.search import CodewordSearch
from wotd.quantization.walk import walk


@given(
    sizes=LEVEL_SIZES,
    tables=st.integers(1, 4),
    surprised=st.sets(st.integers(0, 3)),
    weight=st.sampled_from([0.1, 1.0, 5.0]),
    prefix_weight=st.sampled_from([0.0, 0.5]),
    seed=st.integers(0, 99),
)
@settings(max_examples=60)
def test_a_beam_wide_enough_finds_what_costs_least_of_all(
    sizes: tuple[int, ...], tables: int, surprised: set[int], weight: float, prefix_weight: float, seed: int
) -> None:
    words, x = codewords(sizes, min(tables, len(sizes)), seed), doubles(20, DIM, seed + 50)
    search = CodewordSearch(words)
    surprise = surprises(sizes, 20, surprised, seed + 70)
    found = search.search(x, prod(sizes), surprise=surprise, weight=weight, prefix_weight=prefix_weight)
    every = costs(words, x, surprise, weight, prefix_weight)
    own = every.gather(1, prefix_numbers(found, sizes).unsqueeze(1))[:, 0]
    torch.testing.assert_close(own, every.min(1).values)


@given(sizes=LEVEL_SIZES, tables=st.integers(1, 4), surprised=st.sets(st.integers(0, 3)), seed=st.integers(0, 99))
@settings(max_examples=40)
def test_a_beam_of_one_is_greedy(sizes: tuple[int, ...], tables: int, surprised: set[int], seed: int) -> None:
    words, x = codewords(sizes, min(tables, len(sizes)), seed), doubles(20, DIM, seed + 50)
    search = CodewordSearch(words)
    surprise = surprises(sizes, 20, surprised, seed + 70)
    greedy = torch.empty(20, 0, dtype=torch.int64)
    for level, size in enumerate(sizes):
        children = [torch.cat([greedy, torch.full((20, 1), code)], 1) for code in range(size)]
        cost = 2.0 * torch.stack([(x - words.decode(child)).square().sum(1) for child in children], 1)
        said = surprise[level]
        cost = cost if said is None else cost + said
        greedy = torch.cat([greedy, cost.argmin(1, keepdim=True)], 1)
    assert torch.equal(search.search(x, 1, surprise=surprise, weight=2.0), greedy)
    assert torch.equal(walk(search, x, surprise=surprise, weight=2.0)[0], greedy)


@pytest.mark.parametrize("tables", [1, 2, 4])
@pytest.mark.parametrize("surprised", [set(), {0, 1}])
def test_wider_beams_find_cheaper_codes_and_narrow_ones_miss_some(tables: int, surprised: set[int]) -> None:
    sizes = (5, 4, 4, 3)
    words, x = codewords(sizes, tables), doubles(400, DIM, 50)
    search = CodewordSearch(words)
    surprise = surprises(sizes, 400, surprised, 70)
    every = costs(words, x, surprise, 1.0)
    mean = [
        every.gather(1, prefix_numbers(search.search(x, width, surprise=surprise), sizes).unsqueeze(1)).mean()
        for width in (1, 4, 16, prod(sizes))
    ]
    assert mean == sorted(mean, reverse=True)
    assert mean[0] > mean[1] > mean[-1]


@pytest.mark.parametrize("tables", [1, 2, 3])
def test_what_says_nothing_surprising_changes_no_code(tables: int) -> None:
    words, x = codewords((4, 4, 3), tables), doubles(50, DIM, 50)
    search = CodewordSearch(words)
    expected = search.search(x, 3)
    even: list[Tensor | None] = [torch.full((50, size), 0.5) for size in (4, 4, 3)]
    assert torch.equal(search.search(x, 3, surprise=even, weight=7.0), expected)
    assert torch.equal(search.search(x, 3, surprise=even[:1]), expected)


def test_what_is_out_of_the_question_is_not_said() -> None:
    words, x = codewords((4, 4, 3), 2), doubles(50, DIM, 50)
    search = CodewordSearch(words)
    never = torch.zeros(50, 4)
    never[:, 1:] = torch.inf
    assert search.search(x, 4, surprise=[None, never])[:, 1].unique().tolist() == [0]


@pytest.mark.parametrize("tables", [1, 2, 3])
def test_no_rows_have_no_codes(tables: int) -> None:
    words, none = codewords((4, 3, 2), tables), torch.empty(0, DIM, dtype=torch.float64)
    search = CodewordSearch(words)
    assert search.search(none, 1).shape == search.search(none, 4).shape == (0, 3)
    codes, distances, left = walk(search, none)
    assert codes.shape == (0, 3)
    assert [each.shape for each in distances] == [(0, 4), (0, 3), (0, 2)]
    assert left.shape == (0,)
    assert words.decode(codes).shape == (0, DIM)


@given(sizes=LEVEL_SIZES, tables=st.integers(1, 4), width=st.integers(1, 4), seed=st.integers(0, 99))
@settings(max_examples=30)
def test_a_linear_map_in_the_products_gives_the_codes_of_what_it_makes(
    sizes: tuple[int, ...], tables: int, width: int, seed: int
) -> None:
    words = codewords(sizes, min(tables, len(sizes)), seed)
    x, weight, bias = doubles(20, 5, seed + 50), doubles(DIM, 5, seed + 51), doubles(1, DIM, seed + 52)[0]
    expected = CodewordSearch(words).search(x @ weight.T + bias, width, prefix_weight=0.5)
    assert torch.equal(CodewordSearch(words, weight, bias).search(x, width, prefix_weight=0.5), expected)
