"""Encoding and decoding from the shell gives what the Python model gives, in every format."""

from __future__ import annotations

import csv
import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from wotd import SemanticIDModel

pytest_plugins = ["artifact_fixtures"]

TEXTS = ["the curtain of a dagger", "rose and lark", "the rocket in orbit"]


@pytest.fixture(scope="module")
def model(text_artifacts):
    return SemanticIDModel.load(text_artifacts)


@pytest.fixture(scope="module")
def expected(model):
    return [entry.to_mapping() for entry in model.encode(TEXTS)]


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    path = tmp_path_factory.mktemp("vectors") / "x.npy"
    np.save(path, np.random.default_rng(1).normal(size=(500, 12)).astype(np.float16))
    return path


def test_a_pipe_gets_the_fields_of_the_python_results_and_the_text(shell, text_artifacts, expected):
    rows = [{"text": text} | entry for text, entry in zip(TEXTS, expected, strict=True)]
    assert shell("encode", "--artifacts", text_artifacts, *TEXTS).rows == rows
    stdin = "\n".join(TEXTS).encode() + b"\n\n"
    assert shell("encode", "--artifacts", text_artifacts, stdin=stdin).rows == rows
    said = shell("encode", "--artifacts", text_artifacts, "--format", "json", *TEXTS)
    assert json.loads(said.out) == rows


def test_one_text_gets_the_same_code_in_any_company(shell, text_artifacts, expected):
    alone = [shell("encode", "--artifacts", text_artifacts, text).rows[0]["id"] for text in TEXTS]
    assert alone == [entry["id"] for entry in expected]


def test_a_table_shows_ids_names_and_no_escapes(shell, text_artifacts, expected, monkeypatch):
    hostile = "\x1b[31mred\x1b[0m [bold]rose[/bold] :smile:"
    for columns in (None, "80"):
        if columns:
            monkeypatch.setenv("COLUMNS", columns)
        said = shell("encode", "--artifacts", text_artifacts, "--format", "table", *TEXTS, hostile)
        assert said.status == 0
        assert "\x1b" not in said.out
        assert columns or "[bold]rose[/bold] :smile:" in said.out
        assert all(entry["id"] in said.out.split() for entry in expected), "never cut or folded"
        assert expected[0]["names"][0] in said.out
        assert not columns or max(map(len, said.out.splitlines())) <= 80


def test_unsure_levels_are_cut(shell, text_artifacts, model):
    said = shell("encode", "--artifacts", text_artifacts, "--min-confidence", "0.9", TEXTS[1])
    assert said.rows[0]["id"] == model.encode(TEXTS[1], min_confidence=0.9)[0].id
    said = shell("encode", "--artifacts", text_artifacts, "--min-confidence", "1", "--format", "table", "zzz")
    assert said.status == 0


def test_files_keep_their_fields(shell, text_artifacts, expected, tmp_path):
    rows = [{"id": f"row {n}", "text": text, "tags": ["a", n]} for n, text in enumerate(TEXTS)]
    rows = [{**row, "tags": [str(tag) for tag in row["tags"]]} for row in rows]
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    wanted = [
        {"input_id": row["id"], "text": row["text"], "tags": row["tags"]} | entry
        for row, entry in zip(rows, expected, strict=True)
    ]
    for name in ("out.jsonl", "out.parquet", "out.csv"):
        said = shell("encode", "--artifacts", text_artifacts, "--input", source, "--output", tmp_path / name)
        assert said == (0, "", "")
    assert [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()] == wanted
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == wanted
    with (tmp_path / "out.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert list(read[0]) == list(wanted[0])
    assert [row["id"] for row in read] == [entry["id"] for entry in expected]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.csv", "out.jsonl", "out.parquet"]


def test_outputs_are_inputs(shell, text_artifacts, tmp_path):
    first, second = tmp_path / "a.parquet", tmp_path / "b.parquet"
    assert shell("encode", "--artifacts", text_artifacts, *TEXTS, "--output", first).status == 0
    assert shell("encode", "--artifacts", text_artifacts, "--input", first, "--output", second).status == 0
    assert "input_code" in pq.read_table(second).column_names
    said = shell("encode", "--artifacts", text_artifacts, "--input", second, "--output", second)
    assert said.status == 1
    assert "both 'code' and 'input_code'" in said.err


@pytest.mark.parametrize(
    ("stdin", "sentence"),
    [
        (b"one\n\ntwo\n", "stdin line 2 is blank; expected one text a line"),
        (b"one\n\xff\xfe\n", "stdin line 2: byte 0xff is not UTF-8"),
        (b"a" * (17 * 1024 * 1024), "stdin line 1: the text has 17825792 characters; at most"),
    ],
)
def test_bad_stdin_is_one_sentence(refused, text_artifacts, stdin, sentence):
    assert sentence in refused("encode", "--artifacts", text_artifacts, stdin=stdin)


def test_bad_arguments_are_one_sentence(refused, text_artifacts, tmp_path):
    assert "argument 1: the text is empty" in refused("encode", "--artifacts", text_artifacts, "")
    assert "lone surrogate" in refused("encode", "--artifacts", text_artifacts, "\udc80")
    sentence = refused("encode", "--artifacts", text_artifacts, "x", "--output", tmp_path / "no" / "a.csv")
    assert "does not exist" in sentence
    assert "--device is moon" in refused("encode", "--artifacts", text_artifacts, "x", "--device", "moon", status=2)


def test_a_text_of_ten_megabytes_works(shell, text_artifacts):
    said = shell("encode", "--artifacts", text_artifacts, stdin=b"a rose and a lark " * 600_000 + b"\n")
    assert said.status == 0
    assert said.rows[0]["names"][0] == "poetic"


def test_no_texts_give_no_rows(shell, text_artifacts, tmp_path):
    assert shell("encode", "--artifacts", text_artifacts) == (0, "", "")
    assert shell("encode", "--artifacts", text_artifacts, "--output", tmp_path / "a.parquet").status == 0
    assert pq.read_table(tmp_path / "a.parquet").num_rows == 0


def test_vectors_to_codes_and_back(shell, vector_artifacts, vectors, tmp_path):
    codes, decoded = tmp_path / "codes.npy", tmp_path / "decoded.npy"
    assert shell("encode", "--artifacts", vector_artifacts, "--vectors", vectors, "--output", codes) == (0, "", "")
    model = SemanticIDModel.load(vector_artifacts)
    expected = model.encode_vectors(np.load(vectors))
    assert np.load(codes).dtype == np.int64
    assert np.array_equal(np.load(codes), expected)
    assert shell("decode", "--artifacts", vector_artifacts, "--codes", codes, "--output", decoded) == (0, "", "")
    assert np.load(decoded).dtype == np.float32
    assert np.array_equal(np.load(decoded), model.decode(expected))
    np.save(codes, expected[:, :1])
    assert shell("decode", "--artifacts", vector_artifacts, "--codes", codes, "--output", decoded).status == 0
    assert np.array_equal(np.load(decoded), model.decode(expected[:, :1]))


def test_vectors_that_do_not_fit_are_refused(refused, vector_artifacts, tmp_path):
    np.save(tmp_path / "x.npy", np.ones((3, 7), dtype=np.float32))
    arguments = ["encode", "--artifacts", vector_artifacts, "--vectors", tmp_path / "x.npy", "--output"]
    assert "vectors of length 7; these artifacts expect 12" in refused(*arguments, tmp_path / "c.npy")
    assert "expected .npy" in refused(*arguments, tmp_path / "c.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]


def test_artifacts_of_vectors_refuse_texts(refused, vector_artifacts):
    sentence = refused("encode", "--artifacts", vector_artifacts, "text")
    assert "was trained on vectors alone and knows no embedding model" in sentence
