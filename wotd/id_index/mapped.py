"""The index of IDs as a file: which rows bear a prefix, and which ID a row bears, without reading it whole.

An Arrow IPC file of one record batch with one row: each column is a list, whose values are an array of
:class:`~wotd.id_index.code_groups.CodeGroups`. It is mapped, not read, so opening it costs nothing and
a question touches a few pages; any Arrow reader opens it, too.

========= ==================================================================================
level_{l} indices of the distinct codes, in order: uint8 up to 256 codes a level
starts    where the rows of each distinct code begin, and the end of the last
rows      rows by code
places    of each row the place of its code; the number of codes where it has none
names     where they were kept: what the rows are called
========= ==================================================================================

The metadata of the schema names the files that were indexed, in order, and the rows of each.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from wotd.errors import InputError
from wotd.id_index.code_groups import CodeGroups, Whole
from wotd.semantic_ids import IDPattern, SemanticID

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA = 1
METADATA = b"wotd.id_index"
"""Key in the metadata of the schema."""

_MAX_METADATA_BYTES = 64 * 1024 * 1024
_MAX_LEVELS = 64
_LOOKED_AT = 16
"""Places, evenly spread, where opening looks whether the arrays agree."""


@dataclass(frozen=True)
class Item:
    """What bears an ID.

    Attributes:
        source: the file that it is in.
        row: its row there.
        name: what it is called, where the index keeps that.
        id: text form of its ID; empty where it has none.
    """

    source: str
    row: int
    name: str | None
    id: str

    def to_mapping(self) -> dict[str, Any]:
        """Plain data, as JSON lines carry it."""
        return asdict(self)


class IDIndex:
    """The items of an ID, a prefix or a pattern, and the ID of an item, from a mapped file.

    Attributes:
        groups: the items by ID; an item is a number, counted over all files that were indexed.
        sources: the files that were indexed, and how many rows each has.
    """

    def __init__(self, groups: CodeGroups, sources: Mapping[str, int], names: pa.LargeStringArray | None) -> None:
        """Look into an index; :meth:`open` reads one."""
        self.groups, self.sources, self._names = groups, dict(sources), names
        self._files = list(self.sources)
        self._ends = np.fromiter(accumulate(self.sources.values()), dtype=np.int64)

    @classmethod
    def open(cls, path: str | Path) -> IDIndex:
        """Map an index, and check that it is one.

        Raises:
            InputError: in one sentence, what is wrong with the file.
        """
        import pyarrow as pa

        file = Path(path).expanduser()
        try:
            with pa.memory_map(str(file)) as mapped, pa.ipc.open_file(mapped) as reader:
                sources = _sources(reader.schema, file)
                if reader.num_record_batches != 1:
                    _refuse(file, f"it has {reader.num_record_batches} record batches")
                if _is_compressed(mapped):
                    _refuse(file, "its arrays are compressed")
                batch = reader.get_batch(0)
            columns = {name: _values(batch.column(name)) for name in batch.schema.names}
            names = columns.pop("names", None)
            arrays = {name: column.to_numpy(zero_copy_only=True) for name, column in columns.items()}
            levels = tuple(arrays.pop(f"level_{level}") for level in range(len(arrays) - 3))
            groups = CodeGroups(levels, **arrays)
        except FileNotFoundError as error:
            raise InputError(f"index is {file}, which does not exist; wotd index build makes one.") from error
        except (pa.ArrowException, OSError, ValueError, TypeError, KeyError, struct.error) as error:
            _refuse(file, " ".join(str(error).split())[:200].rstrip("."))
        _check(groups, sources, names, file)
        return cls(groups, sources, names)

    def __len__(self) -> int:
        """How many items have an ID."""
        return len(self.groups.rows)

    @property
    def depth(self) -> int:
        """L, how many levels the longest ID has."""
        return len(self.groups.levels)

    def count(self, pattern: SemanticID | IDPattern) -> int:
        """How many items have an ID that matches."""
        return self.groups.count(pattern)

    def items(self, prefix: SemanticID) -> NDArray[Whole]:
        """The items whose ID begins with a prefix, in order of ID: a view of the file."""
        return self.groups.rows_of(self.groups.below(prefix))

    def matching(self, pattern: SemanticID | IDPattern) -> Iterator[NDArray[Whole]]:
        """The items whose ID matches, in order of ID: a view of the file for each run of IDs."""
        return (self.groups.rows_of(slice(*part)) for part in self.groups.slices(pattern).tolist())

    def children(self, prefix: SemanticID) -> list[tuple[SemanticID, int]]:
        """IDs one level below a prefix, in order, and how many items have each or one that begins so."""
        return self.groups.children(prefix)

    def item(self, number: int) -> Item:
        """What an item is, and its ID.

        Raises:
            InputError: if there is no such item.
        """
        if not 0 <= number < len(self.groups.places):
            raise InputError(f"item is {number}; the index has the items 0 to {len(self.groups.places) - 1}.")
        place = int(np.searchsorted(self._ends, number, side="right"))
        file = self._files[place]
        name = None if self._names is None else _name(self._names, number)
        row = number - int(self._ends[place]) + self.sources[file]
        return Item(file, row, name, str(self.groups.code(number) or ""))


def _refuse(file: Path, reason: str) -> NoReturn:
    raise InputError(f"index is {file}, which is no whole index of IDs: {reason}.")


def _sources(schema: pa.Schema, file: Path) -> dict[str, int]:
    text = (schema.metadata or {}).get(METADATA, b"null")
    if len(text) > _MAX_METADATA_BYTES:
        _refuse(file, f"its metadata has {len(text)} bytes, at most {_MAX_METADATA_BYTES} are read")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict) or not isinstance(data.get("schema"), int):
        _refuse(file, f"its schema has no metadata {METADATA.decode()}")
    if data["schema"] != SCHEMA:
        raise InputError(f"index is {file}, of schema {data['schema']}; this wotd reads {SCHEMA}: build it anew.")
    sources = data.get("sources")
    if not isinstance(sources, dict) or not all(isinstance(rows, int) and rows >= 0 for rows in sources.values()):
        _refuse(file, "its metadata does not say which files were indexed")
    return sources


def _is_compressed(mapped: pa.MemoryMappedFile) -> bool:
    """Whether Arrow would unpack the first batch, or dictionaries, which no index has, to read it."""
    mapped.seek(0)
    data = mapped.read_buffer()
    tail = len(data) - 10  # length of the footer, and a word of six letters
    footer = _table(data, tail - int(struct.unpack_from("<i", data, tail)[0]))
    dictionaries, blocks = _field(data, footer, 2), _field(data, footer, 3)
    if dictionaries and struct.unpack_from("<I", data, _table(data, dictionaries))[0]:
        return True
    (start,) = struct.unpack_from("<q", data, _table(data, blocks) + 4)
    (mark,) = struct.unpack_from("<i", data, start)
    header = _field(data, _table(data, start + (8 if mark == -1 else 4)), 2)
    return _field(data, _table(data, header), 3) != 0


def _table(data: pa.Buffer, place: int) -> int:
    """Where that begins to which a place in a flatbuffer points."""
    return place + int(struct.unpack_from("<I", data, place)[0])


def _field(data: pa.Buffer, table: int, number: int) -> int:
    """The place of a field of a table in a flatbuffer; 0 where it has none."""
    fields = table - int(struct.unpack_from("<i", data, table)[0])
    (size,) = struct.unpack_from("<H", data, fields)
    slot = 4 + 2 * number
    (offset,) = struct.unpack_from("<H", data, fields + slot) if slot < size else (0,)
    return table + int(offset) if offset else 0


def _values(column: pa.Array) -> pa.Array:
    """The values of the one list in a column, as they lie in the file."""
    import pyarrow as pa

    column.validate()
    if not isinstance(column, pa.LargeListArray) or len(column) != 1 or column.null_count:
        raise ValueError(f"a column is {column.type} of {len(column)} rows, not one list")
    return column.flatten()


def _name(names: pa.LargeStringArray, number: int) -> str:
    import pyarrow as pa

    one = names.slice(number, 1)
    try:
        one.validate(full=True)  # of a file that lies, it must not lead outside
    except pa.ArrowException as error:
        raise InputError(f"item {number} has a name that cannot be read; the index is damaged.") from error
    return str(one[0].as_py())


def _check(groups: CodeGroups, sources: Mapping[str, int], names: pa.Array | None, file: Path) -> None:
    """Lengths fit, and wherever we look, codes are in order and rows and places lead to each other."""
    import pyarrow as pa

    number, codes = len(groups.places), len(groups)
    arrays = (*groups.levels, groups.starts, groups.rows, groups.places)
    if not 1 <= len(groups.levels) <= _MAX_LEVELS or not all(array.dtype.kind in "iu" for array in arrays):
        _refuse(file, "its columns are not levels of indices, starts, rows and places")
    if names is not None and (names.type != pa.large_string() or len(names) != number):
        _refuse(file, "it does not have a name for each row")
    if any(len(level_C) != codes for level_C in groups.levels) or codes < 1 or sum(sources.values()) != number:
        _refuse(file, "its arrays do not fit each other in length")
    if groups.starts[0] != 0 or groups.starts[-1] != len(groups.rows) or len(groups.rows) > number:
        _refuse(file, "its starts do not cover its rows")
    for place in range(0, codes, max(1, codes // _LOOKED_AT)):
        row = int(groups.rows[min(int(groups.starts[place]), len(groups.rows) - 1)])
        if not groups.starts[place] < groups.starts[place + 1] or row >= number or groups.places[row] != place:
            _refuse(file, f"code {place} has no rows, or rows of another code")
        if place and not _code(groups, place - 1) < _code(groups, place):
            _refuse(file, f"code {place} is out of order")


def _code(groups: CodeGroups, place: int) -> tuple[int, ...]:
    return tuple(int(level_C[place]) for level_C in groups.levels)
