"""The index as a file: built of what wotd writes, it answers as a dictionary would, and no broken file is believed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_artifacts import make_text_artifacts
from small_disks import resize, small_disk

from wotd.embeddings.stylometry import Stylometry
from wotd.errors import InputError
from wotd.id_index import IDIndex, Item, building, code_groups
from wotd.id_index.building import build_id_index
from wotd.semantic_ids import IDPattern, SemanticID

code_st = st.none() | st.lists(st.integers(0, 2) | st.sampled_from([256, 999_999_999]), max_size=3)
row_st = st.tuples(code_st, st.none() | st.text(max_size=3))
files_st = st.lists(st.lists(row_st, max_size=8), min_size=1, max_size=3)
patterns_st = st.lists(st.none() | st.integers(0, 2), max_size=3).map(lambda indices: IDPattern(tuple(indices)))


def write_table(path: Path, rows: list[tuple[list[int] | None, str | None]], row_group: int = 3) -> None:
    """Rows of codes and titles as a Parquet file."""
    codes, titles = [row[0] for row in rows], [row[1] for row in rows]
    table = pa.table({"title": pa.array(titles, pa.string()), "code": pa.array(codes, pa.list_(pa.int32()))})
    pq.write_table(table, path, row_group_size=row_group)


@pytest.fixture
def codes(tmp_path: Path) -> np.ndarray:
    codes_NL = np.random.default_rng(0).integers(0, 8, (500, 3))
    np.save(tmp_path / "codes.npy", codes_NL)
    return codes_NL


@pytest.fixture
def disk() -> Iterator[Path]:
    """A disk of its own in memory."""
    with small_disk("1m") as disk:
        yield disk


@settings(max_examples=60)
@given(files_st, patterns_st, st.sampled_from([2, 1 << 17]))
def test_it_answers_as_a_dictionary_would(
    tmp_path_factory: pytest.TempPathFactory,
    files: list[list[tuple[list[int] | None, str | None]]],
    pattern: IDPattern,
    rows: int,
) -> None:
    folder = tmp_path_factory.mktemp("ids")
    items: list[Item] = []
    for number, file in enumerate(files):
        write_table(folder / f"{number}.parquet", file)
        for row, (code, title) in enumerate(file):
            items.append(Item(f"{number}.parquet", row, title or "", "-".join(map(str, code or []))))
    known = {number: SemanticID.parse(item.id) for number, item in enumerate(items) if item.id}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "_ROWS", rows)
        patch.setattr(code_groups, "_ROWS", rows)
        if not known:
            with pytest.raises(InputError, match="no row has an ID"):
                build_id_index(folder, folder / "index")
            return
        index = build_id_index(folder, folder / "index", name_column="title")
    assert len(index) == len(known)
    assert index.depth == max(map(len, known.values()))
    assert [index.item(number) for number in range(len(items))] == items
    wanted = [number for number, semantic_id in known.items() if pattern.matches(semantic_id)]
    assert index.count(pattern) == len(wanted)
    assert [number for run in index.matching(pattern) for number in run] == sorted(
        wanted, key=lambda n: known[n].indices
    )
    prefix = SemanticID(tuple(index for index in pattern.indices if index is not None))
    assert index.items(prefix).tolist() == [
        number for number in sorted(known, key=lambda n: known[n].indices) if known[number].startswith(prefix)
    ]
    assert sum(count for _, count in index.children(prefix)) == sum(
        each.startswith(prefix) and len(each) > len(prefix) for each in known.values()
    )


def test_codes_of_vectors_and_of_artifacts_are_indexed(tmp_path: Path, codes: np.ndarray) -> None:
    index = build_id_index(tmp_path / "codes.npy", tmp_path / "index")
    assert [index.item(row) for row in (0, 499)] == [
        Item("codes.npy", row, None, "-".join(map(str, codes[row]))) for row in (0, 499)
    ]
    artifacts = make_text_artifacts(tmp_path / "artifacts", Stylometry())
    passages = pq.read_table(artifacts / "codes.parquet")
    index = build_id_index(artifacts, tmp_path / "index", name_column="corpus")
    assert (len(index), index.sources) == (len(passages), {"codes.parquet": len(passages)})
    assert index.item(7).name == passages["corpus"][7].as_py()
    assert index.item(7).id == "-".join(map(str, passages["code"][7].as_py()))


def test_items_of_a_prefix_are_a_view_of_the_file(tmp_path: Path, codes: np.ndarray) -> None:
    index = build_id_index(tmp_path / "codes.npy", tmp_path / "index")
    items = index.items(SemanticID((3,)))
    assert not items.flags.owndata
    assert not items.flags.writeable
    assert sorted(items.tolist()) == np.flatnonzero(codes[:, 0] == 3).tolist()


def test_the_same_codes_make_the_same_bytes(tmp_path: Path, codes: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    build_id_index(tmp_path / "codes.npy", tmp_path / "a")
    monkeypatch.setattr(code_groups, "_ROWS", 64)
    monkeypatch.setattr(building, "_ROWS", 100)
    build_id_index(tmp_path / "codes.npy", tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_any_arrow_reader_opens_it(tmp_path: Path, codes: np.ndarray) -> None:
    build_id_index(tmp_path / "codes.npy", tmp_path / "index")
    with pa.ipc.open_file(tmp_path / "index") as reader:
        table = reader.read_all()
    assert table.column_names == ["level_0", "level_1", "level_2", "starts", "rows", "places"]
    assert table.schema.field("level_0").type.value_type == pa.uint8()
    assert sorted(table["rows"][0].as_py()) == list(range(500))


def test_an_index_that_cannot_be_built_leaves_the_old_one(tmp_path: Path, codes: np.ndarray) -> None:
    build_id_index(tmp_path / "codes.npy", tmp_path / "index")
    before = (tmp_path / "index").read_bytes()
    (tmp_path / "ids").mkdir()
    write_table(tmp_path / "ids" / "a.parquet", [([1, 2], "x")])
    sound = (tmp_path / "ids" / "a.parquet").read_bytes()
    for bad in (b"PAR1 and then nothing", sound.replace(b"title", b"\x80itle")):
        (tmp_path / "ids" / "b.parquet").write_bytes(bad)
        with pytest.raises(InputError, match=r"b\.parquet is no readable Parquet file"):
            build_id_index(tmp_path / "ids", tmp_path / "index")
    assert (tmp_path / "index").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["codes.npy", "ids", "index"]


def test_what_a_killed_build_has_left_goes_with_the_next(tmp_path: Path, codes: np.ndarray) -> None:
    build = "import os, signal, sys; from wotd.id_index import building\n"
    build += "building._write = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"  # all work is done but for this
    build += "building.build_id_index(sys.argv[1], sys.argv[2])"
    arguments = [str(tmp_path / "codes.npy"), str(tmp_path / "index")]
    assert subprocess.run([sys.executable, "-c", build, *arguments], check=False).returncode == -signal.SIGKILL
    assert not (tmp_path / "index").exists()
    (left,) = tmp_path.glob(".index-*.partial")
    assert (left / "starts").stat().st_size > 0
    build_id_index(tmp_path / "codes.npy", tmp_path / "index")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["codes.npy", "index"]


def test_builders_of_one_index_and_of_one_called_alike_do_not_disturb_each_other(
    tmp_path: Path, codes: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = building._write

    def late(*arguments: Any) -> None:
        monkeypatch.setattr(building, "_write", write)
        for name in ("index", "index-2"):
            build_id_index(tmp_path / "codes.npy", tmp_path / name)
        np.save(tmp_path / "none.npy", np.zeros((0, 3), np.int64))
        with pytest.raises(InputError, match="no row has an ID"):
            build_id_index(tmp_path / "none.npy", tmp_path / "index")
        write(*arguments)

    for name in ("index-2", "index"):
        monkeypatch.setattr(building, "_write", late)
        assert len(build_id_index(tmp_path / "codes.npy", tmp_path / name)) == len(codes)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["codes.npy", "index", "index-2", "none.npy"]


def test_a_file_that_is_read_is_not_replaced(tmp_path: Path) -> None:
    write_table(tmp_path / "a.parquet", [([1, 2], "x")])
    (tmp_path / "link").symlink_to("a.parquet")
    for source, target in (("a.parquet", "a.parquet"), ("a.parquet", "link"), ("link", "a.parquet"), (".", "link")):
        with pytest.raises(InputError, match="which is read, too"):
            build_id_index(tmp_path / source, tmp_path / target)
    assert pq.read_table(tmp_path / "a.parquet").num_rows == 1


def test_a_full_disk_is_a_sentence_and_nothing_is_left(tmp_path: Path, disk: Path) -> None:
    np.save(tmp_path / "codes.npy", np.random.default_rng(0).integers(0, 256, (400_000, 3)).astype(np.uint8))
    build = "import sys; from wotd.id_index.building import build_id_index; build_id_index(sys.argv[1], sys.argv[2])"
    for size in ("1m", "4m", "6m", "8m"):
        resize(disk, size)
        command = [sys.executable, "-c", build, str(tmp_path / "codes.npy"), str(disk / "index")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 1, done  # no signal killed it
        assert done.stderr.rstrip().endswith("which cannot be made: No space left on device.")
        assert list(disk.iterdir()) == []


def test_names_that_are_no_unicode_are_refused_and_suffixes_may_be_large(tmp_path: Path, codes: np.ndarray) -> None:
    (tmp_path / "codes.npy").rename(tmp_path / "codes.NPY")
    assert len(build_id_index(tmp_path / "codes.NPY", tmp_path / "index")) == len(codes)
    odd = tmp_path / os.fsdecode(b"\xff.parquet")
    try:
        write_table(tmp_path / "a", [([1, 2], "x")])
        (tmp_path / "a").rename(odd)
    except OSError:
        pytest.skip("this file system takes no such names")
    with pytest.raises(InputError, match=r"xff\.parquet|udcff\.parquet"):
        build_id_index(tmp_path, tmp_path / "index")


def _negative(folder: Path) -> None:
    np.save(folder / "codes.npy", np.array([[1, -1]]))


def _floats(folder: Path) -> None:
    np.save(folder / "codes.npy", np.ones((2, 2)))


def _pickled(folder: Path) -> None:
    np.save(folder / "codes.npy", np.array([{}], dtype=object), allow_pickle=True)


def _deep(folder: Path) -> None:
    np.save(folder / "codes.npy", np.zeros((1, 65), dtype=np.int64))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_negative, "has codes from -1 to 1; expected 0 to 999999999"),
        (_floats, "holds no matrix of codes"),
        (_pickled, "is no readable .npy file"),
        (_deep, "a code of 65 levels; expected at most 64"),
        (lambda folder: None, "which does not exist"),
        (lambda folder: (folder / "codes.npy").mkdir(), "a folder without Parquet files"),
    ],
)
def test_what_is_no_table_of_codes_is_refused(tmp_path: Path, make: Callable[[Path], None], reason: str) -> None:
    make(tmp_path)
    with pytest.raises(InputError, match=reason):
        build_id_index(tmp_path / "codes.npy", tmp_path / "index")


def test_columns_are_asked_for_by_name(tmp_path: Path) -> None:
    write_table(tmp_path / "a.parquet", [([1, 2], "x")])
    with pytest.raises(InputError, match="has no column id; it has title, code"):
        build_id_index(tmp_path / "a.parquet", tmp_path / "index", name_column="id")
    with pytest.raises(InputError, match="title is string; expected a list of whole numbers"):
        build_id_index(tmp_path / "a.parquet", tmp_path / "index", code_column="title")


# --- files that are none, or no longer


def test_a_file_that_is_cut_is_refused(tmp_path: Path, codes: np.ndarray) -> None:
    build_id_index(tmp_path / "codes.npy", tmp_path / "index")
    whole = (tmp_path / "index").read_bytes()
    for length in (0, 1, 8, 100, len(whole) // 2, len(whole) - 10, len(whole) - 1):
        (tmp_path / "cut").write_bytes(whole[:length])
        with pytest.raises(InputError, match="which is no whole index of IDs"):
            IDIndex.open(tmp_path / "cut")


def foreign(path: Path, columns: dict[str, list], metadata: dict | None = None, batches: int = 1) -> None:
    """An Arrow file of such columns."""
    table = pa.table(columns)
    schema = table.schema.with_metadata({b"wotd.id_index": json.dumps(metadata).encode()} if metadata else None)
    with pa.ipc.new_file(path, schema) as writer:
        for _ in range(batches):
            writer.write_table(table.cast(schema))


LISTS = pa.large_list(pa.int64())
OWN = {"schema": 1, "sources": {"a": 2}}


def lists(**columns: list[int]) -> dict:
    return {name: pa.array([values], LISTS) for name, values in columns.items()}


GOOD = {"level_0": [3, 5], "starts": [0, 1, 2], "rows": [1, 0], "places": [1, 0]}


@pytest.mark.parametrize(
    ("columns", "metadata", "reason"),
    [
        ({"a": [1, 2]}, None, "its schema has no metadata wotd.id_index"),
        (lists(**GOOD), {"schema": 2, "sources": {}}, "of schema 2; this wotd reads 1: build it anew"),
        (lists(**GOOD), {"schema": 1, "sources": {"a": "2"}}, "does not say which files"),
        (lists(**GOOD), {"schema": 1, "sources": {"a": 3}}, "do not fit each other in length"),
        ({"a": [1, 2]}, OWN, "a column is int64 of 2 rows, not one list"),
        (lists(**GOOD) | {"names": pa.array([["x"]], pa.large_list(pa.large_string()))}, OWN, "a name for each row"),
        (lists(**{**GOOD, "starts": [0, 1, 1]}), OWN, "starts do not cover its rows"),
        (lists(**{**GOOD, "rows": [0, 1]}), OWN, "code 0 has no rows, or rows of another code"),
        (lists(**{**GOOD, "rows": [9, 0]}), OWN, "code 0 has no rows, or rows of another code"),
        (lists(**{**GOOD, "level_0": [5, 3]}), OWN, "code 1 is out of order"),
        (lists(**{**GOOD, "level_0": [5]}), OWN, "do not fit each other in length"),
        (lists(starts=[0], rows=[], places=[]), OWN, "its columns are not levels"),
        (lists(level_0=[1], starts=[0, 1]), OWN, "which is no whole index"),
        ({**lists(**GOOD), "rows": pa.array([[1, None]], LISTS)}, OWN, "which is no whole index"),
    ],
)
def test_a_foreign_file_is_refused(tmp_path: Path, columns: dict, metadata: dict | None, reason: str) -> None:
    foreign(tmp_path / "index", columns, metadata)
    with pytest.raises(InputError, match=reason):
        IDIndex.open(tmp_path / "index")


def test_only_one_batch_is_an_index(tmp_path: Path) -> None:
    foreign(tmp_path / "index", lists(**GOOD), OWN)
    assert str(IDIndex.open(tmp_path / "index").item(1).id) == "3"
    foreign(tmp_path / "index", lists(**GOOD), OWN, batches=2)
    with pytest.raises(InputError, match="2 record batches"):
        IDIndex.open(tmp_path / "index")
    with pytest.raises(InputError, match="does not exist; wotd index build makes one"):
        IDIndex.open(tmp_path / "none")


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_arrays_that_are_compressed_are_refused_before_they_are_unpacked(tmp_path: Path, compression: str) -> None:
    table = pa.table(lists(**{**GOOD, "rows": [0] * 4_000_000}))
    schema = table.schema.with_metadata({b"wotd.id_index": json.dumps(OWN).encode()})
    with pa.ipc.new_file(tmp_path / "index", schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as file:
        file.write_table(table.cast(schema))
    del table
    before = pa.total_allocated_bytes()
    with pytest.raises(InputError, match="its arrays are compressed"):
        IDIndex.open(tmp_path / "index")
    assert pa.total_allocated_bytes() - before < 1 << 20
    foreign(tmp_path / "index", {"level_0": pa.array(["x"]).dictionary_encode()}, OWN)
    with pytest.raises(InputError, match="its arrays are compressed"):
        IDIndex.open(tmp_path / "index")


def test_bytes_that_changed_never_break_more_than_the_answer(tmp_path: Path) -> None:
    write_table(tmp_path / "a.parquet", [([row % 3, row % 5], f"title {row}") for row in range(60)])
    build_id_index(tmp_path / "a.parquet", tmp_path / "index", name_column="title")
    whole, drawn, refused = (tmp_path / "index").read_bytes(), random.Random(0), 0
    for _ in range(400):
        damaged = bytearray(whole)
        for _ in range(drawn.randint(1, 8)):
            damaged[drawn.randrange(len(damaged))] = drawn.randrange(256)
        (tmp_path / "damaged").write_bytes(damaged)
        try:
            index = IDIndex.open(tmp_path / "damaged")
            for number in range(60):
                index.item(number)
            for pattern in (IDPattern(), IDPattern((1,)), IDPattern((None, 4))):
                assert index.count(pattern) is not None
                for run in index.matching(pattern):
                    run.tolist()
            index.children(SemanticID((1,)))
        except InputError:
            refused += 1
    assert refused > 100
