"""A table in, the same table with IDs out."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from wotd.assignment.batches import Assigner, Choices
from wotd.assignment.vectors import bad_row, check_origin
from wotd.errors import EmbeddingError, InputError, VectorsError


def of_texts(model, table, **choices):
    return Assigner(model, Choices(**choices)).assign(table, choices.get("text_column", "text"), vectors=False)


def of_vectors(model, column, **choices):
    rows = pa.table({"n": range(len(column)), "v": column})
    return Assigner(model, Choices(vector_column="v", **choices)).assign(rows, "v", vectors=True)


def fixed(vectors, mask=None):
    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1], mask=mask)


@pytest.mark.parametrize("min_confidence", [None, 0.5, 1.0])
def test_columns_say_what_the_model_says(by_text, texts, min_confidence):
    table = pa.table({"n": range(len(texts)), "text": texts})
    assigned = of_texts(by_text, table, min_confidence=min_confidence)
    expected = by_text.encode_embedded(by_text.embed(texts), texts)
    assert assigned.column_names[:2] == ["n", "text"]
    ours = assigned.drop_columns(["n", "text"]).to_pylist()
    assert ours == [each.confident(min_confidence).to_mapping() for each in expected]
    lengths = {len(row["code"]) for row in ours}
    assert lengths == ({2} if min_confidence is None else lengths)
    assert min_confidence != 1.0 or min(lengths) == 0


def test_the_input_goes_on_as_it_is(by_text):
    table = pa.table(
        {
            "id": pa.array([7, 8], pa.int16()),
            "body": ["the cold sea", "the wind"],
            "tags": pa.array(["a", "b"]).dictionary_encode(),
        }
    )
    assigned = of_texts(by_text, table, text_column="body", drop_texts=True)
    assert assigned.column_names[:2] == ["input_id", "tags"]
    assert assigned["input_id"].equals(table["id"])
    assert assigned["tags"].equals(table["tags"])
    with pytest.raises(InputError, match="the input has both 'id' and 'input_id'"):
        of_texts(by_text, table.append_column("input_id", [["x", "y"]]), text_column="body")


def test_rows_without_a_text_get_nulls(by_text):
    table = pa.table({"text": [None, "the sea", " ", "the wind", ""]})
    assigned = of_texts(by_text, table)
    whole = of_texts(by_text, table.take([1, 3]))
    assert [row["id"] is None for row in assigned.to_pylist()] == [True, False, True, False, True]
    assert assigned.take([1, 3]).equals(whole)
    assert all(value is None for name, value in assigned.to_pylist()[0].items() if name != "text")
    assert of_texts(by_text, table.slice(0, 1))["code"].null_count == 1
    assert of_texts(by_text, table.slice(0, 0)).schema == whole.schema


def test_what_is_no_text_names_its_place(by_text):
    table = pa.table({"text": [None, 3]})
    with pytest.raises(InputError, match=r"^row 1: the text is a int; expected a string\.$"):
        Assigner(by_text, Choices()).assign(table, "text", vectors=False, place="row {}".format)

    broken = pa.array([b"so", b"\xff"]).view(pa.string())
    with pytest.raises(InputError, match=r"^a text from row 0 on is not UTF-8"):
        Assigner(by_text, Choices()).assign(pa.table({"text": broken}), "text", vectors=False, place="row {}".format)


def test_vectors_get_the_codes_of_the_model(by_vector, vectors):
    expected = by_vector.encode_vectors(vectors).tolist()
    columns = [
        fixed(vectors),
        fixed(vectors.astype(np.float16)),
        pa.array(vectors.tolist(), pa.list_(pa.float32())),
        pa.array(vectors.tolist(), pa.large_list(pa.float32())),
        pa.chunked_array([fixed(vectors[:11]), fixed(vectors[11:])]),
        fixed(np.concatenate([vectors[:3], vectors])).slice(3),
    ]
    for column in columns:
        assigned = of_vectors(by_vector, column)
        half = pa.types.is_float16(column.type.value_type)
        codes = by_vector.encode_vectors(vectors.astype(np.float16)).tolist() if half else expected
        assert assigned["code"].to_pylist() == codes
        assert assigned.column_names == ["n", "code", "id", "names"]
    assert assigned["id"].to_pylist() == ["-".join(map(str, code)) for code in expected]


def test_numbers_too_large_or_small_for_a_square_are_no_fault_of_a_row():
    rows = np.array([[1e30] * 6, [1e-30] * 6, [1.0] * 6], np.float32)
    assert bad_row(rows) is None
    assert bad_row(np.concatenate([rows, np.zeros((1, 6), np.float32)])) == (3, "all zeros")
    assert bad_row(np.concatenate([rows, np.full((1, 6), np.inf, np.float32)])) == (3, "not of finite numbers")


@pytest.mark.filterwarnings("error")
def test_rows_that_may_not_be_written_are_read_in_peace(by_vector, vectors):
    still = vectors.copy()
    still.setflags(write=False)
    assert np.array_equal(by_vector.encode_rows(still).codes, by_vector.encode_vectors(vectors))


def test_vectors_say_how_sure_they_are_if_asked(by_vector, vectors):
    rows = by_vector.encode_rows(vectors)
    assigned = of_vectors(by_vector, fixed(vectors), confidence=True)
    assert assigned["confidence"].to_pylist() == rows.confidence.tolist()
    assert assigned["error"].to_pylist() == rows.error.tolist()
    assert assigned["out_of_domain"].to_pylist() == rows.out_of_domain.tolist()
    assert assigned["code"].to_pylist() == rows.codes.tolist()
    assert "facts" not in assigned.column_names
    short = of_vectors(by_vector, fixed(vectors), min_confidence=0.4)
    depths = [len(code) for code in short["code"].to_pylist()]
    assert depths == [next((n for n, sure in enumerate(row) if sure < 0.4), 3) for row in rows.confidence.tolist()]
    assert len(set(depths)) > 1


def test_a_row_alone_says_what_it_says_among_others(by_vector, vectors):
    whole = of_vectors(by_vector, fixed(vectors), confidence=True).drop_columns("n")
    for row in (0, 13, 29):
        alone = of_vectors(by_vector, fixed(vectors[row : row + 1]), confidence=True).drop_columns("n")
        assert alone.equals(whole.slice(row, 1))


def test_rows_without_a_vector_get_nulls(by_vector, vectors):
    mask = np.zeros(len(vectors), bool)
    mask[[0, 7, 29]] = True
    assigned = of_vectors(by_vector, fixed(vectors, pa.array(mask)))
    assert np.flatnonzero(assigned["code"].is_null()).tolist() == [0, 7, 29]
    expected = by_vector.encode_vectors(vectors[~mask]).tolist()
    assert [code for code in assigned["code"].to_pylist() if code is not None] == expected
    lists = pa.array(
        [None if gone else row for gone, row in zip(mask, vectors.tolist(), strict=True)], pa.list_(pa.float32())
    )
    assert of_vectors(by_vector, lists).equals(assigned)
    assert of_vectors(by_vector, lists.slice(0, 1))["code"].null_count == 1


@pytest.mark.parametrize(
    ("column", "sentence"),
    [
        (fixed(np.ones((2, 5), np.float32)), "vectors of length 5; these artifacts expect 6"),
        (pa.array([[1.0] * 5] * 2, pa.list_(pa.float32())), "lists of 5 to 5 numbers; expected 6 in each"),
        (pa.array([[1.0] * 6] * 2, pa.list_(pa.float64())), "expected lists of float32 or float16"),
        (pa.array([1.0, 2.0]), "expected lists of float32 or float16"),
        (pa.array([[1.0] * 5 + [None]] * 2, pa.list_(pa.float32())), "a list with gaps"),
        (fixed(np.array([[1.0] * 6, [np.nan] * 6], np.float32)), "^1 is not of finite numbers"),
        (fixed(np.array([[1.0] * 6, [0.0] * 6], np.float32)), "^1 is all zeros"),
    ],
)
def test_what_is_no_vector_is_refused(by_vector, column, sentence):
    with pytest.raises(VectorsError, match=sentence):
        of_vectors(by_vector, column)


def test_vectors_of_another_model_are_refused(by_text, by_vector, caplog):
    ours = by_text.artifacts.fingerprint

    def metadata(fingerprint):
        return {b"wotd.fingerprint": json.dumps(fingerprint.to_mapping()).encode()}

    check_origin(metadata(ours), by_text.artifacts, "E.parquet")
    check_origin(None, by_text.artifacts, "E.parquet")
    assert not caplog.records
    with pytest.raises(EmbeddingError, match=r"^E\.parquet holds vectors of tiny, .* another model: prompt: 'x' here"):
        check_origin(metadata(replace(ours, prompt="x")), by_text.artifacts, "E.parquet")
    with pytest.raises(EmbeddingError, match="in a form that cannot be read"):
        check_origin({b"wotd.fingerprint": b"{"}, by_text.artifacts, "E.parquet")
    check_origin(metadata(replace(ours, precision="float16")), by_text.artifacts, "E.parquet")
    assert "computed by torch float16, those of the artifacts were by torch float32" in caplog.text
