"""A process that embeds through a cache and tells, in a file of its own, what it was asked for."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
from fake_embedder import FakeEmbedder

from wotd.embeddings import EmbeddingCache

_FORK_SERVER = multiprocessing.get_context("forkserver")
_FORK_SERVER.set_forkserver_preload(["wotd.embeddings.cache"])


class TellingEmbedder(FakeEmbedder):
    """Writes each text down before it is embedded, so that even one who is killed has told.

    With ``meetings``, one for each of its first shards, it waits there until all who meet are embedding too.
    """

    def __init__(self, told: Path, seconds_a_text: float, meetings: Sequence[Barrier] = ()) -> None:
        super().__init__(seconds_a_text=seconds_a_text)
        self._told = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._meetings = iter(meetings)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        os.write(self._told, "".join(f"{text}\n" for text in texts).encode())
        if (meeting := next(self._meetings, None)) is not None:
            meeting.wait()
        return super().embed(texts)


def meetings_of(number: int, times: int) -> list[Barrier]:
    """Where so many processes meet, so many times; who comes alone fails after half a minute."""
    return [_FORK_SERVER.Barrier(number, timeout=30) for _ in range(times)]


def corpus(count: int, first: int = 0) -> list[str]:
    return [f"text number {number}" for number in range(first, first + count)]


def work(
    root: Path,
    home: Path,
    name: str,
    texts: list[str],
    shard_rows: int,
    seconds_a_text: float,
    meetings: Sequence[Barrier],
) -> None:
    """Embed the texts, and leave ``NAME.started``, ``NAME.told`` and, when done, ``NAME.npy``."""
    embedder = TellingEmbedder(home / f"{name}.told", seconds_a_text, meetings)
    (home / f"{name}.started").touch()
    np.save(home / f"{name}.npy", EmbeddingCache(root, shard_rows).embed(embedder, texts).vectors)


def started(
    root: Path,
    home: Path,
    name: str,
    texts: list[str],
    *,
    shard_rows: int = 20,
    seconds_a_text: float = 0.0,
    meetings: Sequence[Barrier] = (),
) -> BaseProcess:
    """Such a process, once it is about to embed."""
    process = _FORK_SERVER.Process(target=work, args=(root, home, name, texts, shard_rows, seconds_a_text, meetings))
    process.start()
    deadline = time.monotonic() + 60
    while not (home / f"{name}.started").exists() and process.is_alive():
        assert time.monotonic() < deadline
        time.sleep(0.0005)
    return process


def told(home: Path, pattern: str = "*") -> list[str]:
    """All that such processes were asked to embed, as often as they were."""
    return [text for path in sorted(home.glob(f"{pattern}.told")) for text in path.read_text().splitlines()]
