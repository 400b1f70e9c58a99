"""The walk down the levels against explicit distances and their gradients."""

from __future__ import annotations

import pytest
import torch
from clustered_latents import seeded
from hypothesis import given, settings
from hypothesis import strategies as st
from random_codewords import DIM, LEVEL_SIZES, codewords, doubles, every_code

from wotd.quantization.search import CodewordSearch
from wotd.quantization.walk import walk


@given(sizes=LEVEL_SIZES, tables=st.integers(1, 4), seed=st.integers(0, 99))
@settings(max_examples=30)
def test_a_walk_tells_the_distances_to_what_each_code_would_make(
    sizes: tuple[int, ...], tables: int, seed: int
) -> None:
    words, x = codewords(sizes, min(tables, len(sizes)), seed), doubles(9, DIM, seed + 50)
    given_codes = torch.stack([torch.randint(size, (9,), generator=seeded(seed)) for size in sizes], 1)
    for along in (given_codes, None):
        codes, distances, left = walk(CodewordSearch(words), x, along)
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
    _, distances, left = walk(CodewordSearch(words), walked, codes)
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
    _, distances, left = walk(CodewordSearch(words), words.decode(codes), codes)
    assert float(left.min()) >= 0
    assert float(left.max()) < 1e-4
    assert all(float(each.min()) >= 0 for each in distances)


def test_gradients_go_through_what_was_first_used_in_inference_mode() -> None:
    """As validation leaves it to the training after it."""
    words = codewords((4, 3, 2), 2)
    with torch.inference_mode():
        walk(CodewordSearch(words), doubles(5, DIM))
    x = doubles(5, DIM).requires_grad_()
    walk(CodewordSearch(words), x)[2].sum().backward()
    assert bool(x.grad.any())
