"""Real servers on this machine for tests: an application on a thread, or ``wotd serve`` in a process."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn

from wotd.serving.connections import PromptConnection


@contextlib.contextmanager
def running(app: Any, port: int = 0, **settings: Any) -> Iterator[str]:
    """The address of a server for an application; on the port given, or a free one."""
    listener = socket.create_server(("127.0.0.1", port))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", http=PromptConnection, **settings))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@dataclass
class Serving:
    """A running ``wotd serve``."""

    process: subprocess.Popen[str]
    address: str = ""
    log: list[str] = field(default_factory=list)

    def tell(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def await_line(self, words: str, seconds: float = 60) -> str:
        """The first line of the log that has these words, once it has come."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := next((line for line in self.log if words in line), None):
                return found
            time.sleep(0.02)
        raise AssertionError(f"no line with {words!r} in {seconds} s:\n{''.join(self.log)}")

    def stopped(self, number: signal.Signals = signal.SIGTERM, seconds: float = 30) -> int:
        """Exit status after a signal."""
        if self.process.poll() is None:
            self.tell(number)
        return self.process.wait(seconds)


@contextlib.contextmanager
def serving(artifacts: Path, *options: str, **environment: str) -> Iterator[Serving]:
    """``wotd serve`` with options, once it answers."""
    command = [sys.executable, "-m", "wotd.cli", "serve", "--artifacts", str(artifacts), "--port", "0", *options]
    settings = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=settings) as process:
        server = Serving(process)
        reader = threading.Thread(target=lambda: server.log.extend(process.stderr))
        reader.start()
        try:
            line = server.await_line("serving ")
            server.address = re.search(r"http://127\.0\.0\.1:\d+", line).group()
            yield server
        finally:
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.stopped()
            process.kill()
            reader.join()
