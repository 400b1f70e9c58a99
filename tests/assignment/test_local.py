"""Jobs on one machine: folders of files, in pieces, again and again, and in stores."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wotd.assignment.batches import Assigner, Choices
from wotd.assignment.local import assign_here
from wotd.assignment.shards import Job, find_pairs, made_by
from wotd.errors import InputError
from wotd.provenance import file_sha256

pytest_plugins = ["bucket_server"]


def assign(model, source, output, rank=0, world=1, **choices):
    chosen = Choices(**choices)
    folder, target, pairs = find_pairs(str(source), str(output), vectors=chosen.vector_column is not None)
    texts = model.artifacts.fingerprint is not None
    return assign_here(Job(folder, target, chosen, made_by(model, texts=texts)), pairs, model, rank=rank, world=world)


def files_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def source(tmp_path, texts):
    """Twenty texts in Parquet, twenty in JSON lines, of which one is missing; windows have eight."""
    folder = tmp_path / "in"
    folder.mkdir()
    table = pa.table({"n": range(20), "text": texts[:20]})
    pq.write_table(table, folder / "a.parquet", row_group_size=7)
    rows = [{"n": n, "text": None if n == 19 else text} for n, text in enumerate(texts[20:40])]
    (folder / "b.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return folder


PARTS = [f"{name}/part-0000{part}.parquet" for name in ("a.parquet", "b.jsonl.parquet") for part in (0, 1)]


def test_parts_together_are_the_whole(by_text, source, tmp_path, small_windows, caplog):
    assert assign(by_text, source, tmp_path / "whole") == (2, 0)
    assert assign(by_text, source, tmp_path / "parts", rows_per_file=9) == (4, 0)  # that is 16
    assert files_in(tmp_path / "parts") == PARTS
    assert [pq.read_metadata(tmp_path / "parts" / name).num_rows for name in PARTS] == [16, 4, 16, 4]
    for name in ("a.parquet", "b.jsonl.parquet"):
        assert pq.read_table(tmp_path / "parts" / name).equals(pq.read_table(tmp_path / "whole" / name))
    assert caplog.text.count("b.jsonl: 1 rows without a text got no code, the first is row 20") == 2


def test_parts_that_are_there_stay(by_text, source, tmp_path, small_windows):
    out = tmp_path / "out"
    assign(by_text, source, out, rows_per_file=16)
    written = {name: (out / name).stat().st_mtime_ns for name in PARTS}
    assert assign(by_text, source, out, rows_per_file=16) == (0, 4)
    (out / PARTS[1]).unlink()
    (out / PARTS[2]).unlink()
    assert assign(by_text, source, out, rows_per_file=16) == (2, 2)
    assert [name for name in PARTS if (out / name).stat().st_mtime_ns != written[name]] == [PARTS[1], PARTS[2]]
    for changed in ({"rows_per_file": 8}, {"rows_per_file": 16, "drop_texts": True}, {}):
        with pytest.raises(InputError, match=r"exists, but not from this a\.parquet with these artifacts and options"):
            assign(by_text, source, out, **changed)
    assign(by_text, source, tmp_path / "whole")
    with pytest.raises(InputError, match=r"whole/a\.parquet exists, but not from this a\.parquet"):
        assign(by_text, source, tmp_path / "whole", rows_per_file=16)


def test_ranks_share_the_parts(by_text, source, tmp_path, small_windows):
    assign(by_text, source, tmp_path / "whole", rows_per_file=8)
    done = [assign(by_text, source, tmp_path / "parts", rank, 4, rows_per_file=8) for rank in range(4)]
    assert done == [(2, 0), (2, 0), (1, 0), (1, 0)]
    assert assign(by_text, source, tmp_path / "parts", 1, 4, rows_per_file=8) == (0, 2)
    for name in files_in(tmp_path / "whole"):
        assert pq.read_table(tmp_path / "parts" / name).equals(pq.read_table(tmp_path / "whole" / name))


def test_vectors_of_all_kinds_of_files(by_vector, vectors, tmp_path, small_windows):
    folder = tmp_path / "in"
    folder.mkdir()
    np.save(folder / "a.npy", vectors)
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    pq.write_table(pa.table({"n": range(30), "v": column}), folder / "b.parquet")
    (folder / "c.jsonl").write_text('{"text": "x"}\n')
    assert assign(by_vector, folder, tmp_path / "out", vector_column="v", rows_per_file=16) == (4, 0)
    codes = by_vector.encode_vectors(vectors).tolist()
    a, b = (pq.read_table(tmp_path / "out" / name) for name in ("a.npy.parquet", "b.parquet"))
    assert a.column_names == ["code", "id", "names"]
    assert b.column_names == ["n", "code", "id", "names"]
    assert a["code"].to_pylist() == b["code"].to_pylist() == codes
    (folder / "b.parquet").unlink()
    (folder / "c.jsonl").unlink()
    assert assign(by_vector, folder, tmp_path / "alone") == (1, 0)  # no texts: the .npy is meant
    assert pq.read_table(tmp_path / "alone" / "a.npy.parquet").equals(a)


def test_a_file_that_cannot_be_read_leaves_nothing_of_itself(by_vector, vectors, tmp_path, small_windows):
    vectors = vectors.copy()
    vectors[25, 2] = np.inf
    np.save(tmp_path / "a.npy", vectors)
    with pytest.raises(Exception, match=r"^a\.npy row 26 is not of finite numbers"):
        assign(by_vector, tmp_path / "a.npy", tmp_path / "out", rows_per_file=8)
    assert files_in(tmp_path / "out") == [f"a.npy.parquet/part-0000{part}.parquet" for part in range(3)]


@pytest.mark.parametrize("store", ["memory", "s3"])
def test_a_store_instead_of_a_folder(by_text, source, tmp_path, small_windows, store, request):
    import fsspec

    place = request.getfixturevalue("bucket") if store == "s3" else "memory://assigned"
    files, root = fsspec.url_to_fs(place)
    for path in source.iterdir():
        files.put_file(str(path), f"{root}/in/{path.name}")
    assert assign(by_text, source, tmp_path / "out", rows_per_file=16) == (4, 0)
    assert assign(by_text, f"{place}/in", f"{place}/out", rows_per_file=16) == (4, 0)
    found = sorted(str(path).removeprefix(f"{root}/out/") for path in files.find(f"{root}/out"))
    assert found == PARTS
    for name in PARTS:
        with files.open(f"{root}/out/{name}") as stream:
            assert pq.read_table(stream).equals(pq.read_table(tmp_path / "out" / name))
    assert assign(by_text, f"{place}/in", f"{place}/out", rows_per_file=16) == (0, 4)
    files.rm_file(f"{root}/out/{PARTS[0]}")
    assert assign(by_text, f"{place}/in", f"{place}/out/", rows_per_file=16) == (1, 3)
    assert assign(by_text, f"{place}/in/b.jsonl", tmp_path / "one") == (1, 0)
    with pytest.raises(InputError, match="holds the input"):
        assign(by_text, f"{place}/in", f"{place}/in")
    with pytest.raises(InputError, match="nothing, which does not exist"):
        assign(by_text, f"{place}/nothing", tmp_path / "none")
    files.rm(f"{root}", recursive=True)


def test_a_store_that_changes_is_noticed(by_text, source, tmp_path, small_windows, bucket):
    import s3fs

    files = s3fs.S3FileSystem()
    files.put_file(str(source / "b.jsonl"), "bucket/in/b.jsonl")
    assign(by_text, f"{bucket}/in", tmp_path / "out")
    files.pipe("bucket/in/b.jsonl", (source / "b.jsonl").read_bytes().replace(b"e", b"a", 1))
    with pytest.raises(InputError, match=r"exists, but not from this b\.jsonl"):
        assign(by_text, f"{bucket}/in", tmp_path / "out")


def test_a_kill_in_mid_job_costs_the_part_it_was_at(by_vector, vectors, tmp_path):
    """Killed as the system kills, in a process of its own, with windows as they are."""
    np.save(tmp_path / "a.npy", np.tile(vectors, (6000, 1)))
    program = [
        *(sys.executable, "-m", "wotd.cli", "assign", "--artifacts", str(by_vector.artifacts.folder)),
        *("--input", str(tmp_path / "a.npy"), "--output", str(tmp_path / "out"), "--rows-per-file", "4096"),
    ]
    out = tmp_path / "out" / "a.npy.parquet"
    with subprocess.Popen(program, env={**os.environ, "OMP_NUM_THREADS": "1"}) as process:
        deadline = time.monotonic() + 120
        while len(list(out.glob("part-*"))) < 3 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    first = {path.name: path.stat().st_mtime_ns for path in out.glob("part-*")}
    assert 3 <= len(first) < 44
    written = assign(by_vector, tmp_path / "a.npy", tmp_path / "out", rows_per_file=4096)
    assert written == (44 - len(first), len(first))
    assert first.items() <= {path.name: path.stat().st_mtime_ns for path in out.glob("part-*")}.items()
    assign(by_vector, tmp_path / "a.npy", tmp_path / "whole")
    assert pq.read_table(sorted(out.glob("part-*"))).equals(pq.read_table(tmp_path / "whole" / "a.npy.parquet"))


def test_who_reads_is_not_left_behind(by_vector, tmp_path, small_windows):
    """A file of the output may be read at once: it is never there by halves."""
    np.save(tmp_path / "a.npy", np.ones((64, 6), np.float32))
    seen = []

    class Watching(type(by_vector)):
        def encode_vectors(self, vectors):
            seen.append(list(Path(tmp_path / "out").rglob("*.npy.parquet")))
            return super().encode_vectors(vectors)

    assign(Watching(by_vector.artifacts), tmp_path / "a.npy", tmp_path / "out")
    assert seen == [[]] * 8
    assert pq.read_metadata(tmp_path / "out" / "a.npy.parquet").num_rows == 64


@pytest.mark.parametrize("rows", [30, 20])
def test_an_input_that_changes_after_it_was_looked_at_is_an_error(by_vector, vectors, tmp_path, small_windows, rows):
    """Other rows, and fewer: neither may be written as what the first were."""

    def write(given):
        column = pa.FixedSizeListArray.from_arrays(pa.array(given.reshape(-1)), given.shape[1])
        pq.write_table(pa.table({"v": column}), tmp_path / "a.parquet")

    write(vectors)
    choices = Choices(vector_column="v", rows_per_file=16)
    folder, target, [pair] = find_pairs(str(tmp_path / "a.parquet"), str(tmp_path / "out"), vectors=True)
    job = Job(folder, target, choices, made_by(by_vector, texts=False))
    shards, _ = job.open_shards(pair, by_vector.artifacts)
    assert job.assign(shards[0], Assigner(by_vector, choices)).rows == 16
    write(-vectors[:rows])
    with pytest.raises(InputError, match=r"/a\.parquet changed while it was read; start again\."):
        job.assign(shards[1], Assigner(by_vector, choices))
    assert files_in(tmp_path / "out") == ["a.parquet/part-00000.parquet"]


def test_a_whole_input_that_changes_before_its_end_is_an_error(by_vector, vectors, tmp_path, small_windows):
    np.save(tmp_path / "a.npy", vectors)
    folder, target, [pair] = find_pairs(str(tmp_path / "a.npy"), str(tmp_path / "out"), vectors=True)
    job = Job(folder, target, Choices(), made_by(by_vector, texts=False))
    [shard], _ = job.open_shards(pair, by_vector.artifacts)

    def changed(_: int) -> None:
        np.save(tmp_path / "a.npy", -vectors)

    with pytest.raises(InputError, match=r"/a\.npy changed while it was read; start again\."):
        job.assign(shard, Assigner(by_vector, Choices()), changed)
    assert files_in(tmp_path / "out") == []


@pytest.mark.parametrize("rows_per_file", [None, 16])
def test_a_file_says_which_content_it_was_made_of(by_vector, vectors, tmp_path, small_windows, rows_per_file):
    np.save(tmp_path / "a.npy", vectors)
    assign(by_vector, tmp_path / "a.npy", tmp_path / "out", rows_per_file=rows_per_file)
    for file in files_in(tmp_path / "out"):
        origin = json.loads(pq.read_metadata(tmp_path / "out" / file).metadata[b"wotd.origin"])
        assert origin["source_sha256"] == file_sha256(tmp_path / "a.npy")


@pytest.mark.parametrize("parts", ["many", 1.5, -1, 10**12, True, None])
def test_what_a_file_of_the_output_says_of_itself_is_not_trusted(by_vector, vectors, tmp_path, small_windows, parts):
    np.save(tmp_path / "a.npy", vectors)
    out = tmp_path / "out"
    assign(by_vector, tmp_path / "a.npy", out, rows_per_file=16)
    first = out / "a.npy.parquet" / "part-00000.parquet"
    table = pq.read_table(first)
    origin = json.loads(pq.read_metadata(first).metadata[b"wotd.origin"]) | {"parts": parts}
    pq.write_table(table.replace_schema_metadata({b"wotd.origin": json.dumps(origin)}), first)
    with pytest.raises(InputError, match=r"exists, but not from this a\.npy"):
        assign(by_vector, tmp_path / "a.npy", out, rows_per_file=16)


def test_a_key_of_a_store_writes_nothing_outside_of_the_output(by_vector, vectors, tmp_path):
    import fsspec
    from fsspec.implementations.memory import MemoryFile

    np.save(tmp_path / "a.npy", vectors)
    files = fsspec.filesystem("memory")
    for key in (f"/keys/in/{tmp_path}/outside/evil.npy", "/keys/in/a.npy"):
        files.store[key] = MemoryFile(files, key, (tmp_path / "a.npy").read_bytes())
    assert assign(by_vector, "memory://keys/in", tmp_path / "out") == (1, 0)
    assert files_in(tmp_path) == ["a.npy", "out/a.npy.parquet"]
    files.rm("/keys", recursive=True)
