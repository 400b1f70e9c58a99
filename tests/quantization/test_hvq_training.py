"""The hierarchical quantizer in training: gradients, commitment, and what moves its codewords."""

from __future__ import annotations

import torch
from clustered_latents import seeded
from started_quantizers import DIM, SIZES, copied, quantizer, rows

from wotd.quantization import HierarchicalVectorQuantizer, build_quantizer


def test_the_straight_through_gradient_is_the_identity(hvq: HierarchicalVectorQuantizer) -> None:
    x, upstream = rows(20, 3).requires_grad_(), rows(20, 4)
    hvq.train()(x).quantized.backward(upstream)
    torch.testing.assert_close(x.grad, upstream)


def test_commitment_is_the_squared_distance_to_what_is_said_in_shares_of_the_variance(
    hvq: HierarchicalVectorQuantizer,
) -> None:
    started_on, x = rows(200), rows(40, 3)
    expected = (x - hvq.decode(hvq.encode(x))).square().sum() / 40 / (started_on.square().sum() / 200)
    torch.testing.assert_close(hvq(x).commitment, expected)


def test_commitment_pulls_latents_to_what_is_said() -> None:
    hvq, x = quantizer(), rows(20, 3).requires_grad_()
    quantized = hvq(x)
    quantized.commitment.backward()
    torch.testing.assert_close(x.grad, 2 * (x - quantized.quantized).detach() / 20 / hvq.variance)


def test_a_batch_of_one_trains_without_nan(hvq: HierarchicalVectorQuantizer) -> None:
    x = rows(1, 3).requires_grad_()
    quantized = hvq.train()(x)
    (quantized.quantized.sum() + quantized.commitment + sum(d.sum() for d in quantized.distances)).backward()
    assert bool(torch.isfinite(x.grad).all())
    assert all(bool(torch.isfinite(parameter.grad).all()) for parameter in hvq.parameters())


def test_nothing_but_a_fit_moves_codewords_and_a_fit_nothing_else(hvq: HierarchicalVectorQuantizer) -> None:
    before = {name: value.clone() for name, value in hvq.state_dict().items()}
    hvq.train()(rows(20, 3))
    hvq.eval()(rows(20, 3))
    hvq.encode(rows(20, 3))
    assert all(torch.equal(value, before[name]) for name, value in hvq.state_dict().items())
    hvq.fit(rows(200, 4), seeded())
    moved = {name for name, value in hvq.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"points_0", "points_1", "points_2", "variance"}


def test_training_goes_on_after_validation_in_inference_mode(hvq: HierarchicalVectorQuantizer) -> None:
    with torch.inference_mode():
        hvq.fit(rows(200, 4), seeded())
        hvq(rows(5))
    x = rows(20, 3).requires_grad_()
    hvq.train()(x).commitment.backward()
    assert bool(x.grad.any())


def test_what_is_made_in_inference_mode_can_be_used_and_changed_there() -> None:
    x = rows(50, 3)
    with torch.inference_mode():
        hvq = quantizer()
        before = hvq.encode(x)
        hvq.points_2.neg_()
        after = hvq.encode(x)
    assert torch.equal(before, quantizer().encode(x))
    assert not torch.equal(before, after)


def test_changed_codewords_count_at_once(hvq: HierarchicalVectorQuantizer) -> None:
    """Products that are kept for speed must not outlive the codewords that they are made of."""
    x = rows(50, 3)
    other = build_quantizer("hvq", DIM, SIZES, hvq.options)
    other.encode(x)
    other.load_state_dict(hvq.state_dict())
    before = hvq.encode(x)
    assert torch.equal(other.encode(x), before)
    hvq.fit(-rows(200, 4), seeded(), rounds=0)
    hvq.points_0.neg_()
    assert torch.equal(hvq.encode(x), copied(hvq).encode(x))
    assert torch.equal(other.encode(x), before)
