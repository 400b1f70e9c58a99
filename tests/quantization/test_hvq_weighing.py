"""What the hierarchical quantizer weighs for a code: errors, what labels teach, prefixes, the width of the beam."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from started_quantizers import SIZES, quantizer, rows

from wotd.quantization import HierarchicalVectorQuantizer


@pytest.mark.parametrize("prefix_weight", [0.0, 0.5])
@pytest.mark.parametrize("taught", [(), (0, 1), (1,)])
def test_a_wide_beam_says_what_costs_least_of_all_codes(
    taught: tuple[int, ...], prefix_weight: float, max_prefixes: int
) -> None:
    """Errors in shares of the variance against log probabilities."""
    hvq, x = quantizer(taught, max_prefixes=max_prefixes, prefix_weight=prefix_weight), rows(100, 3)
    codes = torch.tensor(list(product(*map(range, SIZES))))
    shares = [torch.cdist(x, hvq.decode(codes[:, :depth])).square() / hvq.variance for depth in (1, 2, 3)]
    cost = hvq.reconstruction_weight * (shares[2] + prefix_weight * (shares[0] + shares[1]))
    for level in taught:
        log_probability = (-hvq(x).distances[level] * hvq.sharpness[level]).log_softmax(1)
        cost = cost - log_probability[:, codes[:, level]]
    said = (hvq.encode(x, beam=60).unsqueeze(1) == codes).all(2).int().argmax(1, keepdim=True)
    torch.testing.assert_close(cost.gather(1, said)[:, 0], cost.min(1).values, atol=1e-4, rtol=1e-4)


def test_the_more_reconstruction_weighs_the_more_it_overrules_readings() -> None:
    x, agreeing, errors = rows(300, 3), [], []
    for weight in (1e-4, 3.0, 1e4):
        hvq = quantizer((0, 1), reconstruction_weight=weight)
        codes = hvq.encode(x, beam=60)
        read = torch.stack([hvq(x).distances[level].argmin(1) for level in (0, 1)], 1)
        agreeing.append(float((codes[:, :2] == read).float().mean()))
        errors.append(float((hvq.decode(codes) - x).square().mean()))
    assert agreeing[0] == 1
    assert agreeing[0] > agreeing[1] > agreeing[2]
    assert errors[0] > errors[1] > errors[2]


def test_prefixes_that_count_stand_for_more_and_whole_codes_for_less(max_prefixes: int) -> None:
    x, prefixes, wholes = rows(200), [], []
    for weight in (0.0, 4.0):
        hvq = quantizer(max_prefixes=max_prefixes, prefix_weight=weight, rounds=5)
        codes = hvq.encode(x)
        prefixes.append(float((hvq.decode(codes[:, :1]) - x).square().mean()))
        wholes.append(float((hvq.decode(codes) - x).square().mean()))
    assert prefixes[1] < prefixes[0]
    assert wholes[1] > wholes[0]


def test_training_is_greedy_and_a_beam_comes_nearer(max_prefixes: int) -> None:
    hvq, x = quantizer(max_prefixes=max_prefixes), rows(300, 3)
    assert torch.equal(hvq.train()(x).codes, hvq.encode(x, beam=1))
    assert torch.equal(hvq.eval()(x).codes, hvq.encode(x, beam=4))
    greedy, wide = (float((hvq.decode(hvq.encode(x, beam=beam)) - x).square().mean()) for beam in (1, 4))
    assert wide < greedy
    assert hvq.encode_mode == "beam 4"
    assert quantizer(beam=1).encode_mode == "greedy"


def test_distances_are_told_along_the_code(hvq: HierarchicalVectorQuantizer) -> None:
    x = rows(40, 3)
    quantized = hvq(x)
    for level, size in enumerate(SIZES):
        if level in hvq.taught:
            reading = hvq.readings[str(level)]
            expected = torch.cdist(x @ reading.view_MZ.T, reading.keys_KM).square()
        else:
            before = quantized.codes[:, :level]
            children = [torch.cat([before, torch.full((40, 1), code)], 1) for code in range(size)]
            expected = torch.stack([(x - hvq.decode(child)).square().sum(1) for child in children], 1)
        torch.testing.assert_close(quantized.distances[level], expected, atol=1e-3, rtol=1e-3)
