"""One level's codewords: assignment, the k-means start, moving averages, revival."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from wotd.errors import ConfigurationError, TrainingError
from wotd.quantization import Codebook, kmeans
from wotd.quantization.codebook import assign
from wotd.quantization.products import linear, squared_distances


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows(number: int, dim: int, seed: int = 0) -> Tensor:
    return torch.randn(number, dim, generator=seeded(seed))


def blobs(number: int, each: int, dim: int = 6, *, spread: float = 0.05) -> tuple[Tensor, Tensor]:
    """Well separated clusters and their centres."""
    centres = 10 * torch.eye(dim)[:number]
    return centres.repeat_interleave(each, 0) + spread * rows(number * each, dim, seed=1), centres


def started(size: int = 4, dim: int = 3, *, seed: int = 0, **options: float) -> Codebook:
    codebook = Codebook(size, dim, **options)
    codebook.start(rows(50, dim, seed), seeded(seed))
    return codebook


# --- products and distances


@given(st.integers(1, 20), st.integers(1, 40), st.integers(1, 12), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_distances_are_those_of_numpy_and_never_negative(batch: int, dim: int, size: int, seed: int) -> None:
    x, points = rows(batch, dim, seed), rows(size, dim, seed + 1)
    expected = ((x.double().numpy()[:, None] - points.double().numpy()[None]) ** 2).sum(2)
    found = squared_distances(x, points)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-4)
    assert float(squared_distances(x, x).min()) >= 0


def test_a_vector_far_out_is_at_no_distance_from_itself() -> None:
    x = 1e4 + rows(64, 5)
    assert float(squared_distances(x, x).min()) >= 0


@pytest.mark.parametrize("inner", [1, 7, 16, 29, 37])
@pytest.mark.parametrize("outer", [2, 5, 8, 40])
def test_a_rows_products_do_not_depend_on_its_place(inner: int, outer: int) -> None:
    x, weight, order = rows(256, inner), rows(outer, inner, seed=1), torch.randperm(256, generator=seeded())
    assert torch.equal(linear(x[order], weight), linear(x, weight)[order])
    assert torch.equal(squared_distances(x[order], weight), squared_distances(x, weight)[order])


def test_linear_is_a_matrix_product() -> None:
    x, weight, bias = rows(5, 7), rows(3, 7, seed=1), rows(1, 3, seed=2)[0]
    torch.testing.assert_close(linear(x, weight, bias), x @ weight.T + bias)
    torch.testing.assert_close(linear(x, weight), x @ weight.T)


def test_assignment_takes_the_nearest_and_of_equals_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wotd.quantization.codebook._CHUNK_ROWS", 16)
    x, points = rows(100, 3), rows(7, 3, seed=1)
    nearest = ((x.numpy()[:, None] - points.numpy()[None]) ** 2).sum(2).argmin(1)
    np.testing.assert_array_equal(assign(x, points).numpy(), nearest)
    assert assign(x, points[[2, 2, 2]]).unique().tolist() == [0]


# --- the k-means start


def test_kmeans_finds_separate_clusters() -> None:
    x, centres = blobs(5, 40)
    found = kmeans(x, 5, seeded())
    nearest = torch.cdist(found, centres).argmin(1)
    assert sorted(nearest.tolist()) == [0, 1, 2, 3, 4]
    torch.testing.assert_close(found, centres[nearest], atol=0.05, rtol=0)


@given(seed=st.integers(0, 200))
@settings(max_examples=20, deadline=None)
def test_kmeans_ends_where_every_centroid_is_the_mean_of_its_rows(seed: int) -> None:
    x = rows(60, 3, seed)
    centroids = kmeans(x, 6, seeded(seed), iterations=100)
    codes = assign(x, centroids)
    assert codes.unique().tolist() == list(range(6))
    torch.testing.assert_close(centroids, torch.stack([x[codes == code].mean(0) for code in range(6)]))


def test_kmeans_is_no_worse_than_its_seeds_and_than_sklearn() -> None:
    from sklearn.cluster import KMeans

    x = rows(400, 4)
    ours = squared_distances(x, kmeans(x, 8, seeded(), iterations=50)).min(1).values.sum()
    theirs = KMeans(8, n_init=1, random_state=0).fit(x.numpy()).inertia_
    assert float(ours) < 1.1 * theirs


def test_an_empty_cluster_restarts_at_the_worst_served_row(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.tensor([[0.0], [0.1], [0.2], [9.0]])
    # Seeds that leave the third cluster without rows.
    monkeypatch.setattr("wotd.quantization.codebook._seeds", lambda *_: torch.tensor([[0.1], [5.0], [-50.0]]))
    codes = assign(x, kmeans(x, 3, seeded()))
    assert len(codes.unique()) == 3


def test_kmeans_of_equal_rows_ends() -> None:
    assert torch.equal(kmeans(torch.ones(9, 2), 4, seeded()), torch.ones(4, 2))


def test_kmeans_takes_exactly_as_many_rows_as_codes() -> None:
    x = rows(8, 3)
    assert sorted(assign(x, kmeans(x, 8, seeded())).tolist()) == list(range(8))


def test_too_few_vectors_are_refused_with_both_numbers() -> None:
    with pytest.raises(TrainingError, match=r"3 training vectors for a level of 8 codes"):
        Codebook(8, 2).start(rows(3, 2), seeded())


def test_the_start_is_decided_by_the_generator_alone() -> None:
    torch.manual_seed(1)
    first = started(seed=3)
    torch.manual_seed(2)
    second = started(seed=3)
    assert torch.equal(first.embed_KZ, second.embed_KZ)
    assert not torch.equal(kmeans(rows(50, 3), 4, seeded(0)), kmeans(rows(50, 3), 4, seeded(1)))


def test_a_start_from_codes_is_the_mean_of_each_codes_rows() -> None:
    x, codes = rows(30, 2), torch.arange(30) % 3
    codebook = Codebook(4, 2)
    codebook.start_from_codes(x, codes)
    expected = torch.stack([*(x[codes == code].mean(0) for code in range(3)), x.mean(0)])
    torch.testing.assert_close(codebook.embed_KZ, expected)
    assert bool(codebook.initialised)


def test_the_start_is_settled() -> None:
    """What the averages hold is what the codewords are, so the first batch does not jerk them."""
    codebook = started()
    torch.testing.assert_close(codebook.embed_avg_KZ, codebook.embed_KZ * codebook.cluster_size_K.unsqueeze(1))
    assert float(codebook.cluster_size_K.sum()) == pytest.approx(codebook.size)


# --- moving averages


class AveragedCodebook:
    """The update of van den Oord et al. in double precision, one row at a time."""

    def __init__(self, codebook: Codebook) -> None:
        self.counts = codebook.cluster_size_K.double().numpy().copy()
        self.sums = codebook.embed_avg_KZ.double().numpy().copy()
        self.decay, self.size = codebook.decay, codebook.size

    def update(self, x: np.ndarray, codes: np.ndarray) -> None:
        for code in range(self.size):
            mine = x[codes == code]
            share = self.size / len(x)
            self.counts[code] = self.decay * self.counts[code] + (1 - self.decay) * len(mine) * share
            self.sums[code] = self.decay * self.sums[code] + (1 - self.decay) * mine.sum(0) * share

    @property
    def codewords(self) -> np.ndarray:
        return self.sums / self.counts[:, None]


@given(st.floats(0, 0.999), st.integers(1, 40), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_updates_are_those_of_an_independent_reference(decay: float, batch: int, seed: int) -> None:
    codebook = started(decay=decay, seed=seed)
    reference = AveragedCodebook(codebook)
    for step in range(4):
        x = rows(batch, 3, seed + step)
        # Every code comes in every batch: without decay a code that does not would be the mean of nothing.
        x = torch.cat([x, codebook.embed_KZ])
        codes = assign(x, codebook.embed_KZ)
        codebook.update(x, codes)
        reference.update(x.double().numpy(), codes.numpy())
    np.testing.assert_allclose(codebook.cluster_size_K.numpy(), reference.counts, rtol=1e-4)
    np.testing.assert_allclose(codebook.embed_KZ.numpy(), reference.codewords, rtol=1e-3, atol=1e-4)


def test_updates_do_not_depend_on_the_size_of_the_batch() -> None:
    once, often = started(), started()
    x = rows(20, 3, seed=5)
    codes = assign(x, once.embed_KZ)
    once.update(x, codes)
    often.update(x.repeat(10, 1), codes.repeat(10))
    torch.testing.assert_close(once.embed_KZ, often.embed_KZ)
    torch.testing.assert_close(once.cluster_size_K, often.cluster_size_K)


def test_an_even_code_has_the_count_one() -> None:
    codebook = started(decay=0.5)
    for _ in range(60):
        codebook.update(rows(8, 3), torch.arange(8) % 4)
    torch.testing.assert_close(codebook.cluster_size_K, torch.ones(4))


def test_an_empty_batch_changes_nothing() -> None:
    codebook = started()
    before = {name: value.clone() for name, value in codebook.state_dict().items()}
    codebook.update(torch.empty(0, 3), torch.empty(0, dtype=torch.int64))
    assert codebook.revive(torch.empty(0, 3)) == 0
    assert all(torch.equal(value, before[name]) for name, value in codebook.state_dict().items())


def test_a_code_that_is_never_said_stays_where_it_is() -> None:
    codebook = started(decay=0.5, revive_below=0.0)
    place = codebook.embed_KZ[3].clone()
    for _ in range(300):  # its count underflows to zero
        codebook.update(rows(6, 3), torch.zeros(6, dtype=torch.int64))
    assert float(codebook.cluster_size_K[3]) == 0
    torch.testing.assert_close(codebook.embed_KZ[3], place)
    codebook.update(torch.full((1, 3), 7.0), torch.tensor([3]))
    torch.testing.assert_close(codebook.embed_KZ[3], torch.full((3,), 7.0), rtol=1e-4, atol=0)


# --- revival


def dead_codebook() -> Codebook:
    """Far from the data, one codeword that nothing is assigned to, with the sum and count of its better days."""
    codebook = started()
    codebook.embed_KZ[2] = 100.0
    codebook.embed_avg_KZ[2] = 1.0
    codebook.cluster_size_K[2] = 0.01
    return codebook


def check_that_it_stays_alive() -> None:
    """A dead code is said again after some batches, and its codeword is where the data are."""
    torch.manual_seed(0)
    codebook = dead_codebook()
    for step in range(30):
        x = rows(40, 3, seed=step)
        codebook.update(x, assign(x, codebook.embed_KZ))
        codebook.revive(x)
    x = rows(200, 3, seed=99)
    assert int((assign(x, codebook.embed_KZ) == 2).sum()) > 5
    assert float(codebook.embed_KZ[2].norm()) < 5


def check_that_it_stays_in_place() -> None:
    """The next update does not move a revived codeword that no row of the batch is assigned to."""
    codebook, x = dead_codebook(), rows(40, 3, seed=7)
    codebook.revive(x)
    place = codebook.embed_KZ[2].clone()
    codebook.update(x, torch.zeros(40, dtype=torch.int64))
    torch.testing.assert_close(codebook.embed_KZ[2], place)


REVIVAL = [check_that_it_stays_alive, check_that_it_stays_in_place]


@pytest.mark.parametrize("check", REVIVAL)
def test_a_dead_code_revives_for_good(check: Callable[[], None]) -> None:
    check()


def revive_but_for(*kept: str) -> Callable[[Codebook, Tensor], int]:
    """A revival with a bug: it leaves these buffers as they were."""
    sound = Codebook.revive

    def revive(self: Codebook, vectors_BZ: Tensor) -> int:
        before = {name: getattr(self, name).clone() for name in kept}
        moved = sound(self, vectors_BZ)
        for name, value in before.items():
            getattr(self, name).copy_(value)
        return moved

    return revive


@pytest.mark.parametrize(
    ("check", "kept"),
    [
        (check_that_it_stays_alive, ("embed_avg_KZ", "cluster_size_K")),  # the well-known one
        (check_that_it_stays_in_place, ("embed_avg_KZ", "cluster_size_K")),
        (check_that_it_stays_in_place, ("embed_avg_KZ",)),
        (check_that_it_stays_in_place, ("cluster_size_K",)),
    ],
)
def test_a_revival_that_forgets_a_buffer_would_be_noticed(
    check: Callable[[], None], kept: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A codeword moved without its sum and count is taken back by their old quotient with the next batch."""
    monkeypatch.setattr(Codebook, "revive", revive_but_for(*kept))
    with pytest.raises(AssertionError):
        check()


def test_a_revived_code_is_a_row_with_the_count_of_an_even_share() -> None:
    codebook, x = dead_codebook(), rows(40, 3, seed=7)
    untouched = codebook.embed_KZ[[0, 1, 3]].clone()
    assert codebook.revive(x) == 1
    assert bool((x == codebook.embed_KZ[2]).all(1).any())
    torch.testing.assert_close(codebook.embed_avg_KZ[2], codebook.embed_KZ[2])
    assert float(codebook.cluster_size_K[2]) == 1
    assert torch.equal(codebook.embed_KZ[[0, 1, 3]], untouched)


def test_dead_codes_move_to_different_rows_as_far_as_rows_go() -> None:
    codebook = Codebook(6, 3)  # never started: all are dead
    assert codebook.revive(rows(4, 3)) == 4
    moved = codebook.embed_KZ[codebook.cluster_size_K == 1]
    assert len(moved.unique(dim=0)) == 4


def test_codes_in_use_are_left_alone() -> None:
    codebook = started()
    before = codebook.embed_KZ.clone()
    assert codebook.revive(rows(10, 3)) == 0
    assert torch.equal(codebook.embed_KZ, before)


def test_revival_can_be_switched_off() -> None:
    codebook = Codebook(4, 3, revive_below=0.0)
    assert codebook.revive(rows(10, 3)) == 0


# --- what it is made of


@pytest.mark.parametrize("options", [{"decay": 1.0}, {"decay": -0.1}, {"revive_below": -1.0}, {"revive_below": 1.0}])
def test_numbers_out_of_range_are_refused(options: dict[str, float]) -> None:
    name, value = next(iter(options.items()))
    with pytest.raises(ConfigurationError, match=rf"model\.quantizer\.{name} is {value}; expected"):
        Codebook(4, 3, **options)


def test_all_that_decides_survives_in_the_state_dict() -> None:
    codebook, other = started(), Codebook(4, 3)
    other.load_state_dict(codebook.state_dict())
    x = rows(30, 3, seed=4)
    for each in (codebook, other):
        each.update(x, assign(x, each.embed_KZ))
    assert bool(other.initialised)
    assert torch.equal(codebook.embed_KZ, other.embed_KZ)


def test_distances_keep_their_gradient_while_the_codewords_move() -> None:
    codebook, still = started(dim=16).train(), started(dim=16).eval()
    x, at_rest = rows(5, 16, seed=6).requires_grad_(), rows(5, 16, seed=6).requires_grad_()
    distances = codebook.distances(x)
    codebook.update(x.detach(), torch.zeros(5, dtype=torch.int64))
    distances.sum().backward()
    still.distances(at_rest).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, at_rest.grad)
