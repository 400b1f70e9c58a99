"""k-means: assignment, seeds, centroids, clusters that empty."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from clustered_latents import rows, seeded
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from torch import Tensor

from wotd.errors import TrainingError
from wotd.quantization.kmeans import assign, kmeans, means
from wotd.quantization.products import squared_distances


def blobs(number: int, each: int, dim: int = 6, *, spread: float = 0.05) -> tuple[Tensor, Tensor]:
    """Well separated clusters and their centres."""
    centres = 10 * torch.eye(dim)[:number]
    return centres.repeat_interleave(each, 0) + spread * rows(number * each, dim, seed=1), centres


def test_assignment_takes_the_nearest_and_of_equals_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wotd.quantization.kmeans._CHUNK_ROWS", 16)
    x, points = rows(100, 3), rows(7, 3, seed=1)
    nearest = ((x.numpy()[:, None] - points.numpy()[None]) ** 2).sum(2).argmin(1)
    np.testing.assert_array_equal(assign(x, points).numpy(), nearest)
    assert assign(x, points[[2, 2, 2]]).unique().tolist() == [0]


def test_means_are_those_of_the_rows_of_a_code_and_nought_without_any() -> None:
    x, codes = rows(30, 2), torch.arange(30) % 3
    means_KZ, counts = means(x, codes, 4)
    expected = torch.stack([*(x[codes == code].mean(0) for code in range(3)), torch.zeros(2)])
    torch.testing.assert_close(means_KZ, expected)
    assert counts.tolist() == [10, 10, 10, 0]


def test_it_finds_separate_clusters() -> None:
    x, centres = blobs(5, 40)
    found = kmeans(x, 5, seeded())
    nearest = torch.cdist(found, centres).argmin(1)
    assert sorted(nearest.tolist()) == [0, 1, 2, 3, 4]
    torch.testing.assert_close(found, centres[nearest], atol=0.05, rtol=0)


@given(seed=st.integers(0, 200))
@settings(max_examples=20)
def test_it_ends_where_every_centroid_is_the_mean_of_its_rows(seed: int) -> None:
    x = rows(60, 3, seed)
    centroids = kmeans(x, 6, seeded(seed), iterations=100)
    codes = assign(x, centroids)
    assert codes.unique().tolist() == list(range(6))
    torch.testing.assert_close(centroids, torch.stack([x[codes == code].mean(0) for code in range(6)]))


def test_it_is_hardly_worse_than_scikit_learns() -> None:
    x = rows(400, 4)
    ours = squared_distances(x, kmeans(x, 8, seeded(), iterations=50)).min(1).values.sum()
    theirs = KMeans(8, n_init=1, random_state=0).fit(x.numpy()).inertia_
    assert float(ours) < 1.1 * theirs


def test_an_empty_cluster_restarts_at_the_worst_served_row(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.tensor([[0.0], [0.1], [0.2], [9.0]])
    # Seeds that leave the third cluster without rows.
    monkeypatch.setattr("wotd.quantization.kmeans._seeds", lambda *_: torch.tensor([[0.1], [5.0], [-50.0]]))
    assert len(assign(x, kmeans(x, 3, seeded())).unique()) == 3


def test_seeds_are_drawn_among_so_many_rows_of_each_code_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wotd.quantization.kmeans._SEED_ROWS_PER_CODE", 10)
    x, centres = blobs(5, 100)
    nearest = torch.cdist(kmeans(x, 5, seeded()), centres).argmin(1)
    assert sorted(nearest.tolist()) == [0, 1, 2, 3, 4]


def test_equal_rows_end() -> None:
    assert torch.equal(kmeans(torch.ones(9, 2), 4, seeded()), torch.ones(4, 2))


def test_exactly_as_many_rows_as_codes_will_do() -> None:
    x = rows(8, 3)
    assert sorted(assign(x, kmeans(x, 8, seeded())).tolist()) == list(range(8))


def test_too_few_vectors_are_refused_with_both_numbers() -> None:
    with pytest.raises(TrainingError, match=r"3 training vectors for a level of 8 codes"):
        kmeans(rows(3, 2), 8, seeded())


def test_the_generator_alone_decides() -> None:
    x = rows(50, 3)
    torch.manual_seed(1)
    first = kmeans(x, 4, seeded(3))
    torch.manual_seed(2)
    assert torch.equal(kmeans(x, 4, seeded(3)), first)
    assert not torch.equal(kmeans(x, 4, seeded(4)), first)
