"""Rounding of linear layers to int8: near, harmless to what is not rounded, the same on every processor."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wotd.embeddings.backends.calibration import Ranges
from wotd.embeddings.backends.rounding import best_ranges, halved, input_scale, rounded_weights


def layer(seed: int, inputs: int = 24, outputs: int = 16, outlier: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Inputs of a layer, one channel of which is larger than the others, and its weights."""
    rng = np.random.default_rng(seed)
    inputs_NC = rng.normal(size=(400, inputs)).astype(np.float32)
    inputs_NC[:, 3] *= outlier
    return inputs_NC, rng.normal(size=(inputs, outputs)).astype(np.float32)


def ranges_of(inputs_NC: np.ndarray, weight_CO: np.ndarray) -> Ranges | None:
    return best_ranges(inputs_NC, inputs_NC.min(0), inputs_NC.max(0), weight_CO)


@settings(max_examples=50)
@given(
    st.integers(0, 10_000),
    st.integers(1, 9),
    st.lists(st.integers(0, 3), min_size=9, max_size=9),
    st.floats(1e-3, 1e3),
)
def test_neighbouring_products_never_overflow_16_bits(seed: int, inputs: int, counts: list[int], size: float) -> None:
    _, weight_CO = layer(seed, inputs=max(inputs, 4))
    weight_CO = weight_CO[:inputs] * np.float32(size)
    ranges = Ranges(-1.0, 1.0, tuple(counts[:inputs]))
    values, scales_O = rounded_weights(weight_CO, ranges)
    even = values.astype(int)[: inputs // 2 * 2].reshape(-1, 2, values.shape[1])
    positive, negative = np.maximum(even, 0).sum(1), np.minimum(even, 0).sum(1)
    assert 255 * positive.max(initial=0) <= 2**15 - 1
    assert 255 * negative.min(initial=0) >= -(2**15)
    assert np.abs(values.astype(int)).max() <= 127
    apart = np.abs(values * scales_O * halved(ranges)[:, None] - weight_CO)
    assert (apart <= 0.5001 * scales_O * halved(ranges)[:, None]).all()


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.floats(1.0, 1e4))
def test_everything_that_was_seen_is_within_the_range(seed: int, outlier: float) -> None:
    inputs_NC, weight_CO = layer(seed, outlier=outlier)
    ranges = ranges_of(inputs_NC, weight_CO)
    assert ranges is not None
    scale, zero = input_scale(ranges)
    steps = np.round(inputs_NC * halved(ranges) / scale) + zero
    assert steps.min() >= -1
    assert steps.max() <= 256


def test_a_large_channel_is_halved_and_the_others_are_not() -> None:
    inputs_NC, weight_CO = layer(0, outlier=50.0)
    weight_CO[3] /= 50
    ranges = ranges_of(inputs_NC, weight_CO)
    assert ranges is not None
    assert ranges.halvings[3] >= 4
    assert max(ranges.halvings[:3] + ranges.halvings[4:]) <= 1
    assert ranges.highest < np.abs(inputs_NC).max() / 10


def test_a_layer_that_would_stray_stays_in_float32() -> None:
    inputs_NC, weight_CO = layer(0)
    assert ranges_of(inputs_NC, weight_CO) is not None
    inputs_NC[::7] *= 1000  # all channels of a few rows: no channel is to blame, and no step fits both
    inputs_NC[::7] -= inputs_NC[::7].mean(0)
    weight_CO[:, 0] = 0
    weight_CO[:12, 0], weight_CO[12:, 0] = 1, -1
    inputs_NC[:, 12:] = inputs_NC[:, :12]
    inputs_NC[:, 12] += np.random.default_rng(1).normal(size=len(inputs_NC)).astype(np.float32)
    assert ranges_of(inputs_NC, weight_CO) is None


def test_last_digits_of_another_machine_make_no_other_ranges() -> None:
    inputs_NC, weight_CO = layer(0, outlier=9.0)
    expected = ranges_of(inputs_NC, weight_CO)
    rng = np.random.default_rng(0)
    for _ in range(20):
        noise = 1 + rng.uniform(-3e-7, 3e-7, size=inputs_NC.shape).astype(np.float32)
        assert ranges_of(inputs_NC * noise, weight_CO) == expected


@pytest.mark.parametrize("value", [0.0, 5.0])
def test_inputs_that_never_change(value: float) -> None:
    inputs_NC = np.full((8, 4), value, np.float32)
    ranges = ranges_of(inputs_NC, np.ones((4, 2), np.float32))
    assert ranges is None or ranges.highest > ranges.lowest
