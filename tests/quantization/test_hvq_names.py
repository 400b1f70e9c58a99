"""Other names for the codes of the hierarchical quantizer."""

from __future__ import annotations

import random

import pytest
import torch
from clustered_latents import seeded
from hypothesis import given, settings
from hypothesis import strategies as st
from started_quantizers import SIZES, TABLES, quantizer, rows

from wotd.errors import ConfigurationError


@given(
    seed=st.integers(0, 500),
    taught=st.sampled_from([(), (0,)]),
    level=st.integers(1, 2),
    tables=st.sampled_from(list(TABLES)),
    order=st.randoms(use_true_random=False),
)
@settings(max_examples=30)
def test_renamed_codes_are_the_same_codes_by_other_names(
    seed: int, taught: tuple[int, ...], level: int, tables: str, order: random.Random
) -> None:
    hvq, x = quantizer(taught, seed=seed % 5, max_prefixes=TABLES[tables]), 2 * rows(60, seed)
    level = level if taught else level - 1
    before = hvq(x)
    names = list(range(SIZES[level]))
    order.shuffle(names)
    hvq.permute(level, torch.tensor(names))
    renamed = before.codes.clone()
    renamed[:, level] = torch.tensor(names)[renamed[:, level]]
    after = hvq(x)
    assert torch.equal(hvq.encode(x), renamed)
    assert torch.equal(after.codes, renamed)
    torch.testing.assert_close(hvq.decode(renamed), before.quantized)
    torch.testing.assert_close(after.distances[level][:, names], before.distances[level])


def test_renaming_back_restores_every_bit(max_prefixes: int) -> None:
    hvq, names = quantizer((0,), max_prefixes=max_prefixes), torch.tensor([3, 0, 1, 2])
    before = {name: value.clone() for name, value in hvq.state_dict().items()}
    hvq.permute(1, names)
    assert not torch.equal(hvq.points_1, before["points_1"])
    hvq.permute(1, names.argsort())
    assert all(torch.equal(value, before[name]) for name, value in hvq.state_dict().items())


def test_renaming_lasts_through_a_fit(max_prefixes: int) -> None:
    renamed, plain, x = (*(quantizer(max_prefixes=max_prefixes) for _ in range(2)), rows(200, 5))
    names = torch.tensor([3, 0, 4, 1, 2])
    renamed.permute(0, names)
    for hvq in (renamed, plain):
        hvq.fit(x, seeded())
    torch.testing.assert_close(renamed.points_0[names], plain.points_0)
    codes = plain.encode(x)
    codes[:, 0] = names[codes[:, 0]]
    assert torch.equal(renamed.encode(x), codes)


def test_only_free_levels_take_other_names_and_only_whole_ones() -> None:
    hvq = quantizer((0, 1))
    state = {name: value.clone() for name, value in hvq.state_dict().items()}
    for level in (0, 1, 3, -1):
        with pytest.raises(ConfigurationError, match=rf"level is {level}; .* which are \[2\]"):
            hvq.permute(level, torch.arange(3))
    for names in ([0, 1], [0, 1, 1], [1, 2, 3]):
        with pytest.raises(ConfigurationError, match="expected each of 0 to 2 once"):
            hvq.permute(2, torch.tensor(names))
    assert all(torch.equal(value, state[name]) for name, value in hvq.state_dict().items())
