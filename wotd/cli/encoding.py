"""Texts and their codes side by side, as rows that carry all fields of both."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from wotd.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from wotd.inference import SemanticIDModel

_OURS = ("code", "id", "names", "confidence", "out_of_domain", "error", "facts")
"""Fields of an encoded text, in order."""


def encoded_rows(
    model: SemanticIDModel, texts: Iterable[tuple[str, Mapping[str, Any]]], min_confidence: float | None = None
) -> Iterator[dict[str, Any]]:
    """For each text the fields it came with and those of its code, as a stream."""
    waiting: deque[Mapping[str, Any]] = deque()

    def bare() -> Iterator[str]:
        for text, fields in texts:
            waiting.append(fields)
            yield text

    for encoded in model.encode_stream(bare(), min_confidence=min_confidence):
        yield kept_fields(waiting.popleft()) | encoded.to_mapping()


def kept_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an input under the names with which they go on."""
    return {kept_name(name, fields): value for name, value in fields.items()}


def kept_name(name: str, fields: Iterable[str]) -> str:
    """The name under which a field of the input goes on: its own, or ``input_…`` where a field of ours has it.

    Raises:
        InputError: if the input has a field of that name too.
    """
    if name not in _OURS:
        return name
    renamed = f"input_{name}"
    if renamed in fields:
        raise InputError(f"the input has both '{name}' and '{renamed}', and its '{name}' would become the latter.")
    return renamed


def row_schema(fields: pa.Schema) -> pa.Schema:
    """The Arrow schema of :func:`encoded_rows` for inputs with these fields."""
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
    return pa.schema([*kept, *((name, types[name]) for name in _OURS)])
