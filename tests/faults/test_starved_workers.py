"""Processes that embed and run out of memory: killed by the system, or refused more."""

from __future__ import annotations

import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from wotd.embeddings import EmbeddingCache, SentenceTransformerEmbedder
from wotd.errors import EmbeddingError

pytestmark = pytest.mark.slow

TEXTS = [f"{'the cold sea and the dark wind ' * (n % 40)} rain {n}" for n in range(1500)]


@pytest.fixture(scope="module")
def several(tiny_model_path: Path) -> Iterator[SentenceTransformerEmbedder]:
    """An embedder of two processes, which tests share: to start them takes seconds."""
    embedder = SentenceTransformerEmbedder(str(tiny_model_path), device="cpu", workers=2, batch_tokens=256)
    embedder.embed(TEXTS[:50])
    yield embedder
    embedder.close()


def workers(embedder: SentenceTransformerEmbedder) -> list[int]:
    return list(embedder._load()._pool._processes)  # type: ignore[union-attr]


def when_some_are_kept(cache: EmbeddingCache, act: Callable[[], None]) -> threading.Thread:
    """Act as soon as a shard is written, in the midst of the next one."""

    def wait() -> None:
        end = time.monotonic() + 120
        while not sum(folder.rows for folder in cache.folders()) and time.monotonic() < end:
            time.sleep(0.005)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits of other processes are set by prlimit of Linux")
def test_one_that_gets_no_more_memory_says_so_and_new_ones_take_over(
    several: SentenceTransformerEmbedder, tmp_path: Path
) -> None:
    """The first of all tests here: a worker that has embedded much before has memory of its own to go on with."""
    for worker in workers(several):
        pages = int(Path(f"/proc/{worker}/statm").read_text().split()[0])
        limit = pages * os.sysconf("SC_PAGE_SIZE") + 1_000_000
        resource.prlimit(worker, resource.RLIMIT_AS, (limit, limit))
    cache, long = EmbeddingCache(tmp_path), [f"{text * 20} {number}" for number, text in enumerate(TEXTS)]
    with pytest.raises(EmbeddingError, match=r"memory"):
        cache.embed(several, long)
    assert sorted(path.name for path in tmp_path.rglob(".*")) == [".lock"]
    kept = sum(folder.rows for folder in cache.folders())
    assert cache.embed(several, long).computed == len(long) - kept


def test_one_that_the_system_kills_is_a_sentence_and_nothing_kept_is_lost(
    several: SentenceTransformerEmbedder, tiny_model_path: Path, tmp_path: Path
) -> None:
    cache = EmbeddingCache(tmp_path, shard_rows=100)
    killer = when_some_are_kept(cache, lambda: os.kill(workers(several)[0], signal.SIGKILL))
    with pytest.raises(
        EmbeddingError, match=r"has died, perhaps for want of memory; embedding\.workers is 2: lower it"
    ):
        cache.embed(several, TEXTS)
    killer.join()
    kept = sum(folder.rows for folder in cache.folders())
    assert 100 <= kept < len(TEXTS)
    assert sorted(path.name for path in tmp_path.rglob(".*")) == [".lock"]
    again = EmbeddingCache(tmp_path, shard_rows=100).embed(several, TEXTS)
    assert again.computed == len(TEXTS) - kept
    alone = SentenceTransformerEmbedder(str(tiny_model_path), device="cpu")
    np.testing.assert_allclose(again.vectors, alone.embed(TEXTS), atol=1e-6)
    assert EmbeddingCache(tmp_path).verify() == []
