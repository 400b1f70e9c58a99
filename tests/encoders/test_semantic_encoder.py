"""The semantic encoder: start, codes in any company, prefixes, gradients, confidence."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from wotd.encoders import SemanticEncoder
from wotd.encoders.mlp import CorrectedLinear
from wotd.encoders.semantic_encoder import BLOCK_ROWS
from wotd.errors import ConfigurationError, TrainingError

DIM, SIZES = 20, (5, 4, 3)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def embeddings(number: int, seed: int = 0, dim: int = DIM) -> Tensor:
    """Clustered vectors of length 1, as embeddings are."""
    centres = torch.randn(12, dim, generator=seeded(99))
    chosen = torch.randint(12, (number,), generator=seeded(seed))
    return nn.functional.normalize(centres[chosen] + 0.5 * torch.randn(number, dim, generator=seeded(seed + 1)))


def labels(x: Tensor) -> Tensor:
    """Labels that the first numbers of an embedding decide; every fifth unknown, the last level free."""
    known = torch.stack([(x[:, level].argsort().argsort() * size // len(x)) for level, size in enumerate(SIZES)], 1)
    known[::5] = -1
    known[:, 2] = -1
    return known


def learned(model: SemanticEncoder) -> SemanticEncoder:
    """As if trained: the corrections, which start at zero, have taken part."""
    with torch.no_grad():
        for network in (model.encoder, model.decoder):
            for parameter in network.parameters():
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=seeded(5)))
    return model


def encoder(kind: str = "hvq", *, taught: bool = False, seed: int = 0, **settings: Any) -> SemanticEncoder:
    options = {"taught": [0, 1]} if taught else {}
    settings = {"latent_dim": 8, "hidden": (12,), **settings}
    model = SemanticEncoder(DIM, SIZES, quantizer=kind, quantizer_options=options, **settings)
    x = embeddings(300, seed)
    model.start(x, seeded(seed), labels(x) if taught else None)
    return learned(model).eval()


@pytest.fixture(params=["hvq", "named", "fsq"])
def model(request: pytest.FixtureRequest) -> SemanticEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return encoder("hvq", taught=True) if request.param == "named" else encoder(request.param)


# --- the start


def test_it_starts_at_the_principal_subspace() -> None:
    x = embeddings(300)
    model = SemanticEncoder(DIM, SIZES, latent_dim=8, hidden=(12,))
    model.start(x, seeded())
    torch.testing.assert_close(model.mean_D, x.mean(0))
    centred = x - x.mean(0)
    torch.testing.assert_close(model.scale, centred.square().mean().sqrt())
    directions = torch.linalg.svd(centred, full_matrices=False).Vh[:8]
    latents = model.latents(x)
    # Up to signs, latents are the projections on the principal directions.
    torch.testing.assert_close(latents.abs(), (centred / model.scale @ directions.T).abs(), atol=1e-3, rtol=1e-3)
    projected = centred @ directions.T @ directions + x.mean(0)
    torch.testing.assert_close(model.reconstruct(latents), projected, atol=1e-5, rtol=1e-4)


def test_a_latent_as_wide_as_the_embedding_loses_nothing_at_the_start() -> None:
    x = embeddings(300)
    model = SemanticEncoder(DIM, SIZES, latent_dim=500)
    model.start(x, seeded())
    assert model.latent_dim == DIM
    torch.testing.assert_close(model.reconstruct(model.latents(x)), x, atol=1e-4, rtol=0)


def test_the_start_is_decided_by_data_and_generator() -> None:
    codes = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        model = SemanticEncoder(DIM, SIZES, latent_dim=8, hidden=(12,))
        model.start(embeddings(300), seeded(7))
        codes.append(model.encode(embeddings(200, 3)))
    assert torch.equal(*codes)


def test_equal_embeddings_are_refused() -> None:
    with pytest.raises(TrainingError, match="all 30 training embeddings are equal"):
        SemanticEncoder(DIM, SIZES).start(torch.ones(30, DIM), seeded())


def test_fewer_embeddings_than_codes_are_refused() -> None:
    with pytest.raises(TrainingError, match="4 training vectors for a level of 5 codes"):
        SemanticEncoder(DIM, SIZES).start(embeddings(4), seeded())


def test_the_correction_starts_at_zero_and_only_adds() -> None:
    layer, weight = CorrectedLinear(6, (5, 4), 3), torch.randn(3, 6, generator=seeded())
    layer.start(weight)
    x = torch.randn(10, 6, generator=seeded())
    torch.testing.assert_close(layer(x), x @ weight.T)
    nn.init.ones_(layer.correction[-1].bias)
    torch.testing.assert_close(layer(x), x @ weight.T + 1)
    assert CorrectedLinear(6, (), 3).correction is None


# --- codes


@given(seed=st.integers(0, 300), batch=st.integers(1, 40), kind=st.sampled_from(["hvq", "fsq"]))
@settings(max_examples=16)
def test_decoding_the_codes_gives_the_forward_output(seed: int, batch: int, kind: str) -> None:
    torch.manual_seed(0)
    model, x = encoder(kind, dropout=0.5), embeddings(batch, seed)
    encoding = model(x)
    assert torch.equal(encoding.quantized.codes, model.encode(x))
    torch.testing.assert_close(model.decode(model.encode(x)), encoding.reconstruction, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("number", [0, 1, 7, BLOCK_ROWS - 1, BLOCK_ROWS, BLOCK_ROWS + 1, 3 * BLOCK_ROWS + 17])
def test_a_rows_code_is_the_same_in_any_batch(model: SemanticEncoder, number: int) -> None:
    x = embeddings(1000, 3)
    codes, distances = model.encode(x), model.level_distances(x)
    order = torch.randperm(len(x), generator=seeded(number))[:number]
    assert torch.equal(model.encode(x[order]), codes[order])
    for level, distances_BK in enumerate(model.level_distances(x[order])):
        assert torch.equal(distances_BK, distances[level][order])


@given(
    dim=st.integers(2, 40),
    latent=st.integers(1, 20),
    hidden=st.lists(st.integers(1, 30), max_size=2),
    sizes=st.lists(st.integers(2, 9), min_size=1, max_size=4),
    kind=st.sampled_from(["hvq", "fsq"]),
)
@settings(max_examples=25)
def test_even_with_odd_sizes(dim: int, latent: int, hidden: list[int], sizes: list[int], kind: str) -> None:
    torch.manual_seed(0)
    model = SemanticEncoder(dim, sizes, latent_dim=latent, hidden=hidden, quantizer=kind)
    model.start(embeddings(100, dim=dim), seeded())
    x, order = embeddings(300, 3, dim), torch.randperm(300, generator=seeded())
    for distances_BK, shuffled_BK in zip(model.level_distances(x), model.level_distances(x[order]), strict=True):
        assert torch.equal(distances_BK[order], shuffled_BK)
    assert torch.equal(model.encode(x)[order], model.encode(x[order]))


def test_products_that_a_linear_encoder_is_part_of_give_the_codes_of_its_latents() -> None:
    x = 7 + embeddings(600)
    model = encoder(hidden=(), latent_dim=5)
    model.start(x, seeded())
    learned(model)  # a bias, and a map that is no projection any more
    expected = model.quantizer.encode(model.latents(x), beam=3)
    assert torch.equal(model.encode(x, beam=3), expected)
    with torch.no_grad():
        model.encoder.linear.bias += 0.5
        moved = model.quantizer.encode(model.latents(x), beam=3)
    assert torch.equal(model.encode(x, beam=3), moved)
    assert not torch.equal(moved, expected)


@pytest.mark.parametrize("fused", [True, False])
def test_codes_follow_the_weights_whichever_optimizer_writes_them(fused: bool) -> None:
    model, x = encoder(hidden=()).train(), embeddings(200, 3)
    before = model.encode(x)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.3, fused=fused)
    model(x).reconstruction_loss.backward()
    optimizer.step()
    fresh = SemanticEncoder.from_config(model.config).eval()
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(model.encode(x), fresh.encode(x))
    assert not torch.equal(model.encode(x), before)


@pytest.mark.parametrize("hidden", [(), (12,)])
@pytest.mark.parametrize("guard", [torch.no_grad, torch.inference_mode])
def test_a_model_that_has_encoded_can_be_copied(hidden: tuple[int, ...], guard: Callable[[], Any]) -> None:
    model, x = encoder(hidden=hidden), embeddings(50, 3)
    with guard():
        codes = model.encode(x)
    assert torch.equal(copy.deepcopy(model).encode(x), codes)


def test_no_rows_have_no_codes(model: SemanticEncoder) -> None:
    none = torch.empty(0, DIM)
    assert model.encode(none).shape == (0, 3)
    assert model.encode(none).dtype == torch.int64
    assert model.decode(model.encode(none)).shape == (0, DIM)
    assert [d.shape for d in model.level_distances(none)] == [(0, 5), (0, 4), (0, 3)]
    codes, confidences = model.encode_with_confidence(none)
    assert codes.shape == confidences.shape == (0, 3)


def test_greedily_the_least_distance_decides_the_code_and_always_that_of_the_last_level(model: SemanticEncoder) -> None:
    x = embeddings(300, 3)
    assert torch.equal(model.level_distances(x)[-1].argmin(1), model.encode(x)[:, -1])
    if not model.quantizer.taught:
        assert torch.equal(model.level_distances(x)[0].argmin(1), model.encode(x, beam=1)[:, 0])


def test_every_prefix_decodes_and_the_whole_comes_nearest(model: SemanticEncoder) -> None:
    x = embeddings(300)
    codes = model.encode(x)
    errors = [(model.decode(codes[:, :depth]) - x).square().mean().item() for depth in range(4)]
    assert min(errors) == errors[3]
    assert errors[3] < errors[0]


def test_codes_survive_save_and_load(model: SemanticEncoder, tmp_path: Path) -> None:
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    other = SemanticEncoder.from_config(model.config)
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    x = embeddings(300, 3)
    assert torch.equal(other.eval().encode(x), model.encode(x))
    assert torch.equal(other.decode(model.encode(x)), model.decode(model.encode(x)))
    assert other.config == model.config


def test_reading_the_model_in_training_changes_nothing() -> None:
    """Neither dropout nor a batch that moves codewords: what reads is in eval mode of its own."""
    model, x = encoder(taught=True, dropout=0.5), embeddings(100, 3)
    expected = model.encode(x), model.decode(model.encode(x)), model.level_distances(x)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    assert torch.equal(model.encode(x), expected[0])
    assert torch.equal(model.decode(expected[0]), expected[1])
    assert torch.equal(model.level_distances(x)[0], expected[2][0])
    assert torch.equal(model.encode_with_confidence(x)[0], expected[0])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())


# --- training


def test_the_reconstruction_loss_is_the_error_over_the_variance_of_the_data(model: SemanticEncoder) -> None:
    x = embeddings(300)
    encoding = model(x)
    error = (encoding.reconstruction - x).square().sum() / (x - x.mean(0)).square().sum()
    torch.testing.assert_close(encoding.reconstruction_loss, error)


def test_gradients_reach_every_parameter_of_the_networks(model: SemanticEncoder) -> None:
    encoding = model.train()(embeddings(50, 3))
    (encoding.reconstruction_loss + encoding.quantized.commitment).backward()
    for name, parameter in model.named_parameters():
        if name.startswith(("encoder", "decoder")):
            assert parameter.grad is not None, name
            assert bool(parameter.grad.any()), name


@pytest.mark.parametrize("kind", ["hvq", "fsq"])
def test_gradient_steps_lower_the_reconstruction_error(kind: str) -> None:
    torch.manual_seed(0)
    model, x = SemanticEncoder(DIM, SIZES, latent_dim=8, hidden=(32,), quantizer=kind), embeddings(300)
    model.start(x, seeded())
    before = model(x).reconstruction_loss.item()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(60):
        encoding = model.train()(x)
        optimizer.zero_grad()
        (encoding.reconstruction_loss + encoding.quantized.commitment).backward()
        optimizer.step()
    assert model.eval()(x).reconstruction_loss.item() < before


def test_a_batch_of_one_trains_without_nan(model: SemanticEncoder) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(3):
        encoding = model.train()(embeddings(1, 3))
        optimizer.zero_grad()
        (encoding.reconstruction_loss + encoding.quantized.commitment).backward()
        optimizer.step()
    assert all(bool(torch.isfinite(value).all()) for value in model.parameters())


# --- confidence


def test_confidences_are_the_probabilities_of_the_codes(model: SemanticEncoder) -> None:
    x = embeddings(300, 3)
    codes, confidences = model.encode_with_confidence(x)
    assert torch.equal(codes, model.encode(x))
    for level, logits in enumerate(model.logits(model.level_distances(x))):
        probabilities = logits.softmax(1)
        torch.testing.assert_close(probabilities.sum(1), torch.ones(300))
        torch.testing.assert_close(confidences[:, level], probabilities.gather(1, codes[:, level : level + 1])[:, 0])


def test_calibration_makes_known_labels_likeliest() -> None:
    model, x = encoder(taught=True), embeddings(300)
    known = labels(x)
    model.calibrate(x, known)

    def loss(shift: float) -> float:
        with torch.no_grad():
            logits = -model.level_distances(x)[0] * (model.quantizer.log_sharpness_L[0] + shift).exp()
        return nn.functional.cross_entropy(logits, known[:, 0], ignore_index=-1).item()

    assert loss(0) <= min(loss(-0.3), loss(0.3))


def test_calibration_of_free_levels_counts_in_gaps_between_the_two_nearest() -> None:
    model, x = encoder(), embeddings(300)
    model.calibrate(x)
    for level, distances in enumerate(model.level_distances(x)):
        two = distances.sort(1).values[:, :2]
        gap = (two[:, 1] - two[:, 0]).mean()
        torch.testing.assert_close(model.sharpness[level], 1 / gap)


def test_calibration_looks_at_so_many_rows_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wotd.encoders.semantic_encoder.CALIBRATION_ROWS", 50)
    model, x = encoder(taught=True), embeddings(300)
    seen: list[int] = []
    original = model.level_distances
    monkeypatch.setattr(model, "level_distances", lambda rows: seen.append(len(rows)) or original(rows))
    model.calibrate(x, labels(x))
    assert seen == [50]


# --- what it is made of


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"latent_dim": 0}, r"model\.latent_dim is 0; expected 1 or more"),
        ({"dropout": 1.0}, r"model\.dropout is 1\.0; expected 0 or more and less than 1"),
        ({"dropout": -0.1}, r"model\.dropout is -0\.1"),
        ({"hidden": (0,)}, r"model\.hidden is \[0\]; expected widths of 1 or more"),
    ],
)
def test_sizes_that_cannot_be_are_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        SemanticEncoder(DIM, SIZES, **settings)
