"""A shell to type commands into, without starting a process for each."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest


class Said(NamedTuple):
    """What a command left: exit status, stdout, stderr."""

    status: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Its JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


Shell = Callable[..., Said]


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Runs ``wotd`` with arguments (paths and numbers become texts) and bytes on stdin."""
    from wotd.cli import run

    monkeypatch.delenv("COLUMNS", raising=False)

    def typed(*arguments: object, stdin: bytes = b"") -> Said:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        status = run([str(argument) for argument in arguments])
        return Said(status, *capsys.readouterr())

    return typed


@pytest.fixture
def refused(shell: Shell) -> Callable[..., str]:
    """Runs ``wotd``, expects a refusal in one sentence with this exit status, and gives the sentence."""

    def typed(*arguments: object, status: int = 1, stdin: bytes = b"") -> str:
        said = shell(*arguments, stdin=stdin)
        assert said.status == status, said
        assert said.err.startswith("wotd: ")
        assert said.err.count("\n") == 1, said.err
        assert "Traceback" not in said.err
        return said.err

    return typed
