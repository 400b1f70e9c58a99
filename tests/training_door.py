"""The training door, typed into within the process of a test. Loaded as a plugin."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from training_processes import Answer, Door

from wotd import train


@pytest.fixture
def door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Door]:
    """Types a command into the door within this process, in an empty folder; undoes what Hydra does to logging."""
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    handlers, level, terminate = root.handlers[:], root.level, signal.getsignal(signal.SIGTERM)

    def typed(*arguments: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["wotd-train", *arguments])
        status = 0
        try:
            train.main()
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        finally:
            for handler in root.handlers:
                handler.flush()
        return Answer(status, *capsys.readouterr())

    yield typed
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    signal.signal(signal.SIGTERM, terminate)
