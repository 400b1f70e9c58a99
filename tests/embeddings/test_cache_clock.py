"""The cache where clocks jump by a year, back or ahead, and with files that are of then."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from cache_worker import corpus, started, told
from fake_embedder import FakeEmbedder, expected

from wotd.embeddings import EmbeddingCache
from wotd.embeddings.upkeep import disposable

_YEAR = 365 * 86_400.0
_DAYS = 30 * 86_400.0


def jump(folder: Path, seconds: float) -> None:
    """Let all files of a folder be as old, or as new, as a clock says that has jumped."""
    for path in folder.rglob("*"):
        now = path.lstat().st_mtime + seconds
        os.utime(path, (now, now), follow_symlinks=False)


@pytest.mark.parametrize("seconds", [_YEAR, -_YEAR], ids=["ahead", "back"])
def test_claims_hold_as_long_as_their_owner_lives_and_no_longer(
    seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, home, real = tmp_path / "cache", tmp_path / "told", time.time
    home.mkdir()
    busy = started(root, home, "busy", corpus(20), seconds_a_text=0.05)
    while not told(home):
        time.sleep(0.001)
    jump(root, seconds)
    monkeypatch.setattr(time, "time", lambda: real() + seconds)
    result = EmbeddingCache(root, shard_rows=20).embed(FakeEmbedder(), corpus(20))
    assert result.computed == 0, "it waited for who has claimed them, and took nothing away"
    np.testing.assert_array_equal(result.vectors, expected(corpus(20)))
    busy.join(60)
    assert busy.exitcode == 0

    dead = started(root, home, "dead", corpus(20, first=20), seconds_a_text=5.0)
    while not told(home, "dead"):
        time.sleep(0.001)
    dead.kill()
    dead.join(60)
    jump(root, seconds)
    began = time.monotonic()
    assert EmbeddingCache(root, shard_rows=20).embed(FakeEmbedder(), corpus(20, first=20)).computed == 20
    assert time.monotonic() - began < 30, "nobody waits for the dead, however new their claim looks"
    assert sorted(path.name for path in root.glob("embeddings/*/.*")) == [".lock"]


def test_what_was_used_in_the_future_is_not_old(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path)
    cache.embed(FakeEmbedder(), corpus(20))
    jump(tmp_path, _YEAR)
    assert disposable(cache.folders(), unused_seconds=_DAYS) == []
    assert len(disposable(cache.folders(), keep_bytes=0)) == 1
    jump(tmp_path, -2 * _YEAR)
    assert len(disposable(cache.folders(), unused_seconds=_DAYS)) == 1
    assert EmbeddingCache(tmp_path).embed(FakeEmbedder(), corpus(20)).computed == 0
    assert disposable(EmbeddingCache(tmp_path).folders(), unused_seconds=_DAYS) == [], "to use it is to keep it"
