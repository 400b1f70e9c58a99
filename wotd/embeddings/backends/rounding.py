"""How the numbers of a linear layer become int8, and which of its ways of being rounded harms it least.

A few channels of a transformer's activations are many times larger than the rest, and a scale that holds them
leaves the rest a few steps. They are halved until they are like the others before they are rounded, and the weights
they meet are doubled as often, which changes nothing else (SmoothQuant, Xiao et al. 2023, arXiv:2211.10438).
Halving is exact, and whole numbers of halvings are the same on every machine.

N rows of inputs, C input channels, O output channels.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from wotd.embeddings.backends.calibration import Ranges

Floats = NDArray[np.float32]

_STEPS = 255
"""Inputs are rounded to uint8, each layer with one scale and one zero point."""
_LARGEST_WEIGHT = 127
_USUAL_SHARES = (1.0, 0.995, 0.99, 0.98, 0.95, 0.9, 0.8, 0.5)
"""Candidates for the share of channels that count as usual; larger ones are halved."""
_LARGEST_ERROR = 2e-3
"""Layers whose outputs would stray by more than this share of their variance stay in float32."""


def best_ranges(inputs_NC: Floats, lowest_C: Floats, highest_C: Floats, weight_CO: Floats) -> Ranges | None:
    """The ranges that change the outputs of a layer least.

    Args:
        inputs_NC: a sample of its inputs, to judge by.
        lowest_C: least value of each channel that was ever seen.
        highest_C: greatest.
        weight_CO: its weights.

    Returns:
        None if the layer should stay in float32. An error counts relative to the variance of its output channel,
        as the layer norm that follows sees it: else the one channel that is largest would decide alone.
    """
    outputs_NO = inputs_NC @ weight_CO
    variance_O = np.maximum(outputs_NO.var(0), 1e-12)

    def error(ranges: Ranges) -> float:
        scale, zero = input_scale(ranges)
        halved_NC = inputs_NC * halved(ranges)
        rounded_NC = (np.clip(np.round(halved_NC / scale) + zero, 0, _STEPS) - zero) * scale
        weights, scales_O = rounded_weights(weight_CO, ranges)
        strayed_NO = rounded_NC @ (weights * scales_O) - outputs_NO
        return float(((strayed_NO**2).mean(0) / variance_O).mean())

    candidates = [_candidate(lowest_C, highest_C, share) for share in _USUAL_SHARES]
    errors = [error(candidate) for candidate in candidates]
    best = int(np.argmin(errors))
    return candidates[best] if errors[best] <= _LARGEST_ERROR else None


def input_scale(ranges: Ranges) -> tuple[np.float32, np.uint8]:
    """The step of the rounded inputs, and the step that stands for zero."""
    scale = np.float32((ranges.highest - ranges.lowest) / _STEPS)
    return scale, np.uint8(np.clip(np.round(-ranges.lowest / scale), 0, _STEPS))


def halved(ranges: Ranges) -> Floats:
    """By what the input channels are multiplied before they are rounded, [C]."""
    return np.exp2(-np.asarray(ranges.halvings, np.float32)).astype(np.float32)


def rounded_weights(weight_CO: Floats, ranges: Ranges) -> tuple[NDArray[np.int8], Floats]:
    """Weights for halved inputs, int8 [C, O], and the scale of each output channel, [O].

    Processors without VNNI add two neighbouring products in 16 bits, and cut off what does not fit. The scales
    leave neighbours of one sign at most 128 together, and 255 · 128 fits: every processor computes the same.
    """
    doubled_CO = weight_CO / halved(ranges)[:, None]
    even = doubled_CO[: len(doubled_CO) // 2 * 2]
    pairs = even.reshape(-1, 2, even.shape[1])
    together = np.where(pairs[:, 0] * pairs[:, 1] > 0, np.abs(pairs).sum(1), 0.0)
    largest_O = np.maximum(np.abs(doubled_CO).max(0), together.max(0, initial=0.0))
    scales_O = np.maximum(largest_O / _LARGEST_WEIGHT, 1e-12).astype(np.float32)
    return np.round(doubled_CO / scales_O).astype(np.int8), scales_O


def _candidate(lowest_C: Floats, highest_C: Floats, usual_share: float) -> Ranges:
    largest_C = np.maximum(np.maximum(-lowest_C, highest_C), 1e-6)
    usual = float(np.quantile(largest_C, usual_share, method="lower"))
    halvings_C = np.maximum(np.ceil(np.log2(largest_C / usual)), 0)
    factors_C = np.exp2(-halvings_C)
    lowest, highest = min(0.0, float((lowest_C * factors_C).min())), max(0.0, float((highest_C * factors_C).max()))
    return Ranges(-_rounded_up(-lowest), max(_rounded_up(highest), 1e-6), tuple(int(count) for count in halvings_C))


def _rounded_up(value: float) -> float:
    """To two digits: more would differ between machines, whose last digits differ, and say nothing."""
    if value <= 0:
        return 0.0
    digits = 1 - math.floor(math.log10(value))
    return float(round(math.ceil(round(value * 10.0**digits, 6)) / 10.0**digits, max(digits, 0)))
