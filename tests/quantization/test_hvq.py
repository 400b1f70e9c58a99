"""The hierarchical quantizer: what its codes promise, and which settings it refuses."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from started_quantizers import DIM, SIZES, copied, quantizer, rows

from wotd.errors import ConfigurationError
from wotd.quantization import HierarchicalVectorQuantizer, build_quantizer

# --- codes and what they stand for


@given(seed=st.integers(0, 500), batch=st.integers(1, 30), taught=st.sampled_from([(), (0, 1)]))
@settings(max_examples=25)
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


# --- settings


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
        ("hvq", SIZES, {"prefix_weight": float("inf")}, r"prefix_weight is inf; expected 0 or more, and finite"),
        ("hvq", SIZES, {"reconstruction_weight": 0.0}, r"reconstruction_weight is 0\.0; expected more than 0"),
        ("hvq", SIZES, {"reconstruction_weight": float("inf")}, r"reconstruction_weight is inf; .* and finite"),
        ("hvq", SIZES, {"revive_below": 1.0}, r"revive_below is 1\.0; expected 0 or more and less than 1"),
        ("hvq", SIZES, {"decay": 0.9}, r"model\.quantizer has decay, which hvq does not know; it knows beam, .*rounds"),
        ("fsq", SIZES, {"decay": 0.9}, r"model\.quantizer has decay, which fsq does not know; it knows none\. "),
    ],
)
def test_what_cannot_be_meant_is_refused(
    kind: str, sizes: tuple[int, ...], options: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        build_quantizer(kind, DIM, sizes, options)
