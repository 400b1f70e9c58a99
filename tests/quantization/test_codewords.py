"""What codes and prefixes stand for, against looking it up by hand."""

from __future__ import annotations

from math import prod

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_codewords import LEVEL_SIZES, codewords, every_code, stands_for

from wotd.quantization.codewords import levels_with_table, prefix_numbers


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
@settings(max_examples=30)
def test_every_prefix_decodes(sizes: tuple[int, ...], tables: int, seed: int) -> None:
    words, codes = codewords(sizes, min(tables, len(sizes)), seed), every_code(sizes)
    for depth in range(len(sizes) + 1):
        expected = torch.stack([stands_for(words, code) for code in codes[:, :depth].tolist()])
        torch.testing.assert_close(words.decode(codes[:, :depth]), expected)
