"""What a request about texts says: its JSON read and checked, in sentences that a client can act on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from wotd.errors import InputError
from wotd.semantic_ids import SemanticID
from wotd.text_checks import check_text

MAX_NEIGHBORS = 1000

TEXTS_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "texts": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        "text": {"type": "string", "description": "one text, instead of texts"},
        "min_confidence": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "description": "cut each ID before the first level that is less sure than this",
        },
    },
    "additionalProperties": False,
    "example": {"texts": ["It was a dark and stormy night."]},
}
"""JSON schema of what :func:`read_texts` reads, for the API's description."""

NEIGHBORS_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "k": {"type": "integer", "minimum": 1, "maximum": MAX_NEIGHBORS, "default": 10},
    },
    "required": ["text"],
    "additionalProperties": False,
    "example": {"text": "It was a dark and stormy night.", "k": 5},
}
"""JSON schema of what :func:`read_neighbors` reads."""

CODES_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "codes": {
            "type": "array",
            "items": {"anyOf": [{"type": "array", "items": {"type": "integer", "minimum": 0}}, {"type": "string"}]},
            "minItems": 1,
            "description": "codes or prefixes of codes: lists of numbers, or texts such as 2-3-5-1",
        },
    },
    "required": ["codes"],
    "additionalProperties": False,
    "example": {"codes": [[2, 3], "2-3"]},
}
"""JSON schema of what :func:`read_codes` reads."""


class MalformedError(InputError):
    """A body that is not what its content type says, so that nothing in it can be judged."""


@dataclass(frozen=True)
class TextsRequest:
    """Texts to encode.

    Attributes:
        texts: at least one, each usable by a model.
        min_confidence: as :meth:`wotd.inference.SemanticIDModel.encode` takes it.
    """

    texts: list[str]
    min_confidence: float | None = None


@dataclass(frozen=True)
class NeighborsRequest:
    """A text to find stored passages for, and how many."""

    text: str
    k: int = 10


def read_texts(body: bytes) -> TextsRequest:
    """The request in a body ``{"texts": ["…"]}`` or ``{"text": "…"}``.

    Raises:
        MalformedError: if it is no JSON.
        InputError: if it is no such request; the sentence names the place.
    """
    data = _read_object(body, TEXTS_SCHEMA)
    if ("texts" in data) == ("text" in data):
        raise InputError("the body needs either texts, a list of strings, or text, a string.")
    texts = data["texts"] if "texts" in data else [data["text"]]
    if not isinstance(texts, list):
        raise InputError(f"texts is {_kind(texts)}; expected a list of strings.")
    return TextsRequest(checked(texts), _confidence(data.get("min_confidence")))


def read_neighbors(body: bytes) -> NeighborsRequest:
    """The request in a body ``{"text": "…", "k": 10}``.

    Raises:
        MalformedError: if it is no JSON.
        InputError: if it is no such request.
    """
    data = _read_object(body, NEIGHBORS_SCHEMA)
    if "text" not in data:
        raise InputError("the body needs text, a string.")
    check_text(data["text"], "text")
    k = data.get("k", 10)
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= MAX_NEIGHBORS:
        raise InputError(f"k is {_kind(k)}; expected a whole number from 1 to {MAX_NEIGHBORS}.")
    return NeighborsRequest(data["text"], k)


def read_codes(body: bytes, most: int) -> list[SemanticID]:
    """The codes in a body ``{"codes": [[2, 3], "2-3"]}``.

    Raises:
        MalformedError: if it is no JSON.
        InputError: if it is no such request; the sentence names the place.
    """
    data = _read_object(body, CODES_SCHEMA)
    codes = data.get("codes")
    if not isinstance(codes, list) or not codes:
        raise InputError('the body needs codes, a list of at least one code such as [2, 3, 5, 1] or "2-3-5-1".')
    if len(codes) > most:
        raise InputError(f"there are {len(codes)} codes; at most {most} are taken at a time.")
    return [_code(code, position) for position, code in enumerate(codes)]


def checked(texts: list[Any]) -> list[str]:
    """The same texts, each of which a model can use.

    Raises:
        InputError: if there are none, or naming the first that is no text.
    """
    if not texts:
        raise InputError("texts is an empty list; expected at least one text.")
    for position, text in enumerate(texts):
        check_text(text, f"text {position}")
    return texts


def read_json(data: bytes | str, where: str = "the body") -> Any:
    """Any JSON value.

    Raises:
        MalformedError: if it is none; the sentence says where reading stopped and quotes nothing.
    """
    if not data.strip():
        raise MalformedError(f"{where} is empty; expected JSON.")
    try:
        return json.loads(data)
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at line {error.lineno}, column {error.colno}"
    except UnicodeDecodeError as error:
        reason = f"it is not {error.encoding} at byte {error.start}"
    except RecursionError:
        reason = "it is nested too deeply"
    except ValueError:
        reason = "it holds a number of too many digits"
    raise MalformedError(f"{where} is not valid JSON: {reason}.")


def _read_object(body: bytes, schema: dict[str, Any]) -> dict[str, Any]:
    """A JSON object with no other names than the schema's."""
    data = read_json(body)
    if not isinstance(data, dict):
        raise InputError(f"the body is {_kind(data)}; expected an object such as {json.dumps(schema['example'])}.")
    for name in data:
        if name not in schema["properties"]:
            raise InputError(
                f"the body has the unknown name {name[:40]!a}; expected {', '.join(schema['properties'])}."
            )
    return data


def _code(value: Any, position: int) -> SemanticID:
    if isinstance(value, str):
        semantic_id = SemanticID.parse(value)
    elif isinstance(value, list) and all(type(index) is int and 0 <= index < 2**31 for index in value):
        semantic_id = SemanticID(tuple(value))
    else:
        raise InputError(f"code {position} is {_kind(value)}; expected whole numbers, or a text such as 2-3-5-1.")
    if not len(semantic_id):
        raise InputError(f"code {position} is empty; expected one index a level, or a prefix of them.")
    return semantic_id


def _confidence(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InputError(f"min_confidence is {_kind(value)}; expected a number from 0 to 1.")
    return float(value)


def _kind(value: Any) -> str:
    """What a JSON value is; numbers are quoted, texts never."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, str):
        return "a string"
    if isinstance(value, int | float):
        return f"the number {str(value)[:20]}"
    return "a list" if isinstance(value, list) else "an object"
