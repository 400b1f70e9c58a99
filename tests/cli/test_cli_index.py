"""wotd index: an index of what other commands wrote, and what it answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

CODES = [[2, 3, 0], [2, 3, 1], None, [4, 1, 5], [4, 0, 5], [2, 3, 0]]


@pytest.fixture
def ids(tmp_path: Path) -> Path:
    folder = tmp_path / "ids"
    folder.mkdir()
    for number, rows in enumerate((CODES[:4], CODES[4:])):
        names = [f"{number}.{row}" for row in range(len(rows))]
        pq.write_table(
            pa.table({"id_of_mine": names, "code": pa.array(rows, pa.list_(pa.int64()))}), folder / f"{number}.parquet"
        )
    return folder


def item(number: int, row: int, code: str, name: str | None = None) -> dict:
    return {"source": f"{number}.parquet", "row": row, "name": name, "id": code}


def test_an_index_is_built_and_browsed(shell, ids, tmp_path):
    index = tmp_path / "ids.arrow"
    built = shell("index", "build", "--input", ids, "--output", index, "--name-column", "id_of_mine")
    assert built == (0, "", "")
    assert shell("index", "browse", index, "2-3").rows == [
        {
            "id": "2-3",
            "count": 3,
            "children": [{"id": "2-3-0", "count": 2}, {"id": "2-3-1", "count": 1}],
            "items": [
                item(0, 0, "2-3-0", "0.0"),
                item(1, 1, "2-3-0", "1.1"),
                item(0, 1, "2-3-1", "0.1"),
            ],
        }
    ]
    found = shell("index", "browse", index, "4-*-5", "--items", 1).rows[0]
    assert (found["count"], found["children"], found["items"]) == (2, [], [item(1, 0, "4-0-5", "1.0")])
    assert [child["count"] for child in shell("index", "browse", index).rows[0]["children"]] == [3, 2]
    table = shell("index", "browse", index, "2", "--items", 2, "--format", "table").out
    assert "2-3     3" in table
    assert "2-3-0  0.0" in table
    assert "… and 1 more (--items 3 lists all)" in table


def test_rows_say_their_ids(shell, refused, ids, tmp_path):
    index = tmp_path / "ids.arrow"
    shell("index", "build", "--input", ids, "--output", index)
    assert shell("index", "item", index, 5, 2).rows == [item(1, 1, "2-3-0"), item(0, 2, "")]
    assert "name" not in shell("index", "item", index, 5, "--format", "table").out
    assert "item is 6; the index has the items 0 to 5" in refused("index", "item", index, 6)


def test_codes_of_vectors_are_indexed(shell, tmp_path):
    np.save(tmp_path / "codes.npy", np.array([[1, 2], [0, 3]]))
    shell("index", "build", "--input", tmp_path / "codes.npy", "--output", tmp_path / "index")
    assert shell("index", "browse", tmp_path / "index", "0").rows[0]["children"] == [{"id": "0-3", "count": 1}]


def test_what_cannot_be_indexed_is_a_sentence(refused, ids, tmp_path):
    assert "has no column id; it has" in refused(
        "index", "build", "--input", ids, "--output", tmp_path / "i", "--name-column", "id"
    )
    assert "expected a file in a folder that exists" in refused(
        "index", "build", "--input", ids, "--output", tmp_path / "no" / "i"
    )
    assert "no whole index of IDs" in refused("index", "browse", ids / "0.parquet")
    assert "expected indices, or * for any" in refused("index", "browse", ids / "0.parquet", "x")
