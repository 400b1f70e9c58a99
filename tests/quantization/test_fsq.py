"""Finite scalar quantization: the same promises as the other quantizer, without codebooks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from wotd.errors import ConfigurationError
from wotd.quantization import FiniteScalarQuantizer, build_quantizer

DIM, SIZES = 6, (5, 4, 3)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows(number: int, seed: int = 0, dim: int = DIM) -> Tensor:
    """Of falling spread, so that the principal directions are the axes."""
    return torch.randn(number, dim, generator=seeded(seed)) * torch.linspace(2, 0.2, dim)


@pytest.fixture
def fsq() -> FiniteScalarQuantizer:
    made = FiniteScalarQuantizer(DIM, SIZES)
    made.start(rows(500), seeded())
    return made.eval()


@given(seed=st.integers(0, 500), batch=st.integers(1, 30))
@settings(max_examples=20)
def test_decoding_the_codes_gives_the_forward_output(seed: int, batch: int) -> None:
    fsq = FiniteScalarQuantizer(DIM, SIZES)
    fsq.start(rows(500), seeded())
    quantized = fsq(rows(batch, seed))
    assert torch.equal(fsq.encode(rows(batch, seed)), quantized.codes)
    torch.testing.assert_close(fsq.decode(quantized.codes), quantized.quantized)


def test_codes_are_the_nearest_steps_of_the_bounded_numbers(fsq: FiniteScalarQuantizer) -> None:
    x = rows(100, 3)
    bounded = torch.tanh(x @ fsq.read.weight.T / fsq.scale_L)
    for level, size in enumerate(SIZES):
        expected = ((bounded[:, level] + 1) / 2 * (size - 1)).round().long()
        assert torch.equal(fsq.encode(x)[:, level], expected)


def test_every_prefix_decodes_with_the_rest_at_the_middle(fsq: FiniteScalarQuantizer) -> None:
    codes = fsq.encode(rows(50, 3))
    for depth in range(4):
        values = torch.zeros(50, 3)
        for level in range(depth):
            values[:, level] = codes[:, level] * 2 / (SIZES[level] - 1) - 1
        torch.testing.assert_close(fsq.decode(codes[:, :depth]), values @ fsq.write.weight.T)


def test_a_longer_prefix_comes_nearer(fsq: FiniteScalarQuantizer) -> None:
    x = rows(500)
    codes = fsq.encode(x)
    errors = [(fsq.decode(codes[:, :depth]) - x).square().mean().item() for depth in range(4)]
    assert errors == sorted(errors, reverse=True)


def test_it_starts_on_the_principal_directions(fsq: FiniteScalarQuantizer) -> None:
    for level in range(3):
        assert int(fsq.read.weight[level].abs().argmax()) == level
    assert all(len(fsq.encode(rows(500))[:, level].unique()) == size for level, size in enumerate(SIZES))
    assert fsq.initialised


def test_levels_do_not_depend_on_each_other(fsq: FiniteScalarQuantizer) -> None:
    x, before = rows(100, 3), fsq.encode(rows(100, 3))
    with torch.no_grad():
        fsq.read.weight[2].normal_(generator=seeded())
    after = fsq.encode(x)
    assert torch.equal(after[:, :2], before[:, :2])
    assert not torch.equal(after[:, 2], before[:, 2])


def test_gradients_pass_straight_through_the_rounding(fsq: FiniteScalarQuantizer) -> None:
    x = rows(20, 3).requires_grad_()
    upstream = rows(20, 4)
    fsq(x).quantized.backward(upstream)
    smooth = rows(20, 3).requires_grad_()
    fsq.write(torch.tanh(fsq.read(smooth) / fsq.scale_L)).backward(upstream)
    torch.testing.assert_close(x.grad, smooth.grad)


def test_codes_survive_save_and_load(fsq: FiniteScalarQuantizer) -> None:
    other = build_quantizer("fsq", DIM, SIZES, fsq.options)
    assert not other.initialised
    other.load_state_dict(fsq.state_dict())
    assert other.initialised
    assert torch.equal(other.encode(rows(100, 3)), fsq.encode(rows(100, 3)))


@pytest.mark.parametrize("batch", [0, 1, 2])
def test_small_batches(fsq: FiniteScalarQuantizer, batch: int) -> None:
    assert fsq.train()(rows(batch, 3)).codes.shape == (batch, 3)
    assert fsq.encode(rows(batch, 3)).shape == (batch, 3)


def test_more_levels_than_dimensions_and_a_single_row_start_without_nan() -> None:
    fsq = FiniteScalarQuantizer(2, SIZES)
    fsq.start(rows(1, dim=2), seeded())
    assert all(bool(torch.isfinite(value).all()) for value in fsq.state_dict().values())
    assert fsq.encode(rows(5, dim=2)).shape == (5, 3)


def test_numbers_in_order_take_no_other_names(fsq: FiniteScalarQuantizer) -> None:
    with pytest.raises(ConfigurationError, match=r"level 1 are numbers in order.*model/quantizer=hvq"):
        fsq.permute(1, torch.arange(4))


def test_features_labels_and_fits_change_nothing() -> None:
    """A grid reads the latent alone, and stays where it started."""
    fsq, x = FiniteScalarQuantizer(DIM, SIZES, taught=[0], feature_dim=2), rows(100, 3)
    assert fsq.options == {"taught": [0], "feature_dim": 2}
    fsq.start(rows(500), seeded(), torch.zeros(500, 3, dtype=torch.int64), torch.ones(500, 2))
    codes = fsq.encode(x, torch.zeros(100, 2))
    assert torch.equal(fsq.encode(x, torch.ones(100, 2)), codes)
    assert torch.equal(fsq(x, torch.ones(100, 2)).codes, codes)
    assert torch.equal(fsq.encode(x, beam=16), codes)
    before = {name: value.clone() for name, value in fsq.state_dict().items()}
    fsq.fit(2 * rows(100, 4), seeded())
    assert all(torch.equal(value, before[name]) for name, value in fsq.state_dict().items())
    fsq.restart(2 * rows(500), seeded())
    torch.testing.assert_close(fsq.scale_L, 2 * before["scale_L"])
