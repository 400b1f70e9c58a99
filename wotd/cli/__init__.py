"""The shell door ``wotd``: texts and vectors in, semantic IDs out, for people and for pipes.

Each command is a file; what is heavy is imported inside it, so that ``wotd --help`` costs nothing.
Whatever the user can mend is one sentence on stderr: exit status 1, or 2 for wrong usage.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import cast

import typer

from wotd.cli.app import WrongUsageError, app
from wotd.errors import WOTDError

# Each module registers its commands when it is imported; help lists them in this order.
# isort: off
from wotd.cli import encode, look_up, word, inspection, evaluate, compare, plan, embed, cache, assign  # noqa: F401
from wotd.cli import index, export, align, hub, serve  # noqa: F401
# isort: on

_ClickError = cast(type[Exception], typer.BadParameter.__mro__[2])
"""Click's base of all usage errors; Typer brings its own copy of Click in some versions, not in others."""
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command line (by default the process's own) and leave with its exit status."""
    logging.basicConfig(format="wotd: %(message)s", level=logging.WARNING)
    signal.signal(signal.SIGTERM, _leave)
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit status."""
    _speak_utf8()
    try:
        status = app(args=list(arguments), prog_name="wotd", standalone_mode=False)
        sys.stdout.flush()
    except WOTDError as error:
        return _failed(str(error), 1)
    except WrongUsageError as error:
        return _failed(str(error), 2)
    except _ClickError as error:
        return _failed(_usage(error), 2)
    except (KeyboardInterrupt, typer.Abort):
        status = _INTERRUPTED
    except BrokenPipeError:
        # Whoever read has had enough. Python would complain once more when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return _failed(f"{f'{error.filename}: ' if error.filename else ''}{error.strerror or error}.", 1)
    if status == _INTERRUPTED:
        return _failed("interrupted.", _INTERRUPTED)
    return status if isinstance(status, int) else 0


def _failed(sentence: str, status: int) -> int:
    try:
        sys.stdout.flush()
        sys.stderr.write(f"wotd: {' '.join(sentence.split())}\n")
    except OSError:  # nobody is left to hear it
        pass
    return status


def _usage(error: BaseException) -> str:
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "wotd"
    command = path.removeprefix("wotd").strip()
    return f"{f'{command}: ' if command else ''}{message.rstrip('.')}; {path} --help shows how."


def _speak_utf8() -> None:
    """JSON is UTF-8 whatever the locale says; a terminal that lacks a character gets an escape for it."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace", **({} if stream.isatty() else {"encoding": "utf-8"}))


def _leave(number: int, _: FrameType | None) -> None:
    """End as an error would, so that half-written files are removed."""
    sys.exit(128 + number)
