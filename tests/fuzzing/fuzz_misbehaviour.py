"""Targets that do what no target may, so that it is seen that this is seen."""

from __future__ import annotations

import ctypes
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from fuzz_target import Target
from lxml import etree

from wotd.errors import InputError

CAUGHT = {
    "raises": "it raised IndexError",
    "takes its time": "it took more than",
    "takes its time in C": "it took more than",
    "takes memory": "MiB of memory",
    "opens": "it left its folder: open(",
    "opens in C": "canary.txt was opened",
    "lists": "it left its folder: os.listdir(",
    "writes": "it left its folder: open(",
    "writes in C": "escaped was changed",
    "runs": "subprocess.Popen",
    "connects": "socket.connect",
    "unpickles": "pickle.find_class",
    "says nothing": "says nothing",
    "says too much": "has 2001 characters",
    "cannot be printed": "cannot be printed",
    "refuses what is sound": "it refused what is sound",
}
"""What is said of each."""


class _RawError(InputError):
    """One whose sentence is as it was given."""

    def __str__(self) -> str:
        return str(self.args[0])


def targets() -> list[Target]:
    """All of them."""
    canary, libc = "../../canary.txt", ctypes.CDLL(None)

    def connect(_: Path) -> None:
        with socket.socket() as asking:
            asking.connect_ex(("127.0.0.1", 9))

    acts: dict[str, Callable[[Path], object]] = {
        "raises": lambda _: [][1],
        "takes its time": lambda _: all(n >= 0 for n in range(10**9)),
        "takes its time in C": lambda _: 3 ** (8 * 10**6),
        "takes memory": lambda _: bytearray(b"x") * (300 << 20),
        "opens": lambda folder: (folder / canary).read_bytes(),
        "opens in C": lambda folder: etree.parse(os.fsencode(folder / canary), etree.XMLParser(recover=True)),
        "lists": lambda folder: [*folder.parents[2].iterdir()],
        "writes": lambda folder: (folder / "../../written").write_bytes(b""),
        "writes in C": lambda folder: libc.mkdir(os.fsencode(folder / "../escaped"), 0o755),
        "runs": lambda _: subprocess.run([sys.executable, "-c", ""], check=False),
        "connects": connect,
        "unpickles": lambda _: pickle.loads(pickle.dumps(Path)),
        "says nothing": _raising(_RawError("")),
        "says too much": _raising(_RawError("x" * 2001)),
        "cannot be printed": _raising(_RawError("\x1b[31m")),
        "refuses what is sound": _raising(InputError("no.")),
    }
    return [Target(name, "bytes", _ignoring(act), [b""]) for name, act in acts.items()]


def _raising(error: Exception) -> Callable[[Path], object]:
    def act(_: Path) -> None:
        raise error

    return act


def _ignoring(act: Callable[[Path], object]) -> Callable[[bytes, Path], object]:
    return lambda _, folder: act(folder)
