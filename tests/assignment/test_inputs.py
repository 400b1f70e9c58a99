"""Files as tables of so many rows, from any piece on."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wotd.assignment.inputs import Piece, input_file
from wotd.errors import InputError, VectorsError, WOTDError
from wotd.hub.folders import open_folder

ROWS = [{"n": number, "text": f'{"so" * (number % 5)} "{number}",\nñ'} for number in range(50)]
FLAT = [{"text": f"text {number}"} for number in range(50)]
X = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)


def write(folder, name, rows=ROWS):
    path = folder / name
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    plain = name.removesuffix(".gz")
    if plain.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=11)
        return
    if plain.endswith(".npy"):
        np.save(path, X)
        return
    if plain.endswith(".csv"):
        cells = ['"{}"'.format(row["text"].replace('"', '""')) for row in rows]
        lines = "n,text\r\n" + "".join(f"{row['n']},{cell}\r\n" for row, cell in zip(rows, cells, strict=True))
    if plain.endswith(".txt"):
        lines = "\ufeff" + "\r\n".join(row["text"] for row in FLAT)
    data = lines.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)


def read(folder, name, model, rows=None, vector_column=None):
    file = input_file(open_folder(folder, "--input"), name, "text", vector_column)
    survey = file.survey(rows, model.artifacts)
    return survey, [list(file.windows(piece, survey.schema)) for piece in survey.pieces]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.csv", "a.csv.gz", "a.txt", "a.parquet", "a.npy"])
def test_pieces_together_are_the_whole(tmp_path, small_windows, by_vector, name):
    write(tmp_path, name)
    _, [whole] = read(tmp_path, name, by_vector)
    survey, pieces = read(tmp_path, name, by_vector, rows=16)
    assert survey.rows == 50
    assert [sum(len(window.table) for window in piece) for piece in pieces] == [16, 16, 16, 2]
    assert [len(window.table) for window in whole] == [8] * 6 + [2]
    windows = [window for piece in pieces for window in piece]
    assert len(windows) == len(whole)
    for mine, theirs in zip(windows, whole, strict=True):
        assert mine.table.equals(theirs.table)
        assert [mine.place(row) for row in range(len(mine.table))] == [
            theirs.place(row) for row in range(len(mine.table))
        ]
    rows = pa.concat_tables(window.table for window in whole).to_pylist()
    if name == "a.npy":
        assert np.array_equal([row["vector"] for row in rows], X)
    elif name == "a.txt":
        assert rows == FLAT
    else:
        assert [row["text"] for row in rows] == [row["text"] for row in ROWS]
        assert [int(row["n"]) for row in rows] == list(range(50))


def test_places_are_those_of_the_file(tmp_path, small_windows, by_vector):
    (tmp_path / "a.jsonl").write_text("\n" + '{"text": "x"}\n\n' * 20)
    _, pieces = read(tmp_path, "a.jsonl", by_vector, rows=8)
    assert pieces[1][0].place(0) == "a.jsonl line 18"
    write(tmp_path, "a.parquet")
    _, pieces = read(tmp_path, "a.parquet", by_vector, rows=16)
    assert pieces[1][1].place(2) == "a.parquet row 27"


def test_fields_that_come_late_are_known_from_the_start(tmp_path, small_windows, by_vector):
    rows = [*({"text": "x", "n": 1} for _ in range(20)), {"text": "y", "n": 2.5, "new": [1]}]
    write(tmp_path, "a.jsonl", rows)
    survey, [windows] = read(tmp_path, "a.jsonl", by_vector)
    assert survey.schema.field("n").type == pa.float64()
    assert [window.table.schema for window in windows] == [survey.schema] * 3
    assert windows[2].table.to_pylist()[-1] == rows[-1]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.jsonl", b'{"text": "x"}\n{"body": "x"}\n', r"a\.jsonl line 2 has no field 'text' \(its fields: body\)"),
        ("a.jsonl", b'{"text": "x"}\nno\n', r"a\.jsonl line 2 is a line that is not a JSON object"),
        ("a.txt", b"one\n\ntwo\n", r"a\.txt line 2 is blank"),
        ("a.jsonl.gz", b"no gzip", r"a\.jsonl\.gz cannot be decompressed"),
        # Without the clock, which would stand in the test's name and differ between processes.
        ("a.jsonl.gz", gzip.compress(b'{"text": "x"}\n' * 99, mtime=0)[:-12], r"a\.jsonl\.gz cannot be decompressed"),
        ("a.parquet", b"no parquet", r"a\.parquet cannot be read as Parquet"),
        ("a.npy", b"\x93NUMPY\x01\x00\x08\x00{'descr'", r"a\.npy is not a readable \.npy array of plain numbers"),
        ("a.npy", b"no numpy", r"a\.npy is not a readable \.npy array of plain numbers"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, by_vector, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WOTDError, match=sentence):
        read(tmp_path, name, by_vector)


def test_matrices_of_other_kinds_are_refused(tmp_path, by_vector):
    for number, array in enumerate((X[:, :5], X.astype(np.float64), X[0], X[:0], np.asfortranarray(X))):
        np.save(tmp_path / f"{number}.npy", array)
        with pytest.raises(VectorsError, match=r"expected float32 or float16, N×D, row by row|artifacts expect 6"):
            read(tmp_path, f"{number}.npy", by_vector)
    np.save(tmp_path / "o.npy", np.array([[{}]]), allow_pickle=True)
    with pytest.raises(VectorsError, match=r"o\.npy holds object of the shape"):
        read(tmp_path, "o.npy", by_vector)
    np.save(tmp_path / "cut.npy", X)
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cut.npy").read_bytes()[:-7])
    with pytest.raises(VectorsError, match=r"cut\.npy is said to have 50 rows, but ends after 49\."):
        read(tmp_path, "cut.npy", by_vector)


def test_columns_that_are_not_there_are_named(tmp_path, by_vector):
    write(tmp_path, "a.parquet")
    with pytest.raises(InputError, match=r"has no field 'v' \(its fields: n, text\); --vector-column names another"):
        read(tmp_path, "a.parquet", by_vector, vector_column="v")
    with pytest.raises(InputError, match=r"a\.jsonl, a format that is not read; expected \.parquet, \.npy"):
        input_file(open_folder(tmp_path, "--input"), "a.jsonl", "text", "v")
    with pytest.raises(InputError, match=r"a\.md, a format that is not read"):
        input_file(open_folder(tmp_path, "--input"), "a.md", "text", None)


def test_a_piece_of_a_parquet_file_reads_its_row_groups_alone(tmp_path, small_windows, by_vector):
    write(tmp_path, "a.parquet")
    file = input_file(open_folder(tmp_path, "--input"), "a.parquet", "text", None)
    data = bytearray((tmp_path / "a.parquet").read_bytes())
    data[4:40] = bytes(36)  # the first row group is damaged
    (tmp_path / "a.parquet").write_bytes(data)
    (window,) = file.windows(Piece(24, 8), pa.schema([]))
    assert window.table["n"].to_pylist() == list(range(24, 32))
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        list(file.windows(Piece(0, 8), pa.schema([])))


def test_a_text_that_is_none_is_named_before_any_row_is_embedded(tmp_path, by_text):
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n{"text": null}\n{"text": 5}\n')
    file = input_file(open_folder(tmp_path, "--input"), "a.jsonl", "text", None)
    with pytest.raises(InputError, match=r"^a\.jsonl line 3: the text is a int; expected a string\.$"):
        file.survey(None, by_text.artifacts)


def test_other_fields_of_several_types_are_named(tmp_path, by_text):
    (tmp_path / "a.jsonl").write_text('{"text": "one", "n": "x"}\n{"text": "two", "n": [5]}\n')
    file = input_file(open_folder(tmp_path, "--input"), "a.jsonl", "text", None)
    with pytest.raises(InputError, match=r"^a\.jsonl: the field 'n' holds values of several types, which no column"):
        file.survey(None, by_text.artifacts)
