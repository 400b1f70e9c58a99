"""How a training door answers, and one in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).resolve().parent


class Answer(NamedTuple):
    status: int
    out: str
    err: str


Door = Callable[..., Answer]


def started(*arguments: str, cwd: Path, module: tuple[str, ...] = ("-m", "wotd.train"), **options) -> subprocess.Popen:
    """The door in a process of its own."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(TESTS)} | options.pop("env", {})
    return subprocess.Popen(
        [sys.executable, *module, *arguments],
        cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


def finished(process: subprocess.Popen, timeout: float = 120) -> Answer:
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return Answer(process.returncode, out, err)
