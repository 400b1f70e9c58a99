"""What can be a text at all, wherever it comes from."""

from __future__ import annotations

from typing import Any

from wotd.errors import InputError

MAX_TEXT_CHARACTERS = 16 * 1024 * 1024
"""The longest text that is taken, in characters; an embedding model reads a few thousand at most."""


def check_text(text: Any, name: str) -> None:
    """Refuse what cannot be a text.

    Args:
        text: what was given.
        name: what the error calls it, such as ``text 3``.

    Raises:
        InputError: if it is no string, empty, blank, too long or not encodable.
    """
    if not isinstance(text, str):
        raise InputError(f"{name} is a {type(text).__name__}; expected a string.")
    if not text.strip():
        raise InputError(f"{name} is {'empty' if not text else 'blank'}; expected words.")
    if len(text) > MAX_TEXT_CHARACTERS:
        raise InputError(f"{name} has {len(text)} characters; at most {MAX_TEXT_CHARACTERS} are taken.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(f"{name} has a lone surrogate at {error.start}; expected valid Unicode.") from error
