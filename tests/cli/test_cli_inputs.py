"""Reading texts: every format as a stream, every bad place named."""

from __future__ import annotations

import datetime
import io
import json
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wotd.assignment.schemas import schema_of
from wotd.cli.inputs import Lines, file_source, text_source
from wotd.errors import InputError

lines = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\ufeff"), min_size=1).filter(
    lambda text: text.strip()
)


def not_utf_8() -> bytes:
    """A table of a text that is none."""
    words = pa.Array.from_buffers(pa.string(), 1, pa.array([b"keeper\x80"], pa.binary()).buffers())
    pq.write_table(pa.table({"text": words}), file := io.BytesIO())
    return file.getvalue()


def texts_of(path, column="text"):
    return [text for text, _ in file_source(path, column).texts()]


@given(st.lists(lines), st.sampled_from(["\n", "\r\n"]), st.integers(0, 3))
def test_lines_come_back_as_they_were(texts, end, blank_at_the_end):
    written = "".join(text + end for text in texts) + end * blank_at_the_end
    source = Lines(None)
    assert [record.fields["text"] for record in source._read(io.BytesIO(written.encode()))] == texts


def test_a_last_line_needs_no_end_and_a_first_one_no_mark(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\ntwo")
    assert texts_of(tmp_path / "a.txt") == ["one", "two"]


def test_every_format_gives_the_same(tmp_path):
    rows = [{"id": "a", "text": 'one, "two"'}, {"id": "b", "text": "three é"}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "a.csv").write_text('id,text\na,"one, ""two"""\nb,three é\n', encoding="utf-8")
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    for suffix in ("jsonl", "csv", "parquet"):
        source = file_source(tmp_path / f"a.{suffix}")
        assert [dict(fields) for _, fields in source.texts()] == rows
        assert source.schema() == pa.schema([("id", pa.string()), ("text", pa.string())])
        assert list(source.texts()) == list(source.texts()), "read again from the start"


def test_a_text_column_of_another_name(tmp_path):
    (tmp_path / "a.csv").write_text("body\nhello\n")
    assert texts_of(tmp_path / "a.csv", "body") == ["hello"]
    with pytest.raises(InputError, match=r"a\.csv row 1 has no field 'text' \(its fields: body\); --text-column"):
        texts_of(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.txt", b"one\n \ntwo\n", r"a\.txt line 2 is blank"),
        ("a.txt", b"one\nt\xffo\n", r"a\.txt line 2: byte 0xff is not UTF-8"),
        ("a.jsonl", b'{"text": "one"}\n\n{"text": ""}\n', r"a\.jsonl line 3: the text is empty"),
        ("a.jsonl", b'{"text": "one"}\n{"text": 7}\n', r"a\.jsonl line 2: the text is a int; expected a string"),
        ("a.jsonl", b'{"text": "one"}\n["two"]\n', r"a\.jsonl line 2 is a line that is not a JSON object"),
        ("a.csv", b"text,id\none,1\ntwo\n", r"a\.csv row 2 is a row that does not fit the CSV header"),
        ("a.parquet", b"PAR1 and nothing else", r"a\.parquet cannot be read as Parquet"),
        ("a.parquet", not_utf_8(), r"a\.parquet cannot be read as Parquet: 'utf-8' codec can't decode"),
        ("a.npy", b"", r"a format that is not read \(vectors are given with --vectors\)"),
        ("a.docx", b"", r"a format that is not read; expected \.txt, \.jsonl"),
    ],
)
def test_a_bad_place_is_named(tmp_path, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        texts_of(tmp_path / name)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.jsonl, which is not a file"):
        file_source(tmp_path / "none.jsonl")


def test_a_dash_means_stdin(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"piped\n")))
    assert [text for text, _ in text_source(["-"], None).texts()] == ["piped"]
    assert [text for text, _ in text_source(["given"], None).texts()] == ["given"]


def test_a_schema_unites_rows_of_different_fields():
    rows = [{"a": 1}, {"a": 2.5, "b": None}, {"c": ["x"]}, {"b": None}]
    expected = [("a", pa.float64()), ("b", pa.string()), ("c", pa.list_(pa.string()))]
    assert schema_of(rows, "rows") == pa.schema(expected)
    many = [{"a": None}] * 3000 + [{"a": datetime.date(1847, 1, 1)}]
    assert schema_of(many, "rows") == pa.schema([("a", pa.date32())])


@pytest.mark.parametrize("values", [[1, "x"], [*[1] * 2000, "x"], [2**70], [{"a": 1}, [1]]])
def test_types_that_no_column_holds_are_refused(values):
    with pytest.raises(InputError, match="rows: the field 'a' holds values of several types"):
        schema_of([{"a": value} for value in values], "rows")
