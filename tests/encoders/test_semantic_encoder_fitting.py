"""The semantic encoder beside its codes: features, calibration, codewords that follow, the limit of its domain."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from wotd.encoders import SemanticEncoder
from wotd.encoders.domain import FALSE_ALARMS
from wotd.encoders.semantic_encoder import _FARTHEST
from wotd.errors import ConfigurationError

DIM, FEATURES, SIZES = 20, 3, (2, 4, 3)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def embeddings(number: int, seed: int = 0) -> Tensor:
    """Clustered vectors of length 1, as embeddings are."""
    centres = torch.randn(12, DIM, generator=seeded(99))
    chosen = torch.randint(12, (number,), generator=seeded(seed))
    return nn.functional.normalize(centres[chosen] + 0.5 * torch.randn(number, DIM, generator=seeded(seed + 1)))


def featured(number: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Rows with features behind them, in units of their own, and labels that only the first feature knows."""
    features = torch.randn(number, FEATURES, generator=seeded(seed + 2))
    labels = torch.full((number, len(SIZES)), -1)
    labels[:, 0] = (features[:, 0] > 0).long()
    return torch.cat([embeddings(number, seed), 7 + features * torch.tensor([0.01, 1.0, 300.0])], 1), labels


def started(x: Tensor, labels: Tensor | None = None, *, feature_dim: int = 0, **options: Any) -> SemanticEncoder:
    """With readings that decide nearly alone what taught levels say."""
    options = {"reconstruction_weight": 0.01, "rounds": 3, "taught": [] if labels is None else [0], **options}
    torch.manual_seed(0)
    model = SemanticEncoder(DIM, SIZES, feature_dim=feature_dim, latent_dim=8, hidden=(12,), quantizer_options=options)
    model.start(x, seeded(), labels)
    return model.eval()


@pytest.fixture
def model() -> SemanticEncoder:
    return started(*featured(600), feature_dim=FEATURES)


def error(model: SemanticEncoder, x: Tensor) -> float:
    return float((model.decode(model.encode(x)) - x[:, :DIM]).square().mean() / model.scale.square())


# --- features


def test_features_make_rows_wider_and_are_part_of_the_shape(model: SemanticEncoder) -> None:
    assert (model.width, model.input_dim, model.feature_dim) == (DIM + FEATURES, DIM, FEATURES)
    assert SemanticEncoder.from_config(model.config).config == model.config
    assert model.config["feature_dim"] == FEATURES
    with pytest.raises(ConfigurationError, match="feature_dim is -1; expected 0 or more"):
        SemanticEncoder(DIM, SIZES, feature_dim=-1)


def test_taught_levels_learn_from_features_what_embeddings_do_not_know(model: SemanticEncoder) -> None:
    unseen, labels = featured(600, 100)
    assert float((model.encode(unseen)[:, 0] == labels[:, 0]).float().mean()) > 0.9
    train, known = featured(600)
    without = started(train[:, :DIM], known)
    assert float((without.encode(unseen[:, :DIM])[:, 0] == labels[:, 0]).float().mean()) < 0.65


def test_features_change_what_taught_levels_say_and_nothing_that_codes_stand_for(model: SemanticEncoder) -> None:
    x, _ = featured(300, 100)
    other = torch.cat([x[:, :DIM], 14 - x[:, DIM:]], 1)  # the first feature on the other side of its mean
    codes, changed = model.encode(x), model.encode(other)
    assert float((codes[:, 0] != changed[:, 0]).float().mean()) > 0.9
    assert torch.equal(model.latents(x), model.latents(other))
    same = codes[:, 0] == changed[:, 0]
    assert torch.equal(codes[same], changed[same])
    assert torch.equal(model.level_distances(x)[1][same], model.level_distances(other)[1][same])
    torch.testing.assert_close(model(other).reconstruction, model.decode(changed), atol=1e-5, rtol=1e-4)


def test_without_taught_levels_features_change_nothing() -> None:
    x, _ = featured(300)
    model, plain = started(x, feature_dim=FEATURES), started(x[:, :DIM])
    assert torch.equal(model.encode(x), plain.encode(x[:, :DIM]))
    assert torch.equal(model.decode(model.encode(x)), plain.decode(plain.encode(x[:, :DIM])))


def test_features_count_in_spreads_and_no_more_than_those_of_text_can(model: SemanticEncoder) -> None:
    x, _ = featured(600)
    features = model.features(x)
    torch.testing.assert_close(features.mean(0), torch.zeros(FEATURES), atol=1e-4, rtol=0)
    torch.testing.assert_close(features.std(0, correction=0), torch.ones(FEATURES), atol=1e-3, rtol=0)
    far, farther = x.clone(), x.clone()
    far[:, DIM + 1] = model.feature_mean_F[1] + (_FARTHEST + 1) * model.feature_scale_F[1]
    farther[:, DIM + 1] = 1e9
    assert float(model.features(farther).max()) == _FARTHEST
    assert torch.equal(model.features(far), model.features(farther))
    assert torch.equal(model.encode(far), model.encode(farther))


def test_a_feature_that_never_changes_is_taken() -> None:
    x, labels = featured(300)
    x[:, -1] = 7.0
    model = started(x, labels, feature_dim=FEATURES)
    assert bool(torch.isfinite(model.features(x)).all())
    assert not model.features(x)[:, -1].any()


@given(number=st.integers(1, 300), seed=st.integers(0, 99))
@settings(max_examples=10)
def test_a_rows_code_is_the_same_in_any_batch(number: int, seed: int) -> None:
    model = started(*featured(200), feature_dim=FEATURES, rounds=1)
    x, _ = featured(300, 100)
    order = torch.randperm(300, generator=seeded(seed))[:number]
    assert torch.equal(model.encode(x[order]), model.encode(x)[order])
    codes, confidences = model.encode_with_confidence(x)
    assert torch.equal(model.encode_with_confidence(x[order])[0], codes[order])
    assert torch.equal(model.encode_with_confidence(x[order])[1], confidences[order])


# --- state


def test_a_state_dict_holds_all_that_decides(model: SemanticEncoder) -> None:
    x, labels = featured(300, 100)
    model.domain.set_limit(x)
    model.calibrate(x, labels, first=True)
    other = SemanticEncoder.from_config(model.config).eval()
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.encode(x), model.encode(x))
    assert torch.equal(other.decode(other.encode(x)), model.decode(model.encode(x)))
    assert all(map(torch.equal, other.encode_with_confidence(x), model.encode_with_confidence(x)))
    assert torch.equal(other.domain.is_foreign(x), model.domain.is_foreign(x))
    for each in (model, other):
        for parameter in each.quantizer.readings.parameters():
            parameter.data *= 1.3
        each.calibrate(x, labels)
    assert torch.equal(other.sharpness, model.sharpness)


# --- calibration


def test_the_first_calibration_leaves_taught_levels_as_they_started(model: SemanticEncoder) -> None:
    x, labels = featured(300, 100)
    before = model.sharpness.clone()
    model.calibrate(x, labels, first=True)
    torch.testing.assert_close(model.sharpness[0], before[0])
    model.calibrate(x, labels)
    torch.testing.assert_close(model.sharpness[0], before[0])


def test_later_calibrations_follow_what_training_changes(model: SemanticEncoder) -> None:
    """Distances that have grown fourfold count a quarter, whatever few works say of the sharpness itself."""
    x, labels = featured(300, 100)
    labels[:100, 0] = 1 - labels[:100, 0]
    model.calibrate(x, labels, first=True)
    before, confidences = model.sharpness.clone(), model.encode_with_confidence(x)[1]
    for parameter in model.quantizer.readings.parameters():
        parameter.data *= 2
    assert not torch.allclose(model.encode_with_confidence(x)[1][:, 0], confidences[:, 0], atol=1e-2)
    model.calibrate(x, labels)
    torch.testing.assert_close(model.sharpness[0], before[0] / 4)
    torch.testing.assert_close(model.encode_with_confidence(x)[1][:, 0], confidences[:, 0], atol=1e-4, rtol=0)


@pytest.mark.parametrize("labels", [None, torch.full((300, 3), -1)])
def test_without_labels_taught_levels_stay(model: SemanticEncoder, labels: Tensor | None) -> None:
    before = model.sharpness.clone()
    model.calibrate(featured(300, 100)[0], labels)
    assert torch.equal(model.sharpness[0], before[0])
    assert not torch.equal(model.sharpness[1:], before[1:])


def test_no_rows_calibrate_nothing(model: SemanticEncoder) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.calibrate(torch.empty(0, DIM + FEATURES), torch.empty(0, 3, dtype=torch.int64))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


# --- codewords that follow


def moved(model: SemanticEncoder) -> SemanticEncoder:
    """As if training had turned the latents, and the decoder with them."""
    turn = torch.linalg.qr(torch.randn(8, 8, generator=seeded(5))).Q
    with torch.no_grad():
        model.encoder.linear.weight.copy_(turn @ model.encoder.linear.weight)
        model.decoder.linear.weight.copy_(model.decoder.linear.weight @ turn.T)
    return model


@pytest.mark.parametrize("training", [False, True])
def test_refitted_codewords_follow_an_encoder_that_has_moved(model: SemanticEncoder, training: bool) -> None:
    x, _ = featured(600)
    at_the_start = error(model, x)
    before = error(moved(model), x)
    assert before > at_the_start + 0.1
    networks = {name: value.clone() for name, value in model.named_parameters()}
    model.train(training).refit(x, seeded(), rounds=5)
    assert error(model, x) < before - 0.1
    assert model.training is training
    assert all(torch.equal(value, networks[name]) for name, value in model.named_parameters())


def test_a_restart_begins_anew_at_what_the_encoder_makes_of_rows(model: SemanticEncoder) -> None:
    x, _ = featured(600)
    at_the_start = error(model, x)
    moved(model)
    for level in range(len(SIZES)):
        getattr(model.quantizer, f"points_{level}").zero_()
    assert error(model, x) > 0.9
    networks = {name: value.clone() for name, value in model.named_parameters()}
    model.train().restart(x, seeded())
    assert error(model, x) == pytest.approx(at_the_start, abs=0.05)
    assert model.training
    assert all(torch.equal(value, networks[name]) for name, value in model.named_parameters())


def test_a_refit_is_decided_by_rows_and_generator() -> None:
    x, labels = featured(400)
    first, second, third = (moved(started(x, labels, feature_dim=FEATURES)) for _ in range(3))
    for model, seed, manual in ((first, 1, 5), (second, 1, 6), (third, 2, 5)):
        torch.manual_seed(manual)
        model.train().refit(x, seeded(seed))
    assert torch.equal(first.quantizer.points_0, second.quantizer.points_0)
    assert not torch.equal(first.quantizer.points_0, third.quantizer.points_0)


# --- the domain


def test_what_is_foreign_is_told_only_where_a_limit_is_set(model: SemanticEncoder) -> None:
    unseen, _ = featured(1000, 100)
    assert model.domain.is_foreign(unseen) is None
    model.domain.set_limit(torch.empty(0, DIM + FEATURES))
    assert model.domain.is_foreign(unseen) is None
    model.domain.set_limit(unseen)
    foreign = model.domain.is_foreign(unseen)
    assert foreign.dtype == torch.bool
    assert float(foreign.float().mean()) == pytest.approx(FALSE_ALARMS, abs=0.002)
    strange = torch.cat([torch.randn(100, DIM, generator=seeded()), unseen[:100, DIM:]], 1)
    assert float(model.domain.is_foreign(strange).float().mean()) > 0.9


def test_features_alone_can_be_foreign(model: SemanticEncoder) -> None:
    x, _ = featured(300, 100)
    model.domain.set_limit(x)
    x[:, DIM] = 8.0  # a hundred spreads off
    assert bool(model.domain.is_foreign(x).all())
