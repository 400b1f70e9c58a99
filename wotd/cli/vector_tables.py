"""Vectors in a Parquet file, a row a text; its metadata says what made them.

N texts, D numbers of a vector.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wotd.replacing import replacing

if TYPE_CHECKING:
    import pyarrow as pa

_ROW_GROUP = 8192


class Part(NamedTuple):
    """Some texts, in order."""

    ids: list[Any]
    texts: list[str]
    vectors: NDArray[np.float32]
    """[N, D]"""
    text_sha256: list[str] | None = None
    """Hex, where it is known; None: it is that of the texts."""


@dataclass(frozen=True)
class VectorTable:
    """The columns: ``id`` (int64 or string), ``text_sha256``, ``text`` and ``vector`` (fixed_size_list)."""

    dimension: int
    dtype: str
    """float32 or float16"""
    id_kind: type | None
    """int or str; None: there is no column of IDs."""
    texts: bool
    """Whether there is a column of texts."""
    metadata: Mapping[str, Any]
    """Kept as JSON in the metadata of the file, by these keys."""

    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        import pyarrow as pa

        number = pa.float16() if self.dtype == "float16" else pa.float32()
        fields = [pa.field("text_sha256", pa.string()), pa.field("vector", pa.list_(number, self.dimension))]
        if self.texts:
            fields.insert(1, pa.field("text", pa.string()))
        if self.id_kind:
            fields.insert(0, pa.field("id", pa.int64() if self.id_kind is int else pa.string()))
        data = {key: json.dumps(value, ensure_ascii=False) for key, value in self.metadata.items()}
        return pa.schema(fields, metadata=data)

    def rows(self, part: Part) -> pa.Table:
        """The rows of a part."""
        import pyarrow as pa

        flat = pa.array(part.vectors.astype(self.dtype, copy=False).reshape(-1))
        hashes = part.text_sha256 or [hashlib.sha256(text.encode("utf-8")).hexdigest() for text in part.texts]
        columns: dict[str, Any] = {
            "text_sha256": hashes,
            "vector": pa.FixedSizeListArray.from_arrays(flat, self.dimension),
        }
        if self.texts:
            columns["text"] = part.texts
        if self.id_kind:
            columns["id"] = [None if value is None else self.id_kind(value) for value in part.ids]
        return pa.table(columns, schema=self.schema())


def write_vectors(target: Path, table: VectorTable, parts: Iterable[Part]) -> None:
    """Write the parts below each other, a row group at a time; complete or not at all."""
    from pyarrow import parquet

    with (
        replacing(target) as temporary,
        parquet.ParquetWriter(temporary, table.schema(), compression="zstd", use_dictionary=False) as writer,
    ):
        for part in parts:
            writer.write_table(table.rows(part), row_group_size=_ROW_GROUP)
