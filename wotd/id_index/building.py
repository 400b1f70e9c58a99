"""Making an index of IDs out of tables of codes, however large: read part by part, sorted in files that are mapped.

What is held in memory is a part of the rows at a time. On disk, beside the target, building takes some
30 bytes a row while it lasts, and the names of rows where they are kept.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from wotd.errors import InputError
from wotd.id_index.code_groups import NO_CODE, CodeGroups, Whole, narrowest
from wotd.id_index.mapped import METADATA, SCHEMA, IDIndex
from wotd.progress import progress
from wotd.replacing import working_folder

_ROWS = 1 << 17
"""Rows that are read at a time."""

_MAX_LEVELS, _MAX_INDEX = 64, 999_999_999
"""What the text form of an ID can say."""

_RAISED = np.dtype(np.uint32)
"""Indices as they are collected: one more than they are, so that 0, which files begin as, is none."""


def build_id_index(
    source: str | Path, target: str | Path, *, code_column: str = "code", name_column: str | None = None
) -> IDIndex:
    """Index the codes of a table, and open what was made.

    Rows without a code, or with one shortened to nothing, have no ID.

    Args:
        source: a Parquet file, or a folder searched for them, whose codes are lists of whole numbers; an artifact
            folder, for its passages; or an integer N×L ``.npy``.
        target: the file to make; one that stands there is replaced when all is done.
        code_column: where the codes are.
        name_column: what rows are called, kept in the index; None: nothing is kept.

    Raises:
        InputError: if there are no codes, or they cannot be read.
    """
    place = Path(os.path.realpath(Path(target).expanduser()))
    if not place.parent.is_dir() or place.is_dir():
        raise InputError(f"target is {target}; expected a file in a folder that exists.")
    root, files = _found(Path(source).expanduser(), name_column)
    for file in files:
        _check_name(file)
    if place in (Path(os.path.realpath(file)) for file in files):
        raise InputError(f"target is {target}, which is read, too; expected another file than those of source.")
    try:
        _build(source, place, root, files, code_column, name_column)
    except OSError as error:
        raise InputError(f"target is {target}, which cannot be made: {error.strerror or error}.") from error
    return IDIndex.open(place)


def _build(
    source: str | Path, target: Path, root: Path, files: list[Path], code_column: str, name_column: str | None
) -> None:
    with working_folder(target) as folder:
        collected = _Collected(folder)
        sources: dict[str, int] = {}
        with progress("reading codes", None, "rows") as advance:
            for file in files:
                before = collected.rows
                for codes, names in _parts(file, code_column, name_column):
                    collected.add(codes, names)
                    advance(len(codes))
                sources[file.relative_to(root).as_posix()] = collected.rows - before
        if not collected.with_id:
            raise InputError(f"source is {source}, where no row has an ID; there is nothing to index.")
        made = folder / "index"
        _write(made, sources, collected.groups(), collected.names())
        made.replace(target)


class _Collected:
    """Codes and names of rows, in files of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.rows = self.with_id = 0
        self._levels: list[Path] = []
        self._named = 0

    def add(self, raised_nL: NDArray[Whole], names: pa.LargeStringArray | None) -> None:
        """Take the rows that follow: their indices, each raised by one and 0 for none, and their names."""
        for level in range(raised_nL.shape[1]):
            if level == len(self._levels):
                self._levels.append(self._folder / f"raised_{level}")
                self._levels[level].touch()
            with self._levels[level].open("r+b") as file:
                file.seek(self.rows * _RAISED.itemsize)  # rows before that have no such level are a hole: zeros
                file.write(np.ascontiguousarray(raised_nL[:, level], dtype=_RAISED).data)
        if names is not None:
            self._add_names(names)
        self.rows += len(raised_nL)
        self.with_id += int(np.count_nonzero(raised_nL[:, 0])) if raised_nL.shape[1] else 0

    def _add_names(self, names: pa.LargeStringArray) -> None:
        _, ends, letters = names.buffers()
        offsets = np.frombuffer(ends, dtype=np.int64)[names.offset : names.offset + len(names) + 1]
        with (self._folder / "ends").open("ab") as file:
            if not file.tell():
                file.write(np.zeros(1, dtype=np.int64).data)
            file.write((offsets[1:] - offsets[0] + self._named).data)
        with (self._folder / "letters").open("ab") as file:
            if letters is not None:
                file.write(memoryview(letters)[offsets[0] : offsets[-1]])
        self._named += int(offsets[-1] - offsets[0])

    def groups(self) -> CodeGroups:
        """All rows by code."""
        levels = [self._lowered(level) for level in range(len(self._levels))]
        return CodeGroups.grouped(levels, self._allocate)

    def _lowered(self, level: int) -> NDArray[Whole]:
        """The indices of a level as they are, in the narrowest type."""
        with self._levels[level].open("r+b") as file:
            _take_room(file, self.rows * _RAISED.itemsize)
        raised_N = np.memmap(self._levels[level], _RAISED, mode="r")
        parts = [slice(start, start + _ROWS) for start in range(0, self.rows, _ROWS)]
        least = min(int(raised_N[part].min()) for part in parts) + NO_CODE
        most = max(int(raised_N[part].max()) for part in parts) + NO_CODE
        level_N = self._allocate(f"indices_{level}", self.rows, narrowest(least, most))
        for part in parts:
            level_N[part] = raised_N[part].astype(np.int64) + NO_CODE
        del raised_N
        self._levels[level].unlink()
        return level_N

    def _allocate(self, name: str, length: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        with (self._folder / name).open("xb") as file:
            _take_room(file, length * dtype.itemsize)
        return np.memmap(self._folder / name, dtype, mode="r+", shape=(length,))

    def names(self) -> pa.LargeStringArray | None:
        """The names of all rows; None where none were given."""
        if not (self._folder / "ends").exists():
            return None
        letters = np.memmap(self._folder / "letters", np.uint8, mode="r") if self._named else np.zeros(0, np.uint8)
        buffers = [None, pa.py_buffer(np.memmap(self._folder / "ends", np.int64, mode="r")), pa.py_buffer(letters)]
        return pa.Array.from_buffers(pa.large_string(), self.rows, buffers)


def _take_room(file: BinaryIO, size: int) -> None:
    """Make a file so long, with no hole in it: where a map meets a full disk, the system kills the process."""
    file.truncate(size)
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)


def _write(path: Path, sources: dict[str, int], groups: CodeGroups, names: pa.LargeStringArray | None) -> None:
    levels = {f"level_{level}": level_C for level, level_C in enumerate(groups.levels)}
    arrays = {**levels, "starts": groups.starts, "rows": groups.rows, "places": groups.places}
    columns = {name: _one_list(_mapped(array)) for name, array in arrays.items()}
    if names is not None:
        columns["names"] = _one_list(names)
    metadata = json.dumps({"schema": SCHEMA, "sources": sources}, ensure_ascii=False)
    fields = [pa.field(name, column.type, nullable=False) for name, column in columns.items()]
    schema = pa.schema(fields, metadata={METADATA: metadata.encode()})
    batch = pa.RecordBatch.from_arrays(list(columns.values()), schema=schema)
    with path.open("xb") as file:
        with pa.ipc.new_file(file, schema) as writer:
            writer.write_batch(batch)
        file.flush()
        os.fsync(file.fileno())


def _mapped(array: NDArray[Whole]) -> pa.Array:
    return pa.Array.from_buffers(pa.from_numpy_dtype(array.dtype), len(array), [None, pa.py_buffer(array)])


def _one_list(values: pa.Array) -> pa.LargeListArray:
    element = pa.field("item", values.type, nullable=False)
    return pa.LargeListArray.from_arrays(pa.array([0, len(values)], pa.int64()), values, type=pa.large_list(element))


def _found(source: Path, name_column: str | None) -> tuple[Path, list[Path]]:
    """The files to read, sorted, and the folder that their names are told from."""
    if source.is_file():
        if source.suffix.lower() == ".npy" and name_column is not None:
            raise InputError(f"name_column is {name_column}, but source is {source}, which has no columns.")
        return source.parent, [source]
    if not source.is_dir():
        raise InputError(f"source is {source}, which does not exist; expected Parquet files of codes, or codes.npy.")
    if (source / "config.json").is_file() and (source / "codes.parquet").is_file():
        return source, [source / "codes.parquet"]
    found = [path.relative_to(source) for path in source.rglob("*.parquet") if path.is_file()]
    seen = sorted(path.as_posix() for path in found if not any(part.startswith((".", "_")) for part in path.parts))
    if not seen:
        raise InputError(f"source is {source}, a folder without Parquet files; expected the output of wotd assign.")
    return source, [source / path for path in seen]


def _check_name(file: Path) -> None:
    """What the index says of a file is text."""
    try:
        str(file).encode()
    except UnicodeEncodeError as error:
        raise InputError(f"source has the file {str(file)!a}, whose name is no Unicode; rename it.") from error


Part = tuple[NDArray[Whole], "pa.LargeStringArray | None"]


def _parts(file: Path, code_column: str, name_column: str | None) -> Iterator[Part]:
    """The rows of a file, part by part: raised indices n×L, and names."""
    if file.suffix.lower() == ".npy":
        yield from ((codes, None) for codes in _matrix_parts(file))
    else:
        yield from _table_parts(file, code_column, name_column)


def _matrix_parts(file: Path) -> Iterator[NDArray[Whole]]:
    try:
        codes_NL = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{file} is no readable .npy file: {error}.") from error
    if not isinstance(codes_NL, np.ndarray) or codes_NL.ndim != 2 or codes_NL.dtype.kind not in "iu":
        raise InputError(f"{file} holds no matrix of codes; expected whole numbers, N×L.")
    for start in range(0, len(codes_NL), _ROWS):
        part = np.asarray(codes_NL[start : start + _ROWS])
        _check_codes(part.reshape(-1), part.shape[1], file)
        yield part.astype(np.int64) - NO_CODE


def _table_parts(file: Path, code_column: str, name_column: str | None) -> Iterator[Part]:
    columns = [code_column] if name_column is None else [code_column, name_column]
    try:
        with pq.ParquetFile(file) as table:
            if missing := [name for name in columns if name not in table.schema_arrow.names]:
                raise InputError(f"{file} has no column {missing[0]}; it has {', '.join(table.schema_arrow.names)}.")
            kind = table.schema_arrow.field(code_column).type
            lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
            if not lists or not pa.types.is_integer(kind.value_type):
                raise InputError(f"{file}: {code_column} is {kind}; expected a list of whole numbers.")
            for batch in table.iter_batches(_ROWS, columns=columns):
                names = None if name_column is None else _texts(batch.column(name_column), name_column, file)
                yield _raised(batch.column(code_column), file), names
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # the last for names of columns
        raise InputError(f"{file} is no readable Parquet file: {' '.join(str(error).split())[:200]}.") from error


def _raised(column: pa.Array, file: Path) -> NDArray[Whole]:
    """Lists of indices as a matrix of them raised by one, n×L; 0 behind the end of a list and where there is none."""
    lengths_n = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    values = column.flatten()
    if values.null_count:
        raise InputError(f"{file} has a code with an index that is null; expected whole numbers.")
    indices = values.to_numpy(zero_copy_only=False)
    levels = int(lengths_n.max(initial=0))
    _check_codes(indices, levels, file)
    if len(indices) == levels * len(column):
        raised_nL: NDArray[np.int64] = indices.reshape(len(column), levels).astype(np.int64) - NO_CODE
        return raised_nL
    raised_nL = np.zeros((len(column), levels), dtype=np.int64)
    raised_nL[np.arange(levels) < lengths_n[:, None]] = indices.astype(np.int64) - NO_CODE
    return raised_nL


def _check_codes(indices: NDArray[Whole], levels: int, file: Path) -> None:
    if levels > _MAX_LEVELS:
        raise InputError(f"{file} has a code of {levels} levels; expected at most {_MAX_LEVELS}.")
    if len(indices) and (int(indices.min()) < 0 or int(indices.max()) > _MAX_INDEX):
        raise InputError(f"{file} has codes from {indices.min()} to {indices.max()}; expected 0 to {_MAX_INDEX}.")


def _texts(column: pa.Array, name: str, file: Path) -> pa.LargeStringArray:
    try:
        return pc.fill_null(column.cast(pa.large_string()), "")
    except pa.ArrowException as error:
        raise InputError(f"{file}: {name} is {column.type}, which is no name; expected texts or numbers.") from error
