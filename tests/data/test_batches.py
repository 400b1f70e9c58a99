"""Every row once, shared out evenly, in an order that the seed and the epoch decide."""

from __future__ import annotations

from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wotd.data import batches as sampling
from wotd.data.batches import BatchSampler, EmbeddingDataset, ResumableLoader
from wotd.errors import TrainingError

SIZES = {"rows": st.integers(1, 60), "batch_size": st.integers(1, 20), "world_size": st.integers(1, 4)}


def batches(rows: int, batch_size: int, *, epoch: int = 0, **options) -> list[list[int]]:
    sampler = BatchSampler(rows, batch_size, **options)
    sampler.set_epoch(epoch)
    given = [batch.tolist() for batch in sampler]
    assert len(given) == len(sampler)
    return given


@given(**SIZES)
def test_without_shuffling_every_row_comes_exactly_once_over_all_processes(
    rows: int, batch_size: int, world_size: int
) -> None:
    shares = [batches(rows, batch_size, shuffle=False, rank=r, world_size=world_size) for r in range(world_size)]
    assert all(share and all(share) for share in shares), "a process without a batch has no loss to report"
    everything = sorted(row for share in shares for batch in share for row in batch)
    if rows >= world_size:
        assert everything == list(range(rows))
    else:  # every process sees them all, which leaves means as they are
        assert everything == sorted(list(range(rows)) * world_size)
    assert all(a < b for share in shares for a, b in pairwise([row for batch in share for row in batch]))
    assert len({len(share) for share in shares}) == 1, "or processes would wait for each other's sums"


@given(epoch=st.integers(0, 3), seed=st.integers(0, 5), **SIZES)
def test_shuffled_rows_come_at_most_once_in_equally_many_batches(
    rows: int, batch_size: int, world_size: int, epoch: int, seed: int
) -> None:
    if rows < world_size:
        with pytest.raises(TrainingError, match=f"there are {rows} rows to train on for {world_size} processes"):
            BatchSampler(rows, batch_size, shuffle=True, world_size=world_size)
        return
    shares = [
        batches(rows, batch_size, shuffle=True, seed=seed, epoch=epoch, rank=r, world_size=world_size)
        for r in range(world_size)
    ]
    assert len({len(share) for share in shares}) == 1
    everything = [row for share in shares for batch in share for row in batch]
    assert len(set(everything)) == len(everything)
    assert len({len(batch) for share in shares for batch in share}) == 1, "all batches are of one size"
    assert rows - len(everything) < batch_size * world_size


@given(epoch=st.integers(0, 2), **SIZES)
def test_processes_together_train_on_the_batches_of_one(
    rows: int, batch_size: int, world_size: int, epoch: int
) -> None:
    if rows < batch_size * world_size:
        return
    options = {"shuffle": True, "epoch": epoch}
    shares = [batches(rows, batch_size, rank=r, world_size=world_size, **options) for r in range(world_size)]
    together = [sorted(chain(*step)) for step in zip(*shares, strict=True)]
    assert together == [sorted(batch) for batch in batches(rows, batch_size * world_size, **options)]


@pytest.fixture
def few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if sixteen rows were many: runs of four, four of them shuffled with each other."""
    monkeypatch.setattr(sampling, "SHUFFLED_RUN", 4)
    monkeypatch.setattr(sampling, "SHUFFLED_ROWS", 16)


@pytest.mark.usefixtures("few_at_a_time")
@pytest.mark.parametrize("count", [17, 64, 101])
def test_many_rows_come_in_runs_and_each_once(count: int) -> None:
    parts = [part.tolist() for part in sampling.shuffled_rows(count, seed=1)]
    assert sorted(chain(*parts)) == list(range(count))
    assert all(len({row // 4 for row in part}) <= 4 for part in parts), "few places of the file at a time"
    assert [part == sorted(part) for part in parts] == [False] * len(parts)
    assert [part.tolist() for part in sampling.shuffled_rows(count, seed=2)] != parts


@pytest.mark.usefixtures("few_at_a_time")
@pytest.mark.parametrize("world_size", [1, 3])
def test_batches_of_many_rows_are_full_across_the_parts_and_shared_out_alike(world_size: int) -> None:
    shares = [batches(101, 5, shuffle=True, seed=7, rank=r, world_size=world_size) for r in range(world_size)]
    assert {len(batch) for share in shares for batch in share} == {5}
    assert len(set(chain(*chain(*shares)))) == 101 // (5 * world_size) * 5 * world_size
    together = [sorted(chain(*step)) for step in zip(*shares, strict=True)]
    assert together == [sorted(batch) for batch in batches(101, 5 * world_size, shuffle=True, seed=7)]


def test_rows_left_out_differ_from_epoch_to_epoch() -> None:
    left_out = [set(range(11)).difference(*batches(11, 4, shuffle=True, epoch=epoch)) for epoch in range(6)]
    assert {len(rows) for rows in left_out} == {3}
    assert set.union(*left_out) > left_out[0]


def test_the_order_is_the_seeds_and_the_epochs() -> None:
    first = batches(50, 8, shuffle=True, seed=1, epoch=0)
    assert batches(50, 8, shuffle=True, seed=1, epoch=0) == first
    assert batches(50, 8, shuffle=True, seed=1, epoch=1) != first
    assert batches(50, 8, shuffle=True, seed=2, epoch=0) != first


def test_an_epoch_that_is_named_after_the_iterator_was_made_decides_its_order() -> None:
    """As Lightning does when it goes on from a checkpoint."""
    sampler = BatchSampler(50, 8, shuffle=True)
    iterator = iter(sampler)
    sampler.set_epoch(3)
    assert [batch.tolist() for batch in iterator] == batches(50, 8, shuffle=True, epoch=3)


def loader(rows: int = 40) -> ResumableLoader:
    vectors = np.arange(rows, dtype=np.float32).reshape(-1, 1)
    dataset = EmbeddingDataset(vectors, np.empty((rows, 0), dtype=np.int64), np.arange(rows))
    return ResumableLoader(dataset, BatchSampler(rows, 8, shuffle=True, seed=3))


@pytest.mark.parametrize("taken", [0, 1, 4, 5])
def test_a_loader_goes_on_where_its_state_says(taken: int) -> None:
    whole = loader()
    whole.sampler.set_epoch(2)
    rows = [batch.embeddings.flatten().tolist() for batch in whole]
    begun, resumed = loader(), loader()
    begun.sampler.set_epoch(2)
    for _, _batch in zip(range(taken), begun, strict=False):
        pass
    resumed.load_state_dict(begun.state_dict())
    resumed.sampler.set_epoch(2)
    # After a whole epoch the next one begins, here asked for under the same number.
    assert [batch.embeddings.flatten().tolist() for batch in resumed] == rows[taken % 5 :]
    assert len(list(resumed)) == 5, "only the first iteration goes on"


@pytest.mark.usefixtures("few_at_a_time")
def test_a_loader_goes_on_within_many_rows() -> None:
    whole, resumed = loader(100), loader(100)
    rows = [batch.embeddings.flatten().tolist() for batch in whole]
    resumed.load_state_dict({"epoch": 0, "given": 7})
    assert [batch.embeddings.flatten().tolist() for batch in resumed] == rows[7:]


def test_a_new_epoch_begins_at_its_beginning_though_the_last_one_was_cut_short() -> None:
    cut = loader()
    next(iter(cut))
    cut.sampler.set_epoch(1)
    assert len(list(cut)) == 5


@pytest.mark.parametrize("kind", ["float32", "float16", "memmap", "memmap16", "fortran"])
def test_all_sources_give_the_same_batches(kind: str, tmp_path: Path) -> None:
    exact = (np.random.default_rng(0).integers(-8, 8, (30, 5)) / 4).astype(np.float32)  # exact in half precision
    source = exact.astype(np.float16) if kind.endswith("16") else exact
    if kind.startswith("memmap"):
        np.save(tmp_path / "x.npy", source)
        source = np.load(tmp_path / "x.npy", mmap_mode="r")
    elif kind == "fortran":
        source = np.asfortranarray(exact)
    labels = np.arange(60).reshape(30, 2)
    rows = np.array([3, 29, 0, 7, 7, 12])
    dataset = EmbeddingDataset(source, labels, rows)
    assert len(dataset) == 6
    batch = dataset[torch.tensor([5, 0, 2])]
    assert batch.embeddings.dtype == torch.float32
    assert batch.labels.dtype == torch.int64
    np.testing.assert_array_equal(batch.embeddings.numpy(), exact[[12, 3, 0]])
    np.testing.assert_array_equal(batch.labels.numpy(), labels[[12, 3, 0]])
    batch.embeddings.zero_()  # a batch is a copy; what it came from stays
    np.testing.assert_array_equal(dataset[[5]].embeddings.numpy(), exact[[12]])


def test_bare_vectors_have_batches_of_no_labels() -> None:
    dataset = EmbeddingDataset(np.ones((4, 3), np.float32), np.empty((4, 0), np.int64), np.arange(4))
    assert dataset[[0, 3]].labels.shape == (2, 0)
