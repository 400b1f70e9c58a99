"""Codewords against brute force over every code that there is."""

from __future__ import annotations

from itertools import product
from math import prod

import pytest
import torch
from clustered_latents import rows, seeded
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from wotd.quantization.codewords import Codewords, levels_with_table, prefix_numbers

DIM = 3
LEVEL_SIZES = st.lists(st.integers(2, 4), min_size=1, max_size=4).map(tuple)


def doubles(number: int, dim: int, seed: int = 0) -> Tensor:
    """In double precision, so that no tie is decided by rounding."""
    return rows(number, dim, seed).double()


def codewords(sizes: tuple[int, ...], tables: int, seed: int = 0) -> Codewords:
    """Of so many levels with a table, at random: what a prefix stands for tells nothing of a longer one."""
    tabled = [doubles(prod(sizes[: level + 1]), DIM, seed + level) for level in range(tables)]
    added = [doubles(size, DIM, seed + tables + level) for level, size in enumerate(sizes[tables:])]
    return Codewords(sizes, tabled, added)


def every_code(sizes: tuple[int, ...]) -> Tensor:
    return torch.tensor(list(product(*map(range, sizes))))


def stands_for(words: Codewords, code: list[int]) -> Tensor:
    """What a code or prefix stands for, looked up by hand."""
    tables = len(words.tables)
    depth = min(len(code), tables)
    total = torch.zeros(DIM, dtype=torch.float64)
    if depth:
        shape = (*words.level_sizes[:depth], DIM)
        total = words.tables[depth - 1].view(shape)[tuple(code[:depth])]
    for level in range(tables, len(code)):
        total = total + words.added[level - tables][code[level]]
    return total


def costs(
    words: Codewords, x: Tensor, surprise: list[Tensor | None], weight: float, prefix_weight: float = 0.0
) -> Tensor:
    """What each code costs each row, B×(all codes)."""
    codes, levels = every_code(words.level_sizes), len(words.level_sizes)
    total = torch.zeros(len(x), len(codes), dtype=torch.float64)
    for depth in range(1, levels + 1):
        points = torch.stack([stands_for(words, code) for code in codes[:, :depth].tolist()])
        counts = weight * (1.0 if depth == levels else prefix_weight)
        total = total + counts * (x.unsqueeze(1) - points).square().sum(2)
    for level, said in enumerate(surprise):
        if said is not None:
            total = total + said[:, codes[:, level]]
    return total


def surprises(sizes: tuple[int, ...], batch: int, levels: set[int], seed: int) -> list[Tensor | None]:
    return [
        -torch.log_softmax(2 * doubles(batch, size, seed + level), 1) if level in levels else None
        for level, size in enumerate(sizes)
    ]


# --- prefixes


@given(sizes=LEVEL_SIZES)
def test_prefixes_are_numbered_in_their_order(sizes: tuple[int, ...]) -> None:
    assert prefix_numbers(every_code(sizes), sizes).tolist() == list(range(prod(sizes)))


@pytest.mark.parametrize(
    ("sizes", "most", "tables"),
    [((8, 8, 8, 5), 4096, 4), ((8, 8, 8, 5), 512, 3), ((8, 8, 8, 5), 511, 2), ((256,) * 4, 4096, 1), ((300,), 1, 1)],
)
def test_levels_have_a_table_as_far_as_prefixes_are_few(sizes: tuple[int, ...], most: int, tables: int) -> None:
    assert levels_with_table(sizes, most) == tables


@given(sizes=LEVEL_SIZES, tables=st.integers(1, 4), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_every_prefix_decodes(sizes: tuple[int, ...], tables: int, seed: int) -> None:
    words, codes = codewords(sizes, min(tables, len(sizes)), seed), every_code(sizes)
    for depth in range(len(sizes) + 1):
        expected = torch.stack([stands_for(words, code) for code in codes[:, :depth].tolist()])
        torch.testing.assert_close(words.decode(codes[:, :depth]), expected)


# --- the search


@given(
    sizes=LEVEL_SIZES,
    tables=st.integers(1, 4),
    surprised=st.sets(st.integers(0, 3)),
    weight=st.sampled_from([0.1, 1.0, 5.0]),
    prefix_weight=st.sampled_from([0.0, 0.5]),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_a_beam_wide_enough_finds_what_costs_least_of_all(
    sizes: tuple[int, ...], tables: int, surprised: set[int], weight: float, prefix_weight: float, seed: int
) -> None:
    words, x = codewords(sizes, min(tables, len(sizes)), seed), doubles(20, DIM, seed + 50)
    surprise = surprises(sizes, 20, surprised, seed + 70)
    found = words.search(x, prod(sizes), surprise=surprise, weight=weight, prefix_weight=prefix_weight)
    every = costs(words, x, surprise, weight, prefix_weight)
    own = every.gather(1, prefix_numbers(found, sizes).unsqueeze(1))[:, 0]
    torch.testing.assert_close(own, every.min(1).values)


@given(sizes=LEVEL_SIZES, tables=st.integers(1, 4), surprised=st.sets(st.integers(0, 3)), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_a_beam_of_one_is_greedy(sizes: tuple[int, ...], tables: int, surprised: set[int], seed: int) -> None:
    words, x = codewords(sizes, min(tables, len(sizes)), seed), doubles(20, DIM, seed + 50)
    surprise = surprises(sizes, 20, surprised, seed + 70)
    greedy = torch.empty(20, 0, dtype=torch.int64)
    for level, size in enumerate(sizes):
        children = [torch.cat([greedy, torch.full((20, 1), code)], 1) for code in range(size)]
        cost = 2.0 * torch.stack([(x - words.decode(child)).square().sum(1) for child in children], 1)
        said = surprise[level]
        cost = cost if said is None else cost + said
        greedy = torch.cat([greedy, cost.argmin(1, keepdim=True)], 1)
    assert torch.equal(words.search(x, 1, surprise=surprise, weight=2.0), greedy)
    assert torch.equal(words.walk(x, surprise=surprise, weight=2.0)[0], greedy)


@pytest.mark.parametrize("tables", [1, 2, 4])
@pytest.mark.parametrize("surprised", [set(), {0, 1}])
def test_wider_beams_find_cheaper_codes_and_narrow_ones_miss_some(tables: int, surprised: set[int]) -> None:
    sizes = (5, 4, 4, 3)
    words, x = codewords(sizes, tables), doubles(400, DIM, 50)
    surprise = surprises(sizes, 400, surprised, 70)
    every = costs(words, x, surprise, 1.0)
    mean = [
        every.gather(1, prefix_numbers(words.search(x, width, surprise=surprise), sizes).unsqueeze(1)).mean()
        for width in (1, 4, 16, prod(sizes))
    ]
    assert mean == sorted(mean, reverse=True)
    assert mean[0] > mean[1] > mean[-1]


@pytest.mark.parametrize("tables", [1, 2, 3])
def test_what_says_nothing_surprising_changes_no_code(tables: int) -> None:
    words, x = codewords((4, 4, 3), tables), doubles(50, DIM, 50)
    expected = words.search(x, 3)
    even: list[Tensor | None] = [torch.full((50, size), 0.5) for size in (4, 4, 3)]
    assert torch.equal(words.search(x, 3, surprise=even, weight=7.0), expected)
    assert torch.equal(words.search(x, 3, surprise=even[:1]), expected)


def test_what_is_out_of_the_question_is_not_said() -> None:
    words, x = codewords((4, 4, 3), 2), doubles(50, DIM, 50)
    never = torch.zeros(50, 4)
    never[:, 1:] = torch.inf
    assert words.search(x, 4, surprise=[None, never])[:, 1].unique().tolist() == [0]


# --- the walk


@given(sizes=LEVEL_SIZES, tables=st.integers(1, 4), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_a_walk_tells_the_distances_to_what_each_code_would_make(
    sizes: tuple[int, ...], tables: int, seed: int
) -> None:
    words, x = codewords(sizes, min(tables, len(sizes)), seed), doubles(9, DIM, seed + 50)
    given_codes = torch.stack([torch.randint(size, (9,), generator=seeded(seed)) for size in sizes], 1)
    for along in (given_codes, None):
        codes, distances, left = words.walk(x, along)
        assert along is None or torch.equal(codes, along)
        for level, size in enumerate(sizes):
            children = [torch.cat([codes[:, :level], torch.full((9, 1), code)], 1) for code in range(size)]
            explicit = torch.stack([(x - words.decode(child)).square().sum(1) for child in children], 1)
            torch.testing.assert_close(distances[level], explicit)
        torch.testing.assert_close(left, (x - words.decode(codes)).square().sum(1))


@pytest.mark.parametrize("tables", [1, 2, 4])
def test_the_gradients_of_its_distances_are_those_of_the_explicit_form(tables: int) -> None:
    sizes = (4, 3, 3, 2)
    words, codes = codewords(sizes, tables), torch.stack([torch.arange(6) % size for size in sizes], 1)
    walked, explicit = doubles(6, DIM, 50).requires_grad_(), doubles(6, DIM, 50).requires_grad_()
    upstream = [doubles(6, size, 60 + level) for level, size in enumerate(sizes)]
    _, distances, left = words.walk(walked, codes)
    (sum((d * up).sum() for d, up in zip(distances, upstream, strict=True)) + left.sum()).backward()
    total = (explicit - words.decode(codes)).square().sum()
    for level, size in enumerate(sizes):
        for code in range(size):
            child = torch.cat([codes[:, :level], torch.full((6, 1), code)], 1)
            total = total + ((explicit - words.decode(child)).square().sum(1) * upstream[level][:, code]).sum()
    total.backward()
    torch.testing.assert_close(walked.grad, explicit.grad)


def test_a_row_at_its_codeword_is_at_no_distance_below_nought() -> None:
    words = codewords((4, 3, 3), 1)
    codes = every_code((4, 3, 3))
    _, distances, left = words.walk(words.decode(codes), codes)
    assert float(left.min()) >= 0
    assert float(left.max()) < 1e-4
    assert all(float(each.min()) >= 0 for each in distances)


@pytest.mark.parametrize("tables", [1, 2, 3])
def test_no_rows_have_no_codes(tables: int) -> None:
    words, none = codewords((4, 3, 2), tables), torch.empty(0, DIM, dtype=torch.float64)
    assert words.search(none, 1).shape == words.search(none, 4).shape == (0, 3)
    codes, distances, left = words.walk(none)
    assert codes.shape == (0, 3)
    assert [each.shape for each in distances] == [(0, 4), (0, 3), (0, 2)]
    assert left.shape == (0,)
    assert words.decode(codes).shape == (0, DIM)


def test_gradients_go_through_what_was_first_used_in_inference_mode() -> None:
    """As validation leaves it to the training after it."""
    words = codewords((4, 3, 2), 2)
    with torch.inference_mode():
        words.walk(doubles(5, DIM))
    x = doubles(5, DIM).requires_grad_()
    words.walk(x)[2].sum().backward()
    assert bool(x.grad.any())
