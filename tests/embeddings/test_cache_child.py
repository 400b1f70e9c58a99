"""Another process at the cache: it dies at each moment of writing, or runs out of room."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fake_embedder import FakeEmbedder, expected

from wotd.embeddings import EmbeddingCache

TEXTS = [f"text number {number}" for number in range(100)]


def shards(root: Path) -> list[Path]:
    return sorted(root.glob("embeddings/*/shard-*.safetensors"))


CHILD = """
import resource, sys
sys.path.insert(0, HERE)
import os, signal
import numpy as np
from fake_embedder import FakeEmbedder
from wotd.embeddings import EmbeddingCache, shard_file
root, out, count, die_at = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
synced, real = 0, os.fsync
def fsync(descriptor):
    global synced
    synced += 1
    if synced == die_at:
        os.kill(os.getpid(), signal.SIGKILL)
    real(descriptor)
os.fsync = fsync
embedder = FakeEmbedder()
texts = [f"text number {number}" for number in range(count)]
try:
    result = EmbeddingCache(root, shard_rows=20).embed(embedder, texts)
except Exception as error:
    print(type(error).__name__, error)
    sys.exit(3)
np.save(out, result.vectors)
print(result.computed, len(embedder.seen))
""".replace("HERE", repr(str(Path(__file__).parent)))


def child(root: Path, out: Path, *, count: int, die_at: int = 0) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", CHILD, str(root), str(out), str(count), str(die_at)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("die_at", [1, 3, 4, 7])
def test_a_writer_killed_in_mid_write_leaves_nothing_half_written(tmp_path: Path, die_at: int) -> None:
    process = child(tmp_path / "cache", tmp_path / "out.npy", count=100, die_at=die_at)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    before = len(shards(tmp_path / "cache"))
    cache = EmbeddingCache(tmp_path / "cache", shard_rows=20)
    assert cache.verify() == []
    result = cache.embed(FakeEmbedder(), TEXTS)
    np.testing.assert_array_equal(result.vectors, expected(TEXTS))
    assert (result.found, result.computed) == (20 * before, 100 - 20 * before)
    assert not list((tmp_path / "cache").glob("embeddings/*/.tmp-*")), "what the dead left is swept up"


@pytest.mark.parametrize("there", [0, 1])
def test_a_full_disk_is_one_clear_sentence(tmp_path: Path, there: int) -> None:
    EmbeddingCache(tmp_path).embed(FakeEmbedder(), TEXTS[:there])
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))"
    code = CHILD.replace("import resource, sys", f"{limit}\nimport sys")
    arguments = [sys.executable, "-c", code, str(tmp_path), str(tmp_path / "out.npy"), "100", "0"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert "EmbeddingError the embedding cache" in done.stdout
    kept = "; 0 of 99 texts are kept: " if there else "; "
    assert f"cannot be written: File too large{kept}make room, or set WOTD_CACHE" in done.stdout
    assert len(shards(tmp_path)) == there
    assert EmbeddingCache(tmp_path).embed(FakeEmbedder(), TEXTS).computed == 100 - there
    assert not list(tmp_path.glob("embeddings/*/.tmp-*"))
