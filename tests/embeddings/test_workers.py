from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from wotd.embeddings import SentenceTransformerEmbedder
from wotd.errors import EmbeddingError

TEXTS = [f"{'the cold sea and the dark wind ' * (n % 7)} rain {n}" for n in range(300)]


@pytest.fixture(scope="module")
def several(tiny_model_path: Path) -> Iterator[SentenceTransformerEmbedder]:
    """An embedder of two processes, which tests share: to start them takes seconds."""
    embedder = SentenceTransformerEmbedder(str(tiny_model_path), device="cpu", workers=2, batch_tokens=256)
    yield embedder
    embedder.close()


def test_workers_give_the_vectors_of_one_process_in_order(
    tiny_model_path: Path, several: SentenceTransformerEmbedder
) -> None:
    alone = SentenceTransformerEmbedder(str(tiny_model_path), device="cpu")
    assert several.fingerprint == alone.fingerprint, "how many compute decides nothing"
    assert several.settings() == alone.settings()
    np.testing.assert_allclose(several.embed(TEXTS), alone.embed(TEXTS), atol=1e-6)
    assert several.embed([]).shape == (0, 32)
    pool = several._load()._pool  # type: ignore[union-attr]
    np.testing.assert_allclose(several.embed(TEXTS[:3]), alone.embed(TEXTS[:3]), atol=1e-6)
    assert several._load()._pool is pool, "processes are started once"  # type: ignore[union-attr]


def test_what_fails_in_a_worker_is_said_as_without_workers(tiny_model_path: Path, tmp_path: Path) -> None:
    import shutil

    model = shutil.copytree(tiny_model_path, tmp_path / "damaged")
    (model / "model.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00notjson!")
    embedder = SentenceTransformerEmbedder(str(model), device="cpu", workers=2)
    try:
        with pytest.raises(EmbeddingError, match=r"local folder at .*damaged cannot be loaded: "):
            embedder.embed(TEXTS)
    finally:
        embedder.close()


@pytest.mark.slow
def test_a_worker_that_dies_is_one_clear_sentence_and_new_ones_take_over(several: SentenceTransformerEmbedder) -> None:
    several.embed(TEXTS)
    for process in several._load()._pool._processes:  # type: ignore[union-attr]
        os.kill(process, signal.SIGKILL)
    with pytest.raises(EmbeddingError, match=r"has died.*embedding\.workers is 2: lower it"):
        several.embed(TEXTS)
    assert several.embed(TEXTS).shape == (len(TEXTS), 32)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_workers_end_with_a_parent_that_is_killed(tiny_model_path: Path, tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys, time\n"
        "from wotd.embeddings import SentenceTransformerEmbedder\n"
        "if __name__ == '__main__':\n"
        "    embedder = SentenceTransformerEmbedder(sys.argv[1], device='cpu', workers=2)\n"
        "    embedder.embed(['the sea ' * 40] * 4000)\n"
        "    print(*embedder._load()._pool._processes, flush=True)\n"
        "    time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, script, str(tiny_model_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    workers = [int(word) for word in parent.stdout.readline().split()]
    assert len(workers) == 2
    assert all(alive(worker) for worker in workers)
    parent.kill()
    parent.wait()
    end = time.monotonic() + 20
    while any(alive(worker) for worker in workers):
        assert time.monotonic() < end, "a worker outlived its parent"
        time.sleep(0.05)


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
