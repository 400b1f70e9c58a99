"""The terms that training minimises, each beside an independent computation."""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss
from torch import Tensor

from wotd.encoders.semantic_encoder import SemanticEncoder, SemanticEncoding
from wotd.errors import ConfigurationError
from wotd.losses import LossTerms, LossWeights, semantic_losses
from wotd.quantization import Quantized

TERMS = [field.name for field in fields(LossTerms)]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def encoding(distances: list[Tensor]) -> SemanticEncoding:
    """An encoding of which only these numbers matter."""
    batch = len(distances[0])
    codes = torch.stack([each.argmin(1) for each in distances], 1)
    quantized = Quantized(codes, torch.zeros(batch, 3), torch.tensor(0.7), tuple(distances))
    return SemanticEncoding(torch.zeros(batch, 3), quantized, torch.zeros(batch, 5), torch.tensor(0.4))


def some_distances(batch: int = 12, sizes: tuple[int, ...] = (4, 3), seed: int = 0) -> list[Tensor]:
    return [4 * torch.rand(batch, size, generator=seeded(seed + size)) for size in sizes]


def probabilities(distances: Tensor, sharpness: float) -> np.ndarray:
    raised = np.exp(-distances.double().numpy() * sharpness)
    return raised / raised.sum(1, keepdims=True)


# --- entropy


def reference_entropy(p: np.ndarray, prior: np.ndarray | None) -> float:
    rows = -(p * np.log(p)).sum(1).mean()
    mean = p.mean(0)
    against = np.log(mean) if prior is None else np.log(mean / prior)
    return (rows + (mean * against).sum()) / math.log(p.shape[1])


@given(seed=st.integers(0, 200), batch=st.integers(1, 20), sharpness=st.floats(0.1, 5))
@settings(max_examples=25)
def test_entropy_is_that_of_an_independent_computation(seed: int, batch: int, sharpness: float) -> None:
    distances = some_distances(batch, seed=seed)
    prior = torch.tensor([0.5, 0.3, 0.1, 0.1])
    terms = semantic_losses(encoding(distances), torch.tensor([sharpness, 1.0]), None, [prior, None])
    first = reference_entropy(probabilities(distances[0], sharpness), prior.double().numpy())
    second = reference_entropy(probabilities(distances[1], 1.0), None)
    assert terms.entropy.item() == pytest.approx((first + second) / 2, abs=1e-4)


@pytest.mark.parametrize("size", [2, 8, 256])
def test_entropy_is_minus_one_when_rows_are_sure_and_codes_are_used_evenly(size: int) -> None:
    distances = 100 * (1 - torch.eye(size))
    terms = semantic_losses(encoding([distances]), torch.ones(1))
    assert terms.entropy.item() == pytest.approx(-1, abs=1e-5)


def test_entropy_is_zero_when_collapsed_and_when_undecided() -> None:
    collapsed = torch.full((8, 4), 100.0)
    collapsed[:, 2] = 0
    for distances in (collapsed, torch.ones(8, 4)):
        assert semantic_losses(encoding([distances]), torch.ones(1)).entropy.item() == pytest.approx(0, abs=1e-5)


def test_with_a_prior_it_is_least_where_the_batch_follows_the_prior() -> None:
    prior = torch.tensor([0.75, 0.25])
    sure = 100 * (1 - torch.eye(2))

    def term(codes: list[int]) -> float:
        return semantic_losses(encoding([sure[codes]]), torch.ones(1), None, [prior]).entropy.item()

    assert term([0, 0, 0, 1]) == pytest.approx(0, abs=1e-5)
    assert term([0, 0, 0, 1]) < min(term([0, 1, 0, 1]), term([0, 0, 0, 0]))


# --- diversity


def diversity(*distances: Tensor) -> float:
    return semantic_losses(encoding(list(distances)), torch.ones(len(distances))).diversity.item()


def sure_of(codes: list[int], size: int) -> Tensor:
    """Distances of rows that are as good as certain of these codes."""
    return 1000 * (1 - torch.eye(size))[codes]


@given(seed=st.integers(0, 200), batch=st.integers(1, 12), sharpness=st.floats(0.1, 5))
@settings(max_examples=25)
def test_diversity_is_the_chance_that_two_rows_say_one_code(seed: int, batch: int, sharpness: float) -> None:
    """Rows are drawn with replacement, and each draws its code by its own probabilities."""
    distances = some_distances(batch, seed=seed)
    levels = []
    for level, each in enumerate(distances):
        p = probabilities(each, [sharpness, 1.0][level])
        same = np.mean([(p[one] * p[other]).sum() for one in range(batch) for other in range(batch)])
        least = 1 / p.shape[1]
        levels.append((same - least) / (1 - least))
    terms = semantic_losses(encoding(distances), torch.tensor([sharpness, 1.0]))
    assert terms.diversity.item() == pytest.approx(np.mean(levels), abs=1e-5)
    assert -1e-6 <= terms.diversity.item() <= 1 + 1e-6


@pytest.mark.parametrize("size", [2, 8, 256])
def test_diversity_ends_at_zero_where_use_is_even_and_at_one_where_one_code_is_all(size: int) -> None:
    assert diversity(sure_of(list(range(size)), size)) == pytest.approx(0, abs=1e-6)
    assert diversity(torch.ones(5, size)) == pytest.approx(0, abs=1e-6), "undecided rows say all codes alike often"
    assert diversity(sure_of([1] * 5, size)) == pytest.approx(1)


def test_diversity_grows_with_every_row_that_joins_a_code() -> None:
    values = [diversity(sure_of(codes, 3)) for codes in ([0, 1, 2, 0, 1, 2], [0, 1, 2, 0, 1, 0], [0, 1, 0, 0, 1, 0])]
    assert values == sorted(values)
    assert len(set(values)) == 3
    assert values[1] == pytest.approx(((9 + 4 + 1) / 36 - 1 / 3) / (2 / 3), abs=1e-6)


def test_diversity_does_not_ask_which_codes_are_said() -> None:
    distances = some_distances(sizes=(5,))[0]
    renamed = distances[:, torch.tensor([3, 0, 4, 2, 1])]
    assert diversity(renamed) == pytest.approx(diversity(distances), abs=1e-6)


# --- alignment


def test_alignment_is_the_mean_surprise_at_known_labels() -> None:
    distances, sharpness = some_distances(6), torch.tensor([0.5, 2.0])
    labels = torch.tensor([[0, -1], [3, -1], [-1, 2], [1, 0], [-1, -1], [2, 1]])
    terms = semantic_losses(encoding(distances), sharpness, labels)
    levels = []
    for level in range(2):
        p = probabilities(distances[level], float(sharpness[level]))
        known = [row for row in range(6) if labels[row, level] >= 0]
        levels.append(np.mean([-math.log(p[row, labels[row, level]]) for row in known]))
    assert terms.alignment.item() == pytest.approx(np.mean(levels), rel=1e-4)


@given(seed=st.integers(0, 200), batch=st.integers(1, 20))
@settings(max_examples=25)
def test_with_a_prior_every_label_counts_the_same(seed: int, batch: int) -> None:
    """Beside the weighted log loss of scikit-learn, rows weighing the less the commoner their label is in training."""
    distances, prior = some_distances(batch, seed=seed), torch.tensor([0.6, 0.25, 0.1, 0.05])
    labels = torch.randint(4, (batch, 1), generator=seeded(seed))
    terms = semantic_losses(encoding(distances), torch.ones(2), labels, [prior, None])
    weights = 1 / prior.double().numpy()[labels[:, 0].numpy()]
    expected = log_loss(labels[:, 0], probabilities(distances[0], 1.0), sample_weight=weights, labels=[0, 1, 2, 3])
    assert terms.alignment.item() == pytest.approx(expected, rel=1e-4)


def test_where_the_batch_is_as_training_it_is_the_mean_over_labels() -> None:
    distances = some_distances(10)
    labels = torch.tensor([0] * 6 + [1] * 3 + [3]).unsqueeze(1)
    prior = torch.tensor([0.6, 0.3, 0.0, 0.1])
    terms = semantic_losses(encoding(distances), torch.ones(2), labels, [prior, None])
    surprise = -np.log(probabilities(distances[0], 1.0))[np.arange(10), labels[:, 0].numpy()]
    expected = np.mean([surprise[labels[:, 0].numpy() == label].mean() for label in (0, 1, 3)])
    assert terms.alignment.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("prior", [None, [0.5, 0.3, 0.2, 0.0]])
def test_gradients_of_entropy_and_diversity_are_those_of_finite_differences(prior: list[float] | None) -> None:
    prior_K = None if prior is None else torch.tensor(prior, dtype=torch.float64)
    (distances,) = some_distances(6, (4,))

    def terms(distances_BK: Tensor) -> tuple[Tensor, Tensor]:
        loss = semantic_losses(encoding([distances_BK]), torch.tensor([1.7], dtype=torch.float64), None, [prior_K])
        return loss.entropy, loss.diversity

    assert torch.autograd.gradcheck(terms, distances.double().requires_grad_())


def test_rows_and_levels_without_a_label_do_not_count() -> None:
    distances = some_distances(6)
    labels = torch.tensor([[0, -1], [3, -1], [1, -1], [-1, -1], [-1, -1], [-1, -1]])
    terms = semantic_losses(encoding(distances), torch.ones(2), labels)
    alone = semantic_losses(encoding([distances[0][:3]]), torch.ones(1), labels[:3, :1])
    torch.testing.assert_close(terms.alignment, alone.alignment)


def test_without_labels_it_is_zero() -> None:
    assert semantic_losses(encoding(some_distances()), torch.ones(2)).alignment.item() == 0


@pytest.mark.parametrize("labels", [torch.full((12, 2), -1), torch.empty(12, 0, dtype=torch.int64)])
def test_where_no_label_is_known_it_is_zero_and_has_a_gradient(labels: Tensor) -> None:
    distances = [each.requires_grad_() for each in some_distances()]
    alignment = semantic_losses(encoding(distances), torch.ones(2), labels).alignment
    assert alignment.item() == 0
    alignment.backward()
    assert all(each.grad is not None and not bool(each.grad.any()) for each in distances)


# --- gradients


def started(taught: bool = True) -> tuple[SemanticEncoder, Tensor, Tensor]:
    x = torch.nn.functional.normalize(torch.randn(80, 10, generator=seeded()))
    labels = torch.randint(4, (80, 3), generator=seeded(1))
    options = {"taught": [0, 1]} if taught else {}
    model = SemanticEncoder(10, (4, 4, 4), latent_dim=6, hidden=(8,), quantizer_options=options)
    model.start(x, seeded(), labels if taught else None)
    return model.train(), x, labels


@pytest.mark.parametrize("term", TERMS)
def test_every_term_teaches_the_encoder(term: str) -> None:
    model, x, labels = started()
    terms = semantic_losses(model(x), model.sharpness, labels)
    getattr(terms, term).backward()
    assert model.encoder.linear.weight.grad is not None
    assert bool(model.encoder.linear.weight.grad.any())


def test_no_term_teaches_the_sharpness() -> None:
    """It is measured: the entropy term would grow it without end, so that every row looks certain."""
    model, x, labels = started()
    before = model.sharpness.clone()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    terms = semantic_losses(model(x), model.sharpness, labels)
    terms.total().backward()
    optimizer.step()
    assert torch.equal(model.sharpness, before)


@pytest.mark.parametrize("labelled", [True, False])
def test_every_parameter_gets_a_gradient(labelled: bool) -> None:
    """Distributed training waits for one of each, also where a batch has no label."""
    model, x, labels = started()
    labels = labels if labelled else torch.full_like(labels, -1)
    semantic_losses(model(x), model.sharpness, labels).weighted(LossWeights()).total().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_following_the_gradient_aligns_codes_with_labels() -> None:
    torch.manual_seed(0)
    model, x, labels = started()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    before = (model.encode(x)[:, :2] == labels[:, :2]).float().mean().item()
    for _ in range(400):
        loss = semantic_losses(model(x), model.sharpness, labels).alignment
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (model.encode(x)[:, :2] == labels[:, :2]).float().mean().item() > before + 0.1


@pytest.mark.parametrize("batch", [1, 2])
def test_small_batches_have_finite_terms_and_gradients(batch: int) -> None:
    model, x, labels = started()
    semantic_losses(model(x[:batch]), model.sharpness, labels[:batch]).weighted(LossWeights()).total().backward()
    assert all(bool(torch.isfinite(parameter.grad).all()) for parameter in model.parameters())


def test_a_label_that_never_occurs_leaves_the_terms_finite() -> None:
    model, x, labels = started()
    labels[:, 0] = labels[:, 0].clamp_max(2)
    model.start(x, seeded(), labels)
    terms = semantic_losses(model(x), model.sharpness, labels, [torch.tensor([0.3, 0.3, 0.39, 0.01]), None, None])
    terms.weighted(LossWeights()).total().backward()
    assert all(math.isfinite(value.item()) for value in terms.to_mapping().values())
    assert all(bool(torch.isfinite(parameter.grad).all()) for parameter in model.parameters())


def test_half_precision_around_them_changes_no_term() -> None:
    model, x, labels = started()
    made = model.eval()(x)
    whole = semantic_losses(made, model.sharpness, labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = semantic_losses(made, model.sharpness, labels)
    for name in TERMS:
        torch.testing.assert_close(getattr(half, name), getattr(whole, name), rtol=0, atol=0)


# --- weights


def test_the_total_is_the_weighted_sum() -> None:
    terms = LossTerms(*[torch.tensor(float(value)) for value in (1, 2, 3, 4, 5)])
    weights = LossWeights(0.5, 0.25, 2.0, 0.0, 1.0)
    assert list(terms.to_mapping()) == TERMS == [field.name for field in fields(LossWeights)]
    assert terms.total().item() == 15
    assert [value.item() for value in terms.weighted(weights).to_mapping().values()] == [0.5, 0.5, 6.0, 0.0, 5.0]
    assert terms.weighted(weights).total().item() == 12


@pytest.mark.parametrize("term", TERMS)
def test_the_weight_zero_switches_a_term_off(term: str) -> None:
    model, x, labels = started()
    terms = semantic_losses(model(x), model.sharpness, labels)
    only = LossWeights(**{name: float(name == term) for name in TERMS})
    torch.testing.assert_close(terms.weighted(only).total(), getattr(terms, term))


@pytest.mark.parametrize("weight", [-0.1, math.nan, math.inf, "much", None, True])
@pytest.mark.parametrize("term", TERMS)
def test_weights_that_cannot_be_meant_are_refused(term: str, weight: object) -> None:
    with pytest.raises(ConfigurationError, match=rf"model\.losses\.{term} is {weight}; expected a finite number"):
        LossWeights(**{term: weight})
