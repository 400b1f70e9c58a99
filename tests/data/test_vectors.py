"""Bad files of vectors are refused in one sentence that names the setting; good ones are mapped."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from wotd.data import vectors as module
from wotd.data.vectors import open_vectors
from wotd.errors import VectorsError

GOOD = np.random.default_rng(0).standard_normal((12, 4)).astype(np.float32)


def saved(path: Path, array) -> Path:
    np.save(path, array)
    return path


def with_row(row: int, value: float, dtype: type = np.float32) -> np.ndarray:
    array = GOOD.astype(dtype)
    array[row] = value
    return array


BAD = {
    "int64": (np.ones((3, 4), np.int64), "holds int64; expected float32 or float16"),
    "float64": (GOOD.astype(np.float64), "holds float64"),
    "complex": (GOOD.astype(np.complex64), "holds complex64"),
    "one dimension": (GOOD[0], r"has the shape \(4,\); expected two dimensions, N×D"),
    "three dimensions": (GOOD[None], r"has the shape \(1, 12, 4\)"),
    "a number": (np.float32(3), r"has the shape \(\)"),
    "no rows": (GOOD[:0], r"has the shape \(0, 4\); expected at least one row"),
    "no columns": (GOOD[:, :0], r"has the shape \(12, 0\)"),
    "NaN": (with_row(7, np.nan), "not finite, first in row 7"),
    "inf": (with_row(11, np.inf), "not finite, first in row 11"),
    "-inf in half precision": (with_row(0, -np.inf, np.float16), "not finite, first in row 0"),
    "zeros": (with_row(5, 0), "a row that is all zeros, first row 5"),
}


@pytest.mark.parametrize(("array", "sentence"), BAD.values(), ids=BAD)
def test_what_is_wrong_with_an_array_is_said(
    array: np.ndarray, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHUNK_ROWS", 5)
    check_refused(saved(tmp_path / "x.npy", array), sentence)


def check_refused(path: Path, sentence: str) -> None:
    with pytest.raises(VectorsError, match=sentence) as caught:
        open_vectors(path)
    message = str(caught.value)
    assert message.startswith("data.vectors ")
    assert message.endswith(".")
    assert "\n" not in message


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    check_refused(tmp_path / "none.npy", "none.npy, which is not a file")
    check_refused(tmp_path, "which is not a file")


def test_an_array_of_objects_is_refused_and_not_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    check_refused(saved(tmp_path / "x.npy", np.array([Trap()], dtype=object)), "not a readable .npy array")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("kept", [0, 7, 100, 200])
def test_a_truncated_file(kept: int, tmp_path: Path) -> None:
    whole = saved(tmp_path / "x.npy", GOOD).read_bytes()
    assert len(whole) == 128 + GOOD.nbytes
    (tmp_path / "x.npy").write_bytes(whole[:kept])
    check_refused(tmp_path / "x.npy", "x.npy, which is not a readable .npy array")


def test_no_npy_file_at_all(tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_text("text,author\n")
    check_refused(tmp_path / "x.npy", "not a readable .npy array")
    np.savez(tmp_path / "x.npz", a=GOOD, b=GOOD)
    check_refused(tmp_path / "x.npz", "has the shape several arrays")


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 4)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4, None)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 1000000000000000000000)}",
        "(" * 5000,
        "-" * 5000 + "1",
    ],
)
def test_headers_that_lie(header: str, tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(
        b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header.encode() + b"\0" * 64
    )
    check_refused(tmp_path / "x.npy", "not a readable .npy array")


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_good_vectors_are_mapped_as_they_are(dtype: type, tmp_path: Path) -> None:
    opened = open_vectors(saved(tmp_path / "x.npy", GOOD.astype(dtype)))
    assert isinstance(opened, np.memmap)
    assert opened.dtype == dtype
    np.testing.assert_array_equal(opened, GOOD.astype(dtype))


@pytest.mark.parametrize("scale", [1e30, 1e-30])
def test_large_and_small_numbers_are_neither_infinite_nor_zero(scale: float, tmp_path: Path) -> None:
    opened = open_vectors(saved(tmp_path / "x.npy", np.full((3, 4), scale, np.float32)))
    np.testing.assert_array_equal(opened, np.full((3, 4), scale, np.float32))


def test_the_caller_names_the_argument_and_the_length(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.npy", GOOD)
    assert open_vectors(path, dimension=4).shape == (12, 4)
    sentence = re.escape("--vectors has vectors of length 4; these artifacts expect 384.")
    with pytest.raises(VectorsError, match=sentence):
        open_vectors(path, argument="--vectors", dimension=384)
