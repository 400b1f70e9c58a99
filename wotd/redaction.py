"""What nobody may read in messages and logs: tokens, and passwords in addresses. Only here is known how they look."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACEHUB_API_TOKEN")
_LOOKS = (
    (re.compile(r"\bhf_[A-Za-z0-9]{6,}"), "***"),
    (re.compile(r"(?<=://)[^/\s@]+(?=@)"), "***"),
    (re.compile(r"(?i)\bbearer\s+\S{8,}"), "Bearer ***"),
    (re.compile(r"(?i)(?<![\w-])([\w-]*(?:token|password|signature|secret))=[^&\s\"']+"), r"\1=***"),
)

_lock = threading.Lock()
_users = 0
_ordinary = logging.getLogRecordFactory()


def redacted(text: str) -> str:
    """The text with ``***`` for the tokens of this environment and for whatever looks like one."""
    for name in _VARIABLES:
        if len(secret := os.environ.get(name, "").strip()) >= 6:
            text = text.replace(secret, "***")
    for look, instead in _LOOKS:
        text = look.sub(instead, text)
    return text


def reason_of(error: BaseException) -> str:
    """What an exception says in its first line, redacted and without its full stop; its kind where it says nothing."""
    return (redacted(str(error)).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


@contextmanager
def redacted_logs() -> Iterator[None]:
    """Everything that is logged meanwhile, by whatever library and thread, is redacted before a handler sees it."""
    global _users, _ordinary
    with _lock:
        _users += 1
        if _users == 1:
            _ordinary = logging.getLogRecordFactory()
            logging.setLogRecordFactory(_redacted_record)
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                logging.setLogRecordFactory(_ordinary)


def _redacted_record(*args: Any, **kwargs: Any) -> logging.LogRecord:
    record: logging.LogRecord = _ordinary(*args, **kwargs)
    record.msg, record.args = redacted(record.getMessage()), ()
    if record.exc_info:
        # A handler that finds the text of an exception writes that instead of asking the exception.
        record.exc_text = redacted(logging.Formatter().formatException(record.exc_info))
    return record
