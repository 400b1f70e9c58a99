"""Names and types of columns: those of an input, and ours beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from wotd.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_ROWS = 1024

CODE = ("code", "id", "names")
"""What every row gets."""

SURENESS = ("confidence", "out_of_domain", "error")
"""How sure that is."""

FACTS = ("facts",)
"""What only texts have."""

OURS = (*CODE, *SURENESS, *FACTS)
"""All our columns, in order; an input's column of such a name goes on as ``input_…``."""


def kept_name(name: str, fields: Iterable[str]) -> str:
    """The name under which a field of the input goes on: its own, or ``input_…`` where a field of ours has it.

    Raises:
        InputError: if the input has a field of that name too.
    """
    if name not in OURS:
        return name
    renamed = f"input_{name}"
    if renamed in fields:
        raise InputError(f"the input has both '{name}' and '{renamed}', and its '{name}' would become the latter.")
    return renamed


def row_schema(fields: pa.Schema, ours: Iterable[str] = OURS) -> pa.Schema:
    """The Arrow schema of inputs with these fields and of so many of our columns."""
    import pyarrow as pa

    fact = {"level": pa.string(), "fact": pa.string(), "value": pa.float64(), "code": pa.int64(), "name": pa.string()}
    kept = [field.with_name(kept_name(field.name, fields.names)) for field in fields]
    types = {
        "code": pa.list_(pa.int64()),
        "id": pa.string(),
        "names": pa.list_(pa.string()),
        "confidence": pa.list_(pa.float64()),
        "out_of_domain": pa.bool_(),
        "error": pa.float64(),
        "facts": pa.list_(pa.struct(fact)),
    }
    return pa.schema([*kept, *((name, types[name]) for name in ours)])


def schema_of(rows: Iterable[Mapping[str, Any]], name: str, remedy: str = "") -> pa.Schema:
    """The Arrow schema of rows that need not all have the same fields.

    Args:
        rows: all of them.
        name: of where they are from, for errors.
        remedy: what helps where they cannot be a table.

    Raises:
        InputError: if a field holds values of types that no one column can hold.
    """
    import pyarrow as pa

    known = pa.schema([])
    stream = iter(rows)
    while batch := list(islice(stream, _BATCH_ROWS)):
        names = list(dict.fromkeys(key for row in batch for key in row))
        for each in names:
            try:
                column = pa.array([row.get(each) for row in batch])
                known = pa.unify_schemas([known, pa.schema([(each, column.type)])], promote_options="permissive")
            except (pa.ArrowException, OverflowError) as error:
                raise InputError(
                    f"{name}: the field '{each}' holds values of several types, which no column of a table can{remedy}."
                ) from error
    named = [(each.name, pa.string() if pa.types.is_null(each.type) else each.type) for each in known]
    return pa.schema(named)
