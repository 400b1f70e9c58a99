"""Texts and their codes side by side, as rows that carry all fields of both."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from wotd.assignment.schemas import kept_name

if TYPE_CHECKING:
    from wotd.inference import SemanticIDModel


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
        fields = waiting.popleft()
        yield {kept_name(name, fields): value for name, value in fields.items()} | encoded.to_mapping()
