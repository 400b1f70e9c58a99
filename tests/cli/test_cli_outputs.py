"""Writing results: complete or not at all, rows and matrices."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wotd.cli.matrices import CHUNK_ROWS, chunks, open_codes, write_matrix
from wotd.cli.outputs import check_output, rows_to
from wotd.errors import InputError
from wotd.replacing import replacing

SCHEMA = pa.schema([("text", pa.string()), ("code", pa.list_(pa.int64())), ("odd", pa.bool_())])
ROWS = [
    {"text": 'a "quoted"\nline, é', "code": [1, 2], "odd": True},
    {"text": None, "code": [], "odd": False},
]


def write(path, rows=ROWS):
    with rows_to(path, lambda: SCHEMA) as put:
        for row in rows:
            put(row)


def test_rows_come_back(tmp_path):
    for suffix in ("jsonl", "csv", "parquet"):
        write(tmp_path / f"a.{suffix}")
    assert [json.loads(line) for line in (tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()] == ROWS
    assert pq.read_table(tmp_path / "a.parquet").to_pylist() == ROWS
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))
    assert read[0] == {"text": ROWS[0]["text"], "code": "[1, 2]", "odd": "true"}
    assert read[1] == {"text": "", "code": "[]", "odd": "false"}


def test_many_rows_are_written_in_groups(tmp_path):
    write(tmp_path / "a.parquet", [{"text": str(n), "code": [n], "odd": n % 2 == 1} for n in range(20_000)])
    file = pq.ParquetFile(tmp_path / "a.parquet")
    assert (file.metadata.num_rows, file.num_row_groups) == (20_000, 3)


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_a_failure_leaves_what_was_there(tmp_path, suffix):
    target = tmp_path / f"a.{suffix}"
    target.write_text("old")

    def fail():
        with rows_to(target, lambda: SCHEMA) as put:
            put(ROWS[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == [target.name]
    assert target.read_text() == "old"


def test_rows_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(InputError, match="do not fit into one Parquet table"):
        write(tmp_path / "a.parquet", [{"text": "a", "code": ["x"], "odd": None}])
    assert not list(tmp_path.iterdir())


def test_a_new_file_has_the_rights_of_any_other(tmp_path):
    with replacing(tmp_path / "a") as temporary:
        temporary.write_text("x")
    (tmp_path / "b").write_text("x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_writers_at_once_do_not_disturb_each_other_even_where_one_fails(tmp_path):
    target = tmp_path / "x.parquet"
    with replacing(target) as first, replacing(tmp_path / "x.parquet.jsonl.parquet") as other:
        first.write_text("first")
        other.write_text("other")
        with pytest.raises(KeyError), replacing(target):
            raise KeyError
    assert target.read_text() == "first"
    assert (tmp_path / "x.parquet.jsonl.parquet").read_text() == "other"
    assert len(list(tmp_path.iterdir())) == 2


def test_what_a_killed_writer_has_left_goes_with_the_next(tmp_path):
    target = tmp_path / "a"
    code = (
        "import os, signal, sys; from pathlib import Path; from wotd.replacing import replacing\n"
        "with replacing(Path(sys.argv[1])) as path: path.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, target], check=False).returncode == -signal.SIGKILL
    assert [path.name for path in tmp_path.rglob("new")] == ["new"]
    with replacing(target) as temporary:
        temporary.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real.jsonl").write_text("old")
    (tmp_path / "link.jsonl").symlink_to("real.jsonl")
    write(check_output(tmp_path / "link.jsonl"))
    assert (tmp_path / "link.jsonl").is_symlink()
    assert (tmp_path / "real.jsonl").read_text() != "old"


def test_impossible_outputs_are_refused_before_any_work(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    for name, sentence in {
        "a.txt": "a format that is not written; expected .jsonl",
        "folder.csv": "no file that could be replaced",
        "none/a.csv": "does not exist",
    }.items():
        with pytest.raises(InputError, match=sentence):
            check_output(tmp_path / name)


def test_a_matrix_is_written_in_parts(tmp_path):
    matrix = np.arange(35_000 * 2, dtype=np.float32).reshape(-1, 2)
    write_matrix(tmp_path / "a.npy", matrix.shape, "float32", chunks(matrix), "writing")
    read = np.load(tmp_path / "a.npy", allow_pickle=False)
    assert read.dtype == np.float32
    assert np.array_equal(read, matrix)


def test_a_matrix_that_fails_is_not_there(tmp_path):
    def parts():
        yield np.zeros((2, 2))
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011
        write_matrix(tmp_path / "a.npy", (4, 2), "float32", parts(), None)
    assert not list(tmp_path.iterdir())


def test_codes_are_checked_to_the_last_row(tmp_path):
    codes = np.zeros((CHUNK_ROWS + 5, 2), dtype=np.int32)
    np.save(tmp_path / "a.npy", codes)
    assert open_codes(tmp_path / "a.npy", (4, 4, 4)).shape == codes.shape
    codes[CHUNK_ROWS + 3, 1] = 4
    np.save(tmp_path / "a.npy", codes)
    with pytest.raises(InputError, match=f"row {CHUNK_ROWS + 3}: level 1 is 4; expected 0 to 3"):
        open_codes(tmp_path / "a.npy", (4, 4, 4))


@pytest.mark.parametrize(
    ("codes", "sentence"),
    [
        (np.zeros((3, 4), dtype=np.int64), "has 4 columns; these artifacts have 3 levels"),
        (np.zeros(3, dtype=np.int64), r"of the shape \(3,\); expected whole numbers"),
        (np.zeros((3, 3)), "holds float64"),
        (np.full((3, 3), -1), "row 0: level 0 is -1"),
        (np.array([[{}]], dtype=object), "not a readable .npy array"),
    ],
)
def test_what_is_no_code_is_refused(tmp_path, codes, sentence):
    np.save(tmp_path / "a.npy", codes, allow_pickle=True)
    with pytest.raises(InputError, match=sentence):
        open_codes(tmp_path / "a.npy", (4, 4, 4))
