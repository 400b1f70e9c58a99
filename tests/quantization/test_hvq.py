"""The hierarchical quantizer: what its codes promise, how it starts, and what gradients pass."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from wotd.errors import ConfigurationError, TrainingError
from wotd.quantization import HierarchicalVectorQuantizer, build_quantizer

DIM, SIZES = 6, (5, 4, 3)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows(number: int, seed: int = 0, dim: int = DIM) -> Tensor:
    return torch.randn(number, dim, generator=seeded(seed))


def quantizer(
    taught: tuple[int, ...] = (), sizes: tuple[int, ...] = SIZES, seed: int = 0
) -> HierarchicalVectorQuantizer:
    """Started on random latents, whose labels are read off their first numbers."""
    made = HierarchicalVectorQuantizer(DIM, sizes, taught=taught)
    x = rows(200, seed)
    labels = torch.stack([x[:, level].argsort().argsort() * size // 200 for level, size in enumerate(sizes)], 1)
    made.start(x, seeded(seed), labels if taught else None)
    return made.eval()


@pytest.fixture(params=[(), (0, 1), (1,), (0, 1, 2)], ids=["free", "named", "middle", "all_taught"])
def hvq(request: pytest.FixtureRequest) -> HierarchicalVectorQuantizer:
    return quantizer(request.param)


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


@pytest.mark.parametrize("depth", [1, 2])
def test_the_first_codes_do_not_depend_on_later_levels(hvq: HierarchicalVectorQuantizer, depth: int) -> None:
    x = rows(100, 3)
    before = hvq.encode(x)
    taught = [level for level in hvq.taught if level < depth]
    shorter = HierarchicalVectorQuantizer(DIM, SIZES[:depth], taught=taught)
    kept = {name: value for name, value in hvq.state_dict().items() if int(name.split(".")[1]) < depth}
    shorter.load_state_dict(kept)
    assert torch.equal(shorter.encode(x), before[:, :depth])
    for level in hvq.levels[depth:]:
        torch.nn.init.normal_(level.embed_KZ, generator=seeded())
    assert torch.equal(hvq.encode(x)[:, :depth], before[:, :depth])
    assert depth in hvq.taught or not torch.equal(hvq.encode(x), before)


def test_every_prefix_decodes_to_the_sum_of_its_codewords(hvq: HierarchicalVectorQuantizer) -> None:
    codes = hvq.encode(rows(50, 3))
    for depth in range(4):
        expected = torch.zeros(50, DIM)
        for level in range(depth):
            expected = expected + hvq.levels[level].embed_KZ[codes[:, level]]
        torch.testing.assert_close(hvq.decode(codes[:, :depth]), expected)


def test_a_longer_prefix_comes_nearer() -> None:
    hvq, x = quantizer(), rows(200)
    codes = hvq.encode(x)
    errors = [float((hvq.decode(codes[:, :depth]) - x).square().mean()) for depth in range(4)]
    assert errors == sorted(errors, reverse=True)


def test_a_free_level_says_the_nearest_codeword_of_what_is_left_over() -> None:
    hvq, x = quantizer(), rows(40, 3)
    quantized = hvq(x)
    for level in range(3):
        left = x - hvq.decode(quantized.codes[:, :level])
        torch.testing.assert_close(quantized.inputs[level], left)
        distances = torch.cdist(left, hvq.levels[level].embed_KZ).square()
        torch.testing.assert_close(quantized.distances[level], distances, atol=1e-4, rtol=1e-4)
        assert torch.equal(distances.argmin(1), quantized.codes[:, level])


def test_a_taught_level_says_the_nearest_key_of_its_reading() -> None:
    hvq, x = quantizer((0, 1)), rows(40, 3)
    for level in (0, 1):
        reading = hvq.readings[str(level)]
        nearest = torch.cdist(x @ reading.view_MZ.T, reading.keys_KM).argmin(1)
        assert torch.equal(hvq.encode(x)[:, level], nearest)


@pytest.mark.parametrize("batch", [0, 1, 2])
def test_small_batches(hvq: HierarchicalVectorQuantizer, batch: int) -> None:
    quantized = hvq(rows(batch, 3))
    assert quantized.codes.shape == (batch, 3)
    assert hvq.encode(rows(batch, 3)).shape == (batch, 3)
    assert hvq.decode(quantized.codes).shape == (batch, DIM)


def test_codes_survive_save_and_load(hvq: HierarchicalVectorQuantizer) -> None:
    other = build_quantizer("hvq", DIM, SIZES, hvq.options)
    assert isinstance(other, HierarchicalVectorQuantizer)
    assert not other.initialised
    other.load_state_dict(hvq.state_dict())
    assert other.initialised
    assert torch.equal(other.encode(rows(100, 3)), hvq.encode(rows(100, 3)))


def test_half_precision_latents_are_quantized_in_full() -> None:
    hvq, x = quantizer(), rows(40, 3).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        quantized = hvq(x)
    assert quantized.quantized.dtype == quantized.distances[0].dtype == torch.float32
    assert torch.equal(quantized.codes, hvq(x.float()).codes)


# --- the start


def test_the_start_is_decided_by_the_generator() -> None:
    torch.manual_seed(5)
    first = quantizer(seed=1)
    torch.manual_seed(6)
    assert torch.equal(first.encode(rows(50)), quantizer(seed=1).encode(rows(50)))


def test_a_free_level_starts_where_kmeans_of_the_residuals_ends() -> None:
    hvq, x = quantizer(), rows(200)
    codes = hvq.encode(x)
    left = x - hvq.decode(codes[:, :1])
    for code in range(SIZES[1]):
        mean = left[codes[:, 1] == code].mean(0)
        torch.testing.assert_close(hvq.levels[1].embed_KZ[code], mean, atol=0.15, rtol=0)


def test_a_taught_levels_codeword_starts_at_the_mean_of_where_it_is_said() -> None:
    hvq, x = quantizer((0,)), rows(200)
    codes = hvq.encode(x)[:, 0]
    for code in codes.unique().tolist():
        torch.testing.assert_close(hvq.levels[0].embed_KZ[code], x[codes == code].mean(0), atol=1e-5, rtol=0)


def test_a_level_without_any_label_cannot_be_taught() -> None:
    hvq = HierarchicalVectorQuantizer(DIM, SIZES, taught=(1,))
    for labels in (None, torch.full((50, 3), -1)):
        with pytest.raises(TrainingError, match=r"level 1 is to be taught by labels, but no training passage has one"):
            hvq.start(rows(50), seeded(), labels)


def test_a_free_level_needs_as_many_rows_as_codes() -> None:
    with pytest.raises(TrainingError, match="4 training vectors for a level of 5 codes"):
        HierarchicalVectorQuantizer(DIM, SIZES).start(rows(4), seeded())


# --- training


def test_the_straight_through_gradient_is_the_identity(hvq: HierarchicalVectorQuantizer) -> None:
    x, upstream = rows(20, 3).requires_grad_(), rows(20, 4)
    hvq.train()(x).quantized.backward(upstream)
    torch.testing.assert_close(x.grad, upstream)


def test_commitment_is_the_mean_squared_distance_from_what_is_said() -> None:
    hvq, x = quantizer(), rows(40, 3)
    codes = hvq.encode(x)
    left = [x - hvq.decode(codes[:, : level + 1]) for level in range(3)]
    expected = torch.stack([each.square().mean() for each in left]).mean()
    torch.testing.assert_close(hvq(x).commitment, expected)
    named = quantizer((0, 1))
    codes = named.encode(x)
    torch.testing.assert_close(named(x).commitment, (x - named.decode(codes)).square().mean())


def test_commitment_pulls_latents_to_their_codewords() -> None:
    hvq, x = quantizer(sizes=(5,)), rows(20, 3).requires_grad_()
    quantized = hvq(x)
    quantized.commitment.backward()
    torch.testing.assert_close(x.grad, 2 * (x.detach() - quantized.quantized.detach()) / x.numel())


def test_codebooks_follow_in_training_only(hvq: HierarchicalVectorQuantizer) -> None:
    before = [level.embed_KZ.clone() for level in hvq.levels]
    hvq.eval()(rows(20, 3))
    hvq.encode(rows(20, 3))
    assert all(torch.equal(level.embed_KZ, old) for level, old in zip(hvq.levels, before, strict=True))
    hvq.train()(rows(20, 3))
    assert not any(torch.equal(level.embed_KZ, old) for level, old in zip(hvq.levels, before, strict=True))


def test_codes_of_taught_levels_are_not_revived() -> None:
    hvq, x = quantizer((0,)), rows(1, 3)
    unsaid = [(code + 1) % size for code, size in zip(hvq.encode(x)[0].tolist(), SIZES, strict=True)]
    for level, code in zip(hvq.levels, unsaid, strict=True):
        level.cluster_size_K[code] = 0.0
    hvq.train()(x)
    assert [float(level.cluster_size_K[code]) for level, code in zip(hvq.levels, unsaid, strict=True)] == [0, 1, 1]


def test_a_batch_of_one_trains_without_nan(hvq: HierarchicalVectorQuantizer) -> None:
    x = rows(1, 3).requires_grad_()
    for _ in range(3):
        quantized = hvq.train()(x)
        (quantized.quantized.sum() + quantized.commitment + quantized.distances[0].sum()).backward()
    assert all(bool(torch.isfinite(value).all()) for value in hvq.state_dict().values())
    assert bool(torch.isfinite(x.grad).all())


# --- what it is made of


@pytest.mark.parametrize(
    ("kind", "sizes", "options", "sentence"),
    [
        ("pq", SIZES, {}, r"model\.quantizer\.kind is 'pq'; expected one of hvq, fsq"),
        ("hvq", (), {}, r"model\.level_sizes is \[\]; expected at least 2 codes"),
        ("hvq", (8, 1), {}, r"model\.level_sizes is \[8, 1\]; expected at least 2 codes"),
        ("hvq", SIZES, {"taught": [3]}, r"taught names the levels \[3\]; there are levels 0 to 2"),
        ("hvq", SIZES, {"taught": [-1]}, r"taught names the levels \[-1\]"),
        ("hvq", SIZES, {"start_iterations": 0}, r"start_iterations is 0; expected 1 or more"),
        ("hvq", SIZES, {"decay": 1.5}, r"decay is 1\.5"),
        ("hvq", SIZES, {"beam": 4}, r"model\.quantizer: .*beam"),
        ("fsq", SIZES, {"decay": 0.9}, r"model\.quantizer: .*decay"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    kind: str, sizes: tuple[int, ...], options: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        build_quantizer(kind, DIM, sizes, options)


# --- other names for the codes


@given(seed=st.integers(0, 500), level=st.integers(0, 2), order=st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_renamed_codes_are_the_same_codes_by_other_names(seed: int, level: int, order) -> None:
    hvq, x = quantizer(seed=seed), 2 * rows(60, seed)
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


def test_renaming_goes_on_through_training() -> None:
    """All that belongs to a code moves with it, or the next batch would pull the codeword back."""
    renamed, plain, x = quantizer(), quantizer(), rows(64, 5)
    names = torch.tensor([3, 0, 4, 1, 2])
    renamed.permute(0, names)
    for hvq in (renamed, plain):
        hvq.train()
        hvq(x)
    for name in ("embed_KZ", "embed_avg_KZ", "cluster_size_K"):
        torch.testing.assert_close(getattr(renamed.levels[0], name)[names], getattr(plain.levels[0], name))


def test_only_free_levels_take_other_names_and_only_whole_ones() -> None:
    hvq = quantizer((0, 1))
    state = {name: value.clone() for name, value in hvq.state_dict().items()}
    for level in (0, 1, 3, -1):
        with pytest.raises(ConfigurationError, match=rf"level is {level}; .* which are \[2\]"):
            hvq.permute(level, torch.arange(3))
    for names in ([0, 1], [0, 1, 1], [1, 2, 3]):
        with pytest.raises(ConfigurationError, match="expected each of 0 to 2 once"):
            hvq.permute(2, torch.tensor(names))
    assert all(torch.equal(value, hvq.state_dict()[name]) for name, value in state.items())
