"""What a job does for each file and each part does not grow with how many there are: calls are counted, not seconds."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wotd import SemanticIDModel
from wotd.assignment import row_groups
from wotd.assignment.batches import Choices
from wotd.assignment.inputs import Piece, input_file
from wotd.assignment.local import assign_here
from wotd.assignment.on_ray import _by_pair, _runs
from wotd.assignment.shards import Done, Job, Pair, Shard, find_pairs, made_by
from wotd.errors import InputError
from wotd.hub.folders import Folder, LocalFolder, StoreFolder, open_folder

VERBS = ("exists", "is_file", "listed", "open")


def assign(
    model: SemanticIDModel, source: object, output: object, rank: int = 0, world: int = 1, split: int | None = 8
) -> tuple[int, int]:
    choices = Choices(rows_per_file=split)
    folder, target, pairs = find_pairs(str(source), str(output), vectors=False)
    job = Job(folder, target, choices, made_by(model, texts=False))
    return assign_here(job, pairs, model, rank=rank, world=world)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each verb was asked of folders, and of the output: ``--output open``."""
    counts: Counter[str] = Counter()
    for kind in (LocalFolder, StoreFolder):
        for verb in VERBS:
            ask = getattr(kind, verb)

            def counted(folder: Folder, name: str, *, _ask: object = ask, _verb: str = verb, **how: bool) -> object:
                counts[f"{folder.argument} {_verb}"] += 1
                return _ask(folder, name, **how)  # type: ignore[operator]

            monkeypatch.setattr(kind, verb, counted)
    return counts


@pytest.fixture(params=["path", "memory"])
def output(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A folder for IDs, of this machine or in a store."""
    import fsspec

    yield str(tmp_path / "out") if request.param == "path" else "memory://growth"
    files = fsspec.filesystem("memory")
    if files.exists("/growth"):
        files.rm("/growth", recursive=True)


def remove(output: str, name: str) -> None:
    import fsspec

    files, root = fsspec.url_to_fs(output)
    files.rm_file(f"{root}/{name}")


def of_output(calls: Counter[str]) -> dict[str, int]:
    found = {verb: calls[f"--output {verb}"] for verb in VERBS}
    found["is_file"] -= 1  # whether it is no file itself, once for a job
    return found


@pytest.mark.parametrize("missing", [[], [0], [17], [3, 19]])
def test_parts_are_listed_once_and_each_is_asked_once(
    by_vector, vectors, tmp_path, small_windows, output, calls, missing
) -> None:
    np.save(tmp_path / "a.npy", np.tile(vectors, (6, 1))[:160])
    assert assign(by_vector, tmp_path / "a.npy", output) == (20, 0)
    for part in missing:
        remove(output, f"a.npy.parquet/part-{part:05}.parquet")
    calls.clear()
    assert assign(by_vector, tmp_path / "a.npy", output) == (len(missing), 20 - len(missing))
    assert of_output(calls) == {"exists": 0, "is_file": 0, "listed": 1, "open": 20 - len(missing)}


def test_a_process_asks_the_parts_that_are_its_own(by_vector, vectors, tmp_path, small_windows, output, calls) -> None:
    np.save(tmp_path / "a.npy", np.tile(vectors, (6, 1))[:160])
    for rank in range(5):
        assert assign(by_vector, tmp_path / "a.npy", output, rank, 5) == (4, 0)
    for rank in range(5):
        calls.clear()
        assert assign(by_vector, tmp_path / "a.npy", output, rank, 5) == (0, 4)
        first = int(rank > 0)  # says how many there are
        assert of_output(calls) == {"exists": 0, "is_file": 0, "listed": 1, "open": 4 + first}


@pytest.mark.parametrize("parts", [3, 4, 7])
@pytest.mark.parametrize("world", [1, 2, 3, 5, 8])
def test_processes_share_all_parts_evenly(by_vector, vectors, tmp_path, small_windows, parts, world) -> None:
    for name in "abc":
        np.save(tmp_path / f"{name}.npy", np.tile(vectors, (2, 1))[: 8 * parts])
    done = [assign(by_vector, tmp_path, tmp_path / "out", rank, world) for rank in range(world)]
    assert sum(written for written, _ in done) == len(list((tmp_path / "out").rglob("part-*"))) == 3 * parts
    assert max(done)[0] - min(done)[0] <= 1
    assert [found for _, found in done] == [0] * world


def test_what_is_asked_for_a_file_does_not_grow_with_their_number(by_vector, vectors, tmp_path, output, calls) -> None:
    asked = []
    for files in (4, 24):
        folder = tmp_path / f"{files}"
        folder.mkdir()
        for number in range(files):
            np.save(folder / f"{number:02}.npy", vectors)
        for found in (0, files):
            calls.clear()
            assert assign(by_vector, folder, f"{output}/{files}", split=None) == (files - found, found)
            asked.append({verb: count / files for verb, count in of_output(calls).items()})
    assert asked[0] == asked[2] == {"exists": 1, "is_file": 0, "listed": 0, "open": 0}
    assert asked[1] == asked[3] == {"exists": 1, "is_file": 1, "listed": 0, "open": 1}


@pytest.mark.parametrize("place", ["a.npy.parquet", "a.npy.parquet/part-00001.parquet/x"])
def test_what_stands_in_the_place_of_parts_is_not_written_over(
    by_vector, vectors, tmp_path, small_windows, output, place
) -> None:
    np.save(tmp_path / "a.npy", vectors)
    with open_folder(output, "--output").writing(place) as path:
        path.write_text("something else")
    blocked = place.removesuffix("/x")
    with pytest.raises(InputError, match=rf"/{blocked} exists, but not from this a\.npy with these artifacts"):
        assign(by_vector, tmp_path / "a.npy", output)


class CountedBytes(io.FileIO):
    """A file that knows how much of it was read."""

    read_bytes = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size) or b""
        CountedBytes.read_bytes += len(data)
        return data


@pytest.fixture
def one_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Parquet of one row group with 32 windows, of which little is buffered."""
    monkeypatch.setattr(row_groups, "_LEAST_BUFFER", 16 << 10)
    monkeypatch.setattr(row_groups, "_MOST_BUFFER", 16 << 10)
    rows = np.random.default_rng(0).normal(size=(32 * 4096, 6)).astype(np.float32)
    column = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), 6)
    table = pa.table({"n": np.arange(len(rows)), "vector": column})
    pq.write_table(table, tmp_path / "a.parquet", use_dictionary=False, data_page_size=16 << 10)  # pages are read whole
    assert pq.read_metadata(tmp_path / "a.parquet").num_row_groups == 1

    @contextmanager
    def counted(folder: LocalFolder, name: str, **_: bool) -> Iterator[BinaryIO]:
        with CountedBytes(str(folder.path / name)) as stream:
            yield stream  # type: ignore[misc]

    monkeypatch.setattr(LocalFolder, "open", counted)
    monkeypatch.setattr(CountedBytes, "read_bytes", 0)
    return tmp_path


def pieces_read(folder: Path, runs: list[list[Piece]]) -> float:
    """How much is read for pieces, those of a run from one open file, as a part of the file's size."""
    CountedBytes.read_bytes = 0
    for run in runs:
        file = input_file(open_folder(folder, "--input"), "a.parquet", "text", "vector")
        with file.reading() as windows:
            for piece in run:
                (window,) = windows(piece, pa.schema([]))
                assert window.table["n"].to_pylist() == list(range(piece.first, piece.first + 4096))
                assert window.place(0) == f"a.parquet row {piece.first + 1}"
    return CountedBytes.read_bytes / (folder / "a.parquet").stat().st_size


def test_a_row_group_is_read_once_for_all_its_parts_in_order(one_group: Path) -> None:
    pieces = [Piece(first, 4096) for first in range(0, 32 * 4096, 4096)]
    assert pieces_read(one_group, [pieces]) < 1.1
    assert pieces_read(one_group, [pieces[::5]]) < 1.1  # as where others are finished
    assert pieces_read(one_group, [pieces[:1]]) < 0.1
    assert pieces_read(one_group, [[pieces[20], pieces[3], pieces[3], pieces[21]]]) < 2


def test_neighbours_of_each_of_several_processes_are_read_from_the_start_of_their_row_group(one_group: Path) -> None:
    pieces = [Piece(first, 4096) for first in range(0, 32 * 4096, 4096)]
    assert pieces_read(one_group, [pieces[first : first + 8] for first in range(0, 32, 8)]) < 3
    apart = pieces_read(one_group, [[piece] for piece in pieces[::4]])
    assert apart > 3  # which the others are spared


@pytest.mark.parametrize("world", [1, 4])
def test_a_job_reads_little_more_than_its_input(by_vector, one_group, monkeypatch, world) -> None:
    folder, target, [pair] = find_pairs(str(one_group / "a.parquet"), str(one_group / "out"), vectors=True)
    job = Job(folder, target, Choices(vector_column="vector", rows_per_file=4096), made_by(by_vector, texts=False))
    monkeypatch.setattr(LocalFolder, "version", lambda *_: "the same")  # which reads all of it once more
    done = [assign_here(job, [pair], by_vector, rank=rank, world=world) for rank in range(world)]
    assert done == [(32 // world, 0)] * world
    assert CountedBytes.read_bytes < 3 * (one_group / "a.parquet").stat().st_size
    if world == 1:
        assert CountedBytes.read_bytes < 1.1 * (one_group / "a.parquet").stat().st_size


def shard_of(file: int, part: int) -> Shard:
    pair = Pair(f"{file}.npy", f"{file}.npy.parquet")
    return Shard(pair, f"{file}/{part}", part, Piece(), None, "", pa.schema([]), {})


def test_what_ray_has_done_is_sorted_by_file_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0
    equal = Pair.__eq__

    def counted(one: Pair, other: object) -> bool:
        nonlocal compared
        compared += 1
        return bool(equal(one, other))

    files, parts = 300, 4
    shards = [shard_of(file, part) for file in range(files) for part in range(parts)]
    done = {shard.target: Done(shard.target, 1) for shard in shards[1:]}
    monkeypatch.setattr(Pair, "__eq__", counted)
    of_pairs = _by_pair(shards, done)
    assert [len(of_pairs[Pair(f"{file}.npy", f"{file}.npy.parquet")]) for file in range(files)] == [3] + [4] * 299
    assert compared <= 2 * files * (parts + 1)


@pytest.mark.parametrize(
    ("parts", "workers", "rows_per_file", "expected"),
    [
        ([1, 1, 1], 2, None, [1, 1, 1]),
        ([11], 16, 100_000, [1] * 11),
        ([40], 2, 4096, [5] * 8),
        ([3, 40], 2, 4096, [3, *[5] * 8]),
        ([1000], 2, 4096, [64] * 15 + [40]),
        ([1000], 2, 1_000_000, [1] * 1000),
    ],
)
def test_a_worker_on_ray_gets_neighbours(parts, workers, rows_per_file, expected) -> None:
    shards = [shard_of(file, part) for file, count in enumerate(parts) for part in range(count)]
    runs = _runs(shards, workers, rows_per_file)
    assert [len(run.shards) for run in runs] == expected
    assert [shard for run in runs for shard in run.shards] == shards
    assert all(len({shard.pair for shard in run.shards}) == 1 for run in runs)
