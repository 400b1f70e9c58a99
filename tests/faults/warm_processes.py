"""Doors in processes of their own that start at once: what :mod:`warm_parent` forks, seen from a test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass
class Process:
    """A door that was started.

    Attributes:
        pid: its number, and that of its group.
        out: what it prints goes here.
        err: what it complains of goes here.
        status: how it ended; None while nobody asked.
    """

    parent: WarmParent
    pid: int
    out: Path
    err: Path
    status: int | None = None

    def running(self) -> bool:
        """Whether it has neither ended nor been killed."""
        if self.status is not None:
            return False
        state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state not in "ZX"

    def send(self, signum: int) -> None:
        """Send a signal to it alone."""
        os.kill(self.pid, signum)

    def finished(self, seconds: float = 120) -> int:
        """Its exit status, once it has ended; minus the signal that ended it."""
        deadline = time.monotonic() + seconds
        while self.running():
            if time.monotonic() > deadline:
                os.killpg(self.pid, signal.SIGKILL)
                raise TimeoutError(f"still running after {seconds} s: {self.said()} {self.err.read_text()}")
            time.sleep(0.002)
        if self.status is None:
            self.status = int(self.parent.ask({"wait": self.pid})["status"])
        return self.status

    def said(self) -> str:
        """What it has printed so far."""
        return self.out.read_text() if self.out.exists() else ""

    def wait_for(self, there: Callable[[], bool], seconds: float = 120) -> bool:
        """Wait until something is there; False if it ended without."""
        deadline = time.monotonic() + seconds
        while not there():
            if not self.running():
                return there()
            assert time.monotonic() < deadline, f"waited {seconds} s: {self.said()} {self.err.read_text()}"
            time.sleep(0.001)
        return True


class WarmParent:
    """The process that forks, and what is asked of it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._number = 0

    def ask(self, request: dict[str, object]) -> dict[str, object]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def start(self, door: str, *arguments: str, cwd: Path, **environment: str) -> Process:
        """A door (``wotd-train`` or ``wotd``) with arguments, in a folder; what it prints lies beside that."""
        self._number += 1
        out, err = (cwd / f"{self._number}.{name}" for name in ("out", "err"))
        request = {"door": door, "arguments": list(arguments), "cwd": str(cwd), "env": environment}
        answer = self.ask(request | {"out": str(out), "err": str(err)})
        return Process(self, int(str(answer["pid"])), out, err)

    def run(self, door: str, *arguments: str, cwd: Path, **environment: str) -> Process:
        """The same, once it has ended."""
        process = self.start(door, *arguments, cwd=cwd, **environment)
        process.finished()
        return process


@contextmanager
def warm_parent() -> Iterator[WarmParent]:
    """Such a process, while the block runs."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parent)}
    with subprocess.Popen(
        [sys.executable, str(HERE / "warm_parent.py")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == {"ready": True}
        yield WarmParent(process)
        assert process.stdin is not None
        process.stdin.close()
