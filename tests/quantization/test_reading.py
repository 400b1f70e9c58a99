"""Levels that are taught: their start is discriminant analysis, whatever labels are missing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import Tensor

from wotd.quantization.reading import SHRINKAGE, LevelReading, discriminant, likeliest_log_sharpness


def labelled(size: int, each: int, dim: int, *, apart: float = 2.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Overlapping classes of equal counts with a common, correlated spread."""
    generator = torch.Generator().manual_seed(seed)
    centres = apart * torch.randn(size, dim, generator=generator)
    mixing = torch.randn(dim, dim, generator=generator)
    labels = torch.arange(size).repeat_interleave(each)
    return centres[labels] + torch.randn(size * each, dim, generator=generator) @ mixing, labels


def said(reading: LevelReading, x: Tensor) -> Tensor:
    return reading.distances(x).argmin(1)


@given(
    size=st.integers(2, 6),
    dim=st.integers(1, 9),
    seed=st.integers(0, 300),
)
@settings(max_examples=30)
def test_the_start_decides_as_discriminant_analysis_does(size: int, dim: int, seed: int) -> None:
    x, labels = labelled(size, 30, dim, seed=seed)
    new, _ = labelled(size, 20, dim, seed=seed + 1)
    reading = LevelReading(size, dim)
    reading.start(x, labels)
    theirs = LinearDiscriminantAnalysis(solver="eigen", shrinkage=SHRINKAGE).fit(x.double().numpy(), labels.numpy())
    both = torch.cat([x, new])
    scores = theirs.decision_function(both.double().numpy())
    scores = np.column_stack([-scores, scores]) / 2 if size == 2 else scores
    second, best = np.sort(scores, axis=1)[:, -2:].T
    clear = best - second > 1e-3  # what lies on a border may fall to either side
    np.testing.assert_array_equal(said(reading, both).numpy()[clear], scores.argmax(1)[clear])


def test_every_row_counts_the_same_in_the_scatter() -> None:
    """A label with ten times the rows weighs ten times as much in it, as in the textbook; priors stay equal."""
    x, labels = labelled(3, 40, 5, apart=1.0)
    x[labels == 0] *= torch.tensor([9.0, 1, 1, 1, 0.1])  # a spread of its own, so that it matters whose spread counts
    often = (torch.cat([x, *[x[labels == 0]] * 9]), torch.cat([labels, *[labels[labels == 0]] * 9]))
    view, keys = discriminant(*often, 3, 2)
    theirs = LinearDiscriminantAnalysis(solver="eigen", shrinkage=SHRINKAGE)
    theirs.fit(often[0].double().numpy(), often[1].numpy())
    whitened = torch.from_numpy(np.linalg.inv(theirs.covariance_))
    means = torch.from_numpy(theirs.means_)
    expected = ((x.double().unsqueeze(1) - means) @ whitened * (x.double().unsqueeze(1) - means)).sum(2).argmin(1)
    assert torch.equal(((x @ view.T).unsqueeze(1) - keys).square().sum(2).argmin(1), expected)


def test_unknown_labels_are_left_out() -> None:
    x, labels = labelled(4, 30, 5)
    known, more = LevelReading(4, 5), LevelReading(4, 5)
    known.start(x, labels)
    more.start(torch.cat([x, 100 + x]), torch.cat([labels, torch.full_like(labels, -1)]))
    torch.testing.assert_close(known.keys_KM, more.keys_KM)
    torch.testing.assert_close(known.view_MZ, more.view_MZ)


@given(
    size=st.integers(2, 9),
    present=st.integers(1, 8),
    dim=st.integers(1, 12),
    apart=st.sampled_from([0.0, 0.1, 5.0]),
    seed=st.integers(0, 300),
)
@settings(max_examples=60)
def test_a_label_that_never_occurs_is_never_said(size: int, present: int, dim: int, apart: float, seed: int) -> None:
    present = min(present, size)
    x, labels = labelled(present, 40, dim, apart=apart, seed=seed)
    order = torch.randperm(size, generator=torch.Generator().manual_seed(seed))
    reading = LevelReading(size, dim)
    reading.start(x, order[labels])
    unseen, _ = labelled(present, 200, dim, apart=apart, seed=seed)
    assert set(said(reading, torch.cat([x, unseen])).tolist()) <= set(order[:present].tolist())


def test_its_view_has_one_dimension_less_than_codes_at_most() -> None:
    assert LevelReading(8, 128).view_MZ.shape == (7, 128)
    assert LevelReading(8, 3).view_MZ.shape == (3, 3)
    assert LevelReading(8, 3).keys_KM.shape == (8, 3)


def test_distances_are_those_of_the_views() -> None:
    x, labels = labelled(4, 30, 5)
    reading = LevelReading(4, 5)
    reading.start(x, labels)
    expected = torch.cdist(x @ reading.view_MZ.T, reading.keys_KM).square()
    torch.testing.assert_close(reading.distances(x), expected, rtol=1e-3, atol=1e-3)
    assert reading.distances(x).min().item() >= 0


def test_gradients_teach_view_and_keys() -> None:
    x, labels = labelled(4, 30, 5, apart=0.3)
    reading = LevelReading(4, 5)
    reading.start(x, labels)
    optimizer = torch.optim.SGD(reading.parameters(), lr=0.05)
    losses = []
    for _ in range(20):
        loss = torch.nn.functional.cross_entropy(-reading.distances(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("rows", [1, 4])
def test_a_row_a_label_starts_without_nan(rows: int) -> None:
    reading = LevelReading(4, 3)
    x = torch.randn(rows, 3, generator=torch.Generator().manual_seed(0))
    reading.start(x, torch.arange(rows))
    assert bool(torch.isfinite(reading.view_MZ).all())
    assert bool(torch.isfinite(reading.keys_KM).all())
    assert torch.equal(said(reading, x), torch.arange(rows))


def test_keys_of_labels_that_never_occur_lie_far_beyond_all_rows() -> None:
    x, labels = labelled(3, 40, 5)
    view, keys = discriminant(x, labels, 6, 5)
    farthest = float((x @ view.T).norm(dim=1).max())
    assert float(keys[:3].norm(dim=1).max()) < farthest
    assert float(keys[3:].norm(dim=1).min()) > 5 * farthest


# --- sharpness


@given(sharpness=st.floats(0.3, 20), size=st.integers(2, 8), seed=st.integers(0, 99))
@settings(max_examples=25)
def test_a_known_sharpness_is_recovered(sharpness: float, size: int, seed: int) -> None:
    """Labels drawn with the probabilities that distances have under it."""
    generator = torch.Generator().manual_seed(seed)
    distances = torch.rand(8000, size, generator=generator)
    labels = torch.multinomial((-sharpness * distances).softmax(1), 1, generator=generator)[:, 0]
    error = likeliest_log_sharpness(distances, labels) - math.log(sharpness)
    assert abs(error) < 0.3


@pytest.mark.parametrize("unit", [1e-4, 1.0, 1e4])
def test_units_of_distances_do_not_count(unit: float) -> None:
    x, labels = labelled(4, 100, 5, apart=0.5)
    distances = torch.cdist(x, x[::100]).square()
    expected = likeliest_log_sharpness(distances, labels) - math.log(unit)
    assert likeliest_log_sharpness(unit * distances, labels) == pytest.approx(expected, abs=1e-3)


def test_sharpness_is_told_by_a_spread_of_so_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wotd.quantization.reading._CALIBRATION_ROWS", 50)
    x, labels = labelled(4, 100, 5, apart=0.5)
    distances = torch.cdist(x, x[::100]).square()
    found = likeliest_log_sharpness(distances, labels)
    assert found == likeliest_log_sharpness(distances[::8], labels[::8])


def test_the_start_tells_the_sharpness_of_rows_its_view_has_not_seen() -> None:
    """Where dimensions are many and rows few, views tell the labels of their own rows apart far too well."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(4, (120,), generator=generator)
    x = torch.randn(120, 60, generator=generator)  # which knows nothing of the labels
    reading = LevelReading(4, 60)
    told = reading.start(x, labels)
    of_its_own_rows = likeliest_log_sharpness(reading.distances(x).detach(), labels)
    assert told < of_its_own_rows - 1
    unseen = torch.randn(2000, 60, generator=generator)
    confidence = (-reading.distances(unseen).detach() * math.exp(told)).softmax(1).max(1).values.mean()
    assert float(confidence) < 0.45


def test_of_too_few_labels_the_sharpness_is_that_of_a_normal_distribution() -> None:
    assert LevelReading(3, 4).start(torch.randn(3, 4), torch.arange(3)) == pytest.approx(math.log(0.5))
