"""The hierarchical quantizer: what its codes promise, what they weigh, what gradients pass, other names for codes."""

from __future__ import annotations

import random
from itertools import product
from typing import Any

import clustered_latents
import pytest
import torch
from clustered_latents import seeded
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from wotd.errors import ConfigurationError
from wotd.quantization import HierarchicalVectorQuantizer, build_quantizer

DIM, SIZES = 6, (5, 4, 3)

TABLES = {"first": 5, "two": 20, "all": 4096}
"""``max_prefixes`` under which so many levels have a table."""


def rows(number: int, seed: int = 0) -> Tensor:
    return clustered_latents.rows(number, DIM, seed)


def quantizer(taught: tuple[int, ...] = (), seed: int = 0, **options: Any) -> HierarchicalVectorQuantizer:
    """Started on random latents, whose labels are read off their first numbers."""
    made = HierarchicalVectorQuantizer(DIM, SIZES, taught=taught, **{"rounds": 2, **options})
    x = rows(200, seed)
    labels = torch.stack([x[:, level].argsort().argsort() * size // 200 for level, size in enumerate(SIZES)], 1)
    made.start(x, seeded(seed), labels if taught else None)
    return made.eval()


@pytest.fixture(params=TABLES)
def max_prefixes(request: pytest.FixtureRequest) -> int:
    return TABLES[request.param]


@pytest.fixture(params=[(), (0, 1), (1,), (0, 1, 2)], ids=["free", "named", "middle", "all_taught"])
def hvq(request: pytest.FixtureRequest, max_prefixes: int) -> HierarchicalVectorQuantizer:
    return quantizer(request.param, max_prefixes=max_prefixes)


def copied(hvq: HierarchicalVectorQuantizer) -> HierarchicalVectorQuantizer:
    other = build_quantizer("hvq", DIM, SIZES, hvq.options)
    assert isinstance(other, HierarchicalVectorQuantizer)
    other.load_state_dict(hvq.state_dict())
    return other.eval()


# --- codes and what they stand for


@given(seed=st.integers(0, 500), batch=st.integers(1, 30), taught=st.sampled_from([(), (0, 1)]))
@settings(max_examples=25, deadline=None)
def test_decoding_the_codes_gives_the_forward_output(seed: int, batch: int, taught: tuple[int, ...]) -> None:
    hvq, x = quantizer(taught), 2 * rows(batch, seed)
    quantized = hvq(x)
    assert torch.equal(hvq.encode(x), quantized.codes)
    torch.testing.assert_close(hvq.decode(quantized.codes), quantized.quantized)


def test_codes_are_whole_numbers_within_the_level_sizes(hvq: HierarchicalVectorQuantizer) -> None:
    codes = hvq.encode(rows(300, 3))
    assert codes.dtype == torch.int64
    assert codes.shape == (300, 3)
    assert bool((codes >= 0).all())
    assert bool((codes < torch.tensor(SIZES)).all())


def test_every_prefix_decodes_to_what_its_points_say(hvq: HierarchicalVectorQuantizer) -> None:
    codes, points = hvq.encode(rows(50, 3)), hvq.state_dict()
    assert not hvq.decode(codes[:, :0]).any()
    for depth in (1, 2, 3):
        tabled = min(depth, hvq.tables)
        expected = points[f"points_{tabled - 1}"].view(*SIZES[:tabled], DIM)[codes[:, :tabled].unbind(1)]
        for level in range(tabled, depth):
            expected = expected + points[f"points_{level}"][codes[:, level]]
        torch.testing.assert_close(hvq.decode(codes[:, :depth]), expected)


@pytest.mark.parametrize("prefix_weight", [0.0, 0.5])
def test_a_longer_prefix_comes_nearer(max_prefixes: int, prefix_weight: float) -> None:
    hvq, x = quantizer(max_prefixes=max_prefixes, prefix_weight=prefix_weight), rows(200)
    codes = hvq.encode(x)
    errors = [float((hvq.decode(codes[:, :depth]) - x).square().mean()) for depth in range(4)]
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize("batch", [0, 1, 2])
def test_small_batches(hvq: HierarchicalVectorQuantizer, batch: int) -> None:
    for training in (False, True):
        quantized = hvq.train(training)(rows(batch, 3))
        assert quantized.codes.shape == (batch, 3)
        assert [distances.shape for distances in quantized.distances] == [(batch, size) for size in SIZES]
    assert hvq.encode(rows(batch, 3)).shape == (batch, 3)
    assert hvq.decode(quantized.codes).shape == (batch, DIM)


def test_codes_survive_save_and_load(hvq: HierarchicalVectorQuantizer) -> None:
    assert not build_quantizer("hvq", DIM, SIZES, hvq.options).initialised
    other = copied(hvq)
    assert other.initialised
    assert other.options == hvq.options
    assert torch.equal(other.encode(rows(100, 3)), hvq.encode(rows(100, 3)))


def test_half_precision_latents_are_quantized_in_full() -> None:
    hvq, x = quantizer(), rows(40, 3).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        quantized = hvq(x)
    assert quantized.quantized.dtype == quantized.distances[0].dtype == torch.float32
    assert torch.equal(quantized.codes, hvq(x.float()).codes)


# --- what is weighed


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


# --- training


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


# --- what it is made of


@pytest.mark.parametrize(
    ("kind", "sizes", "options", "sentence"),
    [
        ("pq", SIZES, {}, r"model\.quantizer\.kind is 'pq'; expected one of hvq, fsq"),
        ("hvq", (), {}, r"model\.level_sizes is \[\]; expected at least 2 codes"),
        ("hvq", (8, 1), {}, r"model\.level_sizes is \[8, 1\]; expected at least 2 codes"),
        ("hvq", (8192, 8193), {}, r"makes 16385 codewords to solve for; at most 16384"),
        ("hvq", SIZES, {"taught": [3]}, r"taught names the levels \[3\]; there are levels 0 to 2"),
        ("hvq", SIZES, {"taught": [-1]}, r"taught names the levels \[-1\]"),
        ("hvq", SIZES, {"start_iterations": 0}, r"start_iterations is 0; expected 1 or more"),
        ("hvq", SIZES, {"beam": 0}, r"model\.quantizer\.beam is 0; expected 1 or more"),
        ("hvq", SIZES, {"fit_beam": 0}, r"model\.quantizer\.fit_beam is 0; expected 1 or more"),
        ("hvq", SIZES, {"rounds": -1}, r"rounds is -1; expected 0 or more"),
        ("hvq", SIZES, {"max_prefixes": 0}, r"max_prefixes is 0; expected 1 or more"),
        ("hvq", SIZES, {"ridge": 0.0}, r"ridge is 0\.0; expected more than 0"),
        ("hvq", SIZES, {"prefix_weight": -0.1}, r"prefix_weight is -0\.1; expected 0 or more"),
        ("hvq", SIZES, {"prefix_weight": float("inf")}, r"prefix_weight is inf; expected 0 or more"),
        ("hvq", SIZES, {"reconstruction_weight": 0.0}, r"reconstruction_weight is 0\.0; expected more than 0"),
        ("hvq", SIZES, {"revive_below": 1.0}, r"revive_below is 1\.0; expected 0 or more and less than 1"),
        ("hvq", SIZES, {"decay": 0.9}, r"model\.quantizer: .*decay"),
        ("fsq", SIZES, {"decay": 0.9}, r"model\.quantizer: .*decay"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    kind: str, sizes: tuple[int, ...], options: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        build_quantizer(kind, DIM, sizes, options)


# --- other names for the codes


@given(
    seed=st.integers(0, 500),
    taught=st.sampled_from([(), (0,)]),
    level=st.integers(1, 2),
    tables=st.sampled_from(list(TABLES)),
    order=st.randoms(use_true_random=False),
)
@settings(max_examples=30, deadline=None)
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
