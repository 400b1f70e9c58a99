"""The cache: no text twice, nothing half-written, nothing wrong, whatever happens to process and disk."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from fake_embedder import DIMENSION, FakeEmbedder, expected
from hypothesis import given, settings
from hypothesis import strategies as st

from wotd.embeddings import PROBE_TEXTS, EmbeddingCache, LSAEmbedder, SentenceTransformerEmbedder
from wotd.embeddings import cache as cache_module
from wotd.embeddings.key_table import read_table
from wotd.embeddings.shard_file import open_shard
from wotd.errors import EmbeddingError

TEXTS = [f"text number {number}" for number in range(100)]


def shards(root: Path) -> list[Path]:
    return sorted(root.glob("embeddings/*/shard-*.safetensors"))


def damaged(root: Path) -> list[Path]:
    return sorted(root.glob("embeddings/*/*.corrupt"))


def flip_a_byte(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


# --- never twice


def test_the_second_time_nothing_is_computed(tmp_path: Path) -> None:
    first, second = FakeEmbedder(), FakeEmbedder()
    result = EmbeddingCache(tmp_path).embed(first, TEXTS)
    assert (result.computed, result.found) == (100, 0)
    assert result.vectors.dtype == np.float32
    np.testing.assert_array_equal(result.vectors, expected(TEXTS))
    again = EmbeddingCache(tmp_path).embed(second, TEXTS[::-1])
    assert (again.computed, again.found, second.seen) == (0, 100, [])
    np.testing.assert_array_equal(again.vectors, expected(TEXTS[::-1]))


def test_only_what_is_missing_is_computed(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path, shard_rows=7)
    cache.embed(FakeEmbedder(), TEXTS[:40])
    embedder = FakeEmbedder()
    result = cache.embed(embedder, TEXTS[30:70])
    assert (result.computed, result.found) == (30, 10)
    assert sorted(embedder.seen) == sorted(TEXTS[40:70])
    np.testing.assert_array_equal(result.vectors, expected(TEXTS[30:70]))


def test_an_embedder_that_no_longer_gives_what_it_gave_is_refused(tmp_path: Path) -> None:
    class Changed(FakeEmbedder):
        def probe(self) -> np.ndarray:
            return super().probe() + np.float32(0.001)

    EmbeddingCache(tmp_path).embed(FakeEmbedder(), TEXTS[:40])
    sentence = (
        r"holds vectors that are computed otherwise now: .* off by 0\.001 .*`wotd cache prune --fingerprint \w{16}`"
    )
    with pytest.raises(EmbeddingError, match=sentence):
        EmbeddingCache(tmp_path).embed(Changed(), TEXTS)
    assert EmbeddingCache(tmp_path).embed(Changed(), TEXTS[:40]).found == 40, "what is kept is not computed anew"
    assert EmbeddingCache(tmp_path).embed(FakeEmbedder(), TEXTS).computed == 60


def test_probe_vectors_are_those_on_record(tmp_path: Path) -> None:
    class Counting(FakeEmbedder):
        probed = 0

        def probe(self) -> np.ndarray:
            self.probed += 1
            return super().probe()

    fresh, later = Counting(), Counting()
    cache = EmbeddingCache(tmp_path)
    np.testing.assert_array_equal(cache.probe(fresh), expected(PROBE_TEXTS))
    cache.embed(fresh, TEXTS)
    assert fresh.probed == 2
    np.testing.assert_array_equal(EmbeddingCache(tmp_path).probe(later), expected(PROBE_TEXTS))
    EmbeddingCache(tmp_path).embed(later, TEXTS)
    assert later.probed == 0


@pytest.mark.parametrize("content", ["", "{}", "[1]", "{", '{"probe": 3}', "null"])
def test_a_record_that_cannot_be_read_is_written_anew(tmp_path: Path, content: str) -> None:
    EmbeddingCache(tmp_path).embed(FakeEmbedder(), TEXTS[:40])
    (record,) = tmp_path.glob("embeddings/*/fingerprint.json")
    before = record.read_text()
    record.write_text(content)
    assert EmbeddingCache(tmp_path).embed(FakeEmbedder(), TEXTS).computed == 60
    assert record.read_text() == before


def test_a_text_given_twice_is_computed_once(tmp_path: Path) -> None:
    embedder = FakeEmbedder()
    texts = ["b", "a", "b", "b", "c", "a"]
    result = EmbeddingCache(tmp_path).embed(embedder, texts)
    assert (result.computed, result.found) == (3, 0)
    assert sorted(embedder.seen) == ["a", "b", "c"]
    np.testing.assert_array_equal(result.vectors, expected(texts))


def test_no_texts(tmp_path: Path) -> None:
    result = EmbeddingCache(tmp_path).embed(FakeEmbedder(), [])
    assert result.vectors.shape == (0, DIMENSION)
    assert (result.computed, result.found) == (0, 0)
    assert not list(tmp_path.iterdir())


def test_texts_of_one_shard_are_of_like_length_the_longest_first(tmp_path: Path) -> None:
    embedder = FakeEmbedder()
    EmbeddingCache(tmp_path, shard_rows=2).embed(embedder, ["aaa", "a", "aaaa", "aa"])
    assert [len(text) for text in embedder.seen] == [4, 3, 2, 1]


def test_each_fingerprint_has_its_own_vectors(tmp_path: Path) -> None:
    cache, other = EmbeddingCache(tmp_path), FakeEmbedder("other")
    cache.embed(FakeEmbedder(), TEXTS)
    assert cache.embed(other, TEXTS).computed == 100
    folders = cache.folders()
    assert [folder.rows for folder in folders] == [100, 100]
    assert {folder.fingerprint.digest[:16] for folder in folders if folder.fingerprint} == {
        folder.path.name for folder in folders
    }
    assert all(folder.bytes > 100 * (32 + 4 * DIMENSION) for folder in folders)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=12), max_size=12), st.lists(st.text(max_size=12), max_size=12), st.integers(1, 5))
def test_any_texts_come_back_in_order(first: list[str], second: list[str], shard_rows: int) -> None:
    with tempfile.TemporaryDirectory() as root:
        embedder = FakeEmbedder()
        EmbeddingCache(root, shard_rows).embed(embedder, first)
        cache = EmbeddingCache(root, shard_rows)
        result = cache.embed(embedder, second + first)
        np.testing.assert_array_equal(result.vectors, expected(second + first))
        assert result.found == len(set(first))
        assert result.computed == len(set(second) - set(first))
        assert len(embedder.seen) == len(set(first) | set(second))
        assert cache.embed(embedder, second).computed == 0


def test_alike_texts_are_told_apart(tmp_path: Path) -> None:
    texts = ["café", "cafe\u0301", "CAFÉ", "café ", " café", "café\n", "café\0", "", " "]
    assert EmbeddingCache(tmp_path).embed(FakeEmbedder(), texts).computed == len(texts)


def test_keys_that_begin_alike_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = cache_module.text_keys

    def colliding(texts: Sequence[str]) -> np.ndarray:
        keys = real(texts).copy()
        keys.view(np.uint8).reshape(-1, 32)[:, :8] = 7
        return keys

    monkeypatch.setattr(cache_module, "text_keys", colliding)
    EmbeddingCache(tmp_path, shard_rows=9).embed(FakeEmbedder(), TEXTS[:60])
    result = EmbeddingCache(tmp_path).embed(FakeEmbedder(), TEXTS)
    assert (result.computed, result.found) == (40, 60)
    np.testing.assert_array_equal(result.vectors, expected(TEXTS))


def test_keys_that_end_in_zeros_are_told_apart() -> None:
    keys = np.frombuffer(bytes(32) + b"\1" + bytes(31) + b"\1\0\1" + bytes(29), dtype="S32")
    assert len(np.unique(keys)) == 3


def test_shards_grow_with_the_work() -> None:
    with tempfile.TemporaryDirectory() as root:
        EmbeddingCache(root).embed(FakeEmbedder(), [str(number) for number in range(1000)])
        assert len(shards(Path(root))) == 4
        EmbeddingCache(root).embed(FakeEmbedder(), [f"x{number}" for number in range(64_000)])
        assert len(shards(Path(root))) == 4 + 64


@pytest.mark.parametrize(
    ("texts", "sentence"), [("one string", "texts is a single string"), (["a", 1], r"texts\[1\] is of type int")]
)
def test_what_is_no_text_is_refused(tmp_path: Path, texts: list[str], sentence: str) -> None:
    with pytest.raises(EmbeddingError, match=sentence):
        EmbeddingCache(tmp_path).embed(FakeEmbedder(), texts)


# --- where it is


def test_the_folder_is_the_one_given_or_set_or_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert EmbeddingCache(tmp_path).root == tmp_path
    monkeypatch.setenv("WOTD_CACHE", str(tmp_path / "set"))
    assert EmbeddingCache().root == tmp_path / "set"
    monkeypatch.delenv("WOTD_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    assert EmbeddingCache().root.name == "wotd"


def test_the_folder_says_for_people_what_it_holds(tmp_path: Path) -> None:
    EmbeddingCache(tmp_path).embed(FakeEmbedder(), TEXTS)
    (record,) = tmp_path.glob("embeddings/*/fingerprint.json")
    assert json.loads(record.read_text())["kind"] == "fake"
    right = record.read_text()
    for number, wrong in enumerate(("", "{}", '{"kind": 3}', right.replace('"fake"', '"forged"'))):
        record.write_text(wrong)
        (folder,) = EmbeddingCache(tmp_path).folders()
        assert (folder.fingerprint, folder.rows) == (None, 100 + number), "vectors do not depend on the record"
        assert EmbeddingCache(tmp_path).embed(FakeEmbedder(), [*TEXTS, f"new {number}"]).computed == 1
        assert record.read_text() == right


def test_shards_are_plain_safetensors(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    EmbeddingCache(tmp_path).embed(FakeEmbedder(), ["rain"])
    tensors = load_file(shards(tmp_path)[0])
    assert (tensors["keys"].dtype, tensors["keys"].shape) == (np.uint8, (1, 32))
    np.testing.assert_array_equal(tensors["vectors"], expected(["rain"]))


def test_an_empty_cache_lists_nothing(tmp_path: Path) -> None:
    assert EmbeddingCache(tmp_path / "nowhere").folders() == []
    assert EmbeddingCache(tmp_path / "nowhere").verify() == []


# --- damage


@pytest.mark.parametrize("where", ["header", "keys", "vectors", "last byte"])
def test_a_flipped_byte_is_found_named_and_recomputed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    EmbeddingCache(tmp_path, shard_rows=25).embed(FakeEmbedder(), TEXTS)
    victim = shards(tmp_path)[2]
    size = victim.stat().st_size
    header = 8 + int.from_bytes(victim.read_bytes()[:8], "little")
    flip_a_byte(victim, {"header": 20, "keys": size - 25 * 40, "vectors": header + 3, "last byte": size - 1}[where])
    embedder = FakeEmbedder()
    result = EmbeddingCache(tmp_path, shard_rows=25).embed(embedder, TEXTS)
    np.testing.assert_array_equal(result.vectors, expected(TEXTS))
    assert (result.computed, result.found, len(embedder.seen)) == (25, 75, 25)
    assert f"{victim} is damaged" in caplog.text
    assert damaged(tmp_path) == [victim.with_name(victim.name + ".corrupt")]
    assert EmbeddingCache(tmp_path).embed(FakeEmbedder(), TEXTS).computed == 0


@pytest.mark.parametrize("size", [0, 5, 100, 1200])
def test_a_truncated_shard_is_found_named_and_recomputed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, size: int
) -> None:
    EmbeddingCache(tmp_path, shard_rows=25).embed(FakeEmbedder(), TEXTS)
    victim = shards(tmp_path)[0]
    os.truncate(victim, size)
    result = EmbeddingCache(tmp_path).embed(FakeEmbedder(), TEXTS)
    assert (result.computed, result.found) == (25, 75)
    np.testing.assert_array_equal(result.vectors, expected(TEXTS))
    assert f"{victim} is damaged" in caplog.text
    assert len(damaged(tmp_path)) == 1


def test_shards_named_by_sha256_are_read_and_checked(tmp_path: Path) -> None:
    EmbeddingCache(tmp_path, shard_rows=50).embed(FakeEmbedder(), TEXTS)
    for path in shards(tmp_path):
        path.rename(path.with_name(f"shard-{hashlib.sha256(path.read_bytes()).hexdigest()}.safetensors"))
    assert EmbeddingCache(tmp_path).embed(FakeEmbedder(), TEXTS).found == 100
    flip_a_byte(shards(tmp_path)[0], -1)
    result = EmbeddingCache(tmp_path).embed(FakeEmbedder(), TEXTS)
    assert result.computed == 50
    np.testing.assert_array_equal(result.vectors, expected(TEXTS))


def test_damage_within_the_life_of_a_cache_is_mended(tmp_path: Path) -> None:
    EmbeddingCache(tmp_path).embed(FakeEmbedder(), TEXTS)
    flip_a_byte(shards(tmp_path)[0], -1)
    cache = EmbeddingCache(tmp_path)
    assert cache.embed(FakeEmbedder(), TEXTS).computed == 100
    result = cache.embed(FakeEmbedder(), TEXTS)
    assert result.computed == 0, "the mended shard has the name of the damaged one"
    np.testing.assert_array_equal(result.vectors, expected(TEXTS))


def test_a_shard_of_another_fingerprint_is_not_believed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = EmbeddingCache(tmp_path)
    cache.embed(FakeEmbedder("other"), TEXTS)
    (stranger,) = shards(tmp_path)
    cache.embed(FakeEmbedder(), ["rain"])
    (home,) = {path.parent for path in shards(tmp_path)} - {stranger.parent}
    shutil.copy(stranger, home)
    assert EmbeddingCache(tmp_path).embed(FakeEmbedder(), TEXTS).computed == 100
    assert "made under another fingerprint" in caplog.text


def test_verify_finds_every_damaged_shard(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path, shard_rows=10)
    cache.embed(FakeEmbedder(), TEXTS)
    cache.embed(FakeEmbedder("other"), TEXTS)
    assert cache.verify() == []
    victims = sorted([shards(tmp_path)[1], shards(tmp_path)[15]])
    for victim in victims:
        flip_a_byte(victim, -5)
    assert sorted(cache.verify()) == victims
    assert cache.verify() == []
    assert cache.embed(FakeEmbedder(), TEXTS).computed + cache.embed(FakeEmbedder("other"), TEXTS).computed == 20


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_vectors_that_are_not_finite_are_refused_and_not_kept(tmp_path: Path, number: float) -> None:
    class Broken(FakeEmbedder):
        def embed(self, texts: Sequence[str]) -> np.ndarray:
            vectors = super().embed(texts)
            vectors[[text == "text number 50" for text in texts], 3] = number
            return vectors

    cache = EmbeddingCache(tmp_path, shard_rows=10)
    with pytest.raises(EmbeddingError, match=r"1 of 10 vectors .* not finite, for instance for 'text number 50'"):
        cache.embed(Broken(), TEXTS)
    assert np.isfinite(cache.embed(FakeEmbedder(), TEXTS).vectors).all()


def test_vectors_of_another_shape_are_refused(tmp_path: Path) -> None:
    class Narrow(FakeEmbedder):
        def embed(self, texts: Sequence[str]) -> np.ndarray:
            return super().embed(texts)[:, :3]

    with pytest.raises(EmbeddingError, match=r"shape \(100, 3\); expected \(100, 8\)"):
        EmbeddingCache(tmp_path).embed(Narrow(), TEXTS)


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddingError, match=r"file/embeddings/.* cannot be written: Not a directory; set WOTD_CACHE"):
        EmbeddingCache(tmp_path / "file").embed(FakeEmbedder(), TEXTS)


# --- other processes


CHILD = """
import resource, sys
sys.path.insert(0, HERE)
import os, signal
import numpy as np
from fake_embedder import FakeEmbedder
from wotd.embeddings import EmbeddingCache, shard_file
root, out, count, seconds, die_at = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])
synced, real = 0, os.fsync
def fsync(descriptor):
    global synced
    synced += 1
    if synced == die_at:
        os.kill(os.getpid(), signal.SIGKILL)
    real(descriptor)
os.fsync = fsync
embedder = FakeEmbedder(seconds_a_text=seconds)
texts = [f"text number {number}" for number in range(count)]
try:
    result = EmbeddingCache(root, shard_rows=20).embed(embedder, texts)
except Exception as error:
    print(type(error).__name__, error)
    sys.exit(3)
np.save(out, result.vectors)
print(result.computed, len(embedder.seen))
""".replace("HERE", repr(str(Path(__file__).parent)))


def child(root: Path, out: Path, *, count: int, seconds: float = 0.0, die_at: int = 0) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", CHILD, str(root), str(out), str(count), str(seconds), str(die_at)]
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


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is a thing of POSIX")
def test_a_killed_run_goes_on_from_its_last_shard(tmp_path: Path) -> None:
    check_killed_runs(tmp_path, kills=2, count=300)


@pytest.mark.slow
def test_many_kills_at_any_moment_spoil_nothing(tmp_path: Path) -> None:
    check_killed_runs(tmp_path, kills=25, count=2000)


def check_killed_runs(tmp_path: Path, kills: int, count: int) -> None:
    root, out = tmp_path / "cache", tmp_path / "out.npy"
    moments = random.Random(0)
    for _ in range(kills):
        process = child(root, out, count=count, seconds=0.002)
        already = len(shards(root))
        deadline = time.monotonic() + 60
        while len(shards(root)) < already + 2 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(moments.random() * 0.05)
        process.kill()
        process.communicate(timeout=60)
    kept = 20 * len(shards(root))
    assert kept >= 20 * min(2 * kills, count // 20 - 1)
    process = child(root, out, count=count)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert printed.split() == [str(count - kept)] * 2
    np.testing.assert_array_equal(np.load(out), expected([f"text number {number}" for number in range(count)]))
    assert damaged(root) == []
    assert EmbeddingCache(root).verify() == []


def test_processes_at_once_embed_no_text_twice(tmp_path: Path) -> None:
    processes = [child(tmp_path / "cache", tmp_path / f"{n}.npy", count=100 + n, seconds=0.003) for n in range(3)]
    printed = [process.communicate(timeout=60)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert sum(int(seen) for _, seen in printed) == 102
    for n in range(3):
        texts = [f"text number {number}" for number in range(100 + n)]
        np.testing.assert_array_equal(np.load(tmp_path / f"{n}.npy"), expected(texts))
    assert damaged(tmp_path / "cache") == []


def test_waiting_for_another_process_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "wotd.embeddings")
    process = child(tmp_path, tmp_path / "out.npy", count=100, seconds=0.04)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("embeddings/*/.lock")) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    result = EmbeddingCache(tmp_path, shard_rows=20).embed(FakeEmbedder(), TEXTS)
    process.communicate(timeout=60)
    assert result.computed == 80, "all but what the other has taken on is done meanwhile"
    assert "another process is embedding 20 texts" in caplog.text


@pytest.mark.parametrize("there", [0, 1])
def test_a_full_disk_is_one_clear_sentence(tmp_path: Path, there: int) -> None:
    EmbeddingCache(tmp_path).embed(FakeEmbedder(), TEXTS[:there])
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))"
    code = CHILD.replace("import resource, sys", f"{limit}\nimport sys")
    arguments = [sys.executable, "-c", code, str(tmp_path), str(tmp_path / "out.npy"), "100", "0", "0"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert "EmbeddingError the embedding cache" in done.stdout
    kept = "; 0 of 99 texts are kept: " if there else "; "
    assert f"cannot be written: File too large{kept}make room, or set WOTD_CACHE" in done.stdout
    assert len(shards(tmp_path)) == there
    assert EmbeddingCache(tmp_path).embed(FakeEmbedder(), TEXTS).computed == 100 - there
    assert not list(tmp_path.glob("embeddings/*/.tmp-*"))


@contextmanager
def powerless() -> Iterator[None]:
    """As a user who may not override permissions."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A temporary folder that every user may look into."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
        for path in Path(folder).rglob("*"):
            path.chmod(0o755)


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@pytest.mark.parametrize("there", [60, 0], ids=["some vectors there", "nothing there"])
def test_a_read_only_cache_is_used_but_not_written(
    open_path: Path, caplog: pytest.LogCaptureFixture, there: int
) -> None:
    root = open_path / "cache"
    root.mkdir()
    EmbeddingCache(root).embed(FakeEmbedder(), TEXTS[:there])
    before = sorted(root.rglob("*"))
    for path in (root, *before):
        path.chmod(0o555 if path.is_dir() else 0o444)
    with powerless():
        cache = EmbeddingCache(root)
        result = cache.embed(FakeEmbedder(), TEXTS)
        again = cache.embed(FakeEmbedder(), TEXTS)
    assert (result.computed, result.found) == (100 - there, there)
    assert "read-only: what is embedded now is not kept" in caplog.text
    np.testing.assert_array_equal(result.vectors, expected(TEXTS))
    assert again.computed == 0, "within a process it is kept"
    assert sorted(root.rglob("*")) == before


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_damage_in_a_read_only_cache_is_not_served(open_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    EmbeddingCache(open_path).embed(FakeEmbedder(), TEXTS)
    flip_a_byte(shards(open_path)[0], -1)
    for path in open_path.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    with powerless():
        result = EmbeddingCache(open_path).embed(FakeEmbedder(), TEXTS)
    assert result.computed == 100
    np.testing.assert_array_equal(result.vectors, expected(TEXTS))
    assert "is damaged" in caplog.text


# --- with real embedders


def test_vectors_of_a_model_survive_the_cache(tmp_path: Path, tiny_model_path: Path) -> None:
    embedder = SentenceTransformerEmbedder(str(tiny_model_path), device="cpu")
    texts = ["the sea", "", "日本", "rain " * 500, "the sea", "lone \ud800"]
    result = EmbeddingCache(tmp_path).embed(embedder, texts)
    np.testing.assert_allclose(result.vectors, embedder.embed(texts), atol=1e-6)
    assert (result.computed, result.found) == (5, 0)


def test_a_run_whose_texts_are_all_cached_loads_no_model(tmp_path: Path, tiny_model_path: Path) -> None:
    EmbeddingCache(tmp_path).embed(SentenceTransformerEmbedder(str(tiny_model_path), device="cpu"), TEXTS)
    code = (
        "import sys\n"
        "from wotd.embeddings import EmbeddingCache, SentenceTransformerEmbedder\n"
        "texts = [f'text number {number}' for number in range(100)]\n"
        "result = EmbeddingCache(sys.argv[1]).embed(SentenceTransformerEmbedder(sys.argv[2]), texts)\n"
        "assert (result.computed, result.found) == (0, 100)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path), str(tiny_model_path)], check=True)


def test_lsa_is_cached_by_what_it_learned(tmp_path: Path) -> None:
    cache, texts = EmbeddingCache(tmp_path), [f"word{n % 5} word{n % 7} word{n % 3}" for n in range(60)]
    first, other = LSAEmbedder(4), LSAEmbedder(4)
    with pytest.raises(EmbeddingError, match="not fitted yet"):
        cache.embed(first, texts)
    first.fit(texts)
    other.fit(texts[:30])
    assert cache.embed(first, texts).computed == len(set(texts))
    assert cache.embed(first, texts).computed == 0
    assert cache.embed(other, texts).computed == len(set(texts))


# --- the index


def index(root: Path) -> list[Path]:
    return sorted(root.glob("embeddings/*/index-*.safetensors"))


@pytest.fixture
def small_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wotd.embeddings.shards._FEWEST_ROWS_OF_A_TABLE", 10)


@pytest.mark.usefixtures("small_index")
def test_an_index_covers_what_is_kept_and_is_all_that_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    EmbeddingCache(tmp_path, shard_rows=5).embed(FakeEmbedder(), TEXTS[:60])
    EmbeddingCache(tmp_path, shard_rows=5).embed(FakeEmbedder(), TEXTS)
    assert len(index(tmp_path)) == 1
    opened = []
    monkeypatch.setattr("wotd.embeddings.shards.open_shard", lambda *a: opened.append(a) or open_shard(*a))
    cache = EmbeddingCache(tmp_path)
    np.testing.assert_array_equal(cache.embed(FakeEmbedder(), TEXTS[7:8]).vectors, expected(TEXTS[7:8]))
    assert len(opened) == 1, "only the shard that holds the text"
    assert cache.embed(FakeEmbedder(), TEXTS).found == 100


@pytest.mark.usefixtures("small_index")
def test_the_index_grows_with_what_is_kept(tmp_path: Path) -> None:
    sizes = []
    for end in range(4, 101, 4):
        EmbeddingCache(tmp_path).embed(FakeEmbedder(), TEXTS[:end])
        sizes.append(sum(path.stat().st_size for path in index(tmp_path)))
        assert len(index(tmp_path)) <= 1
    assert sizes[0] == sizes[1] == 0 < sizes[2]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) < 12, "it is not written for every shard"
    assert EmbeddingCache(tmp_path).embed(FakeEmbedder(), TEXTS).found == 100


@pytest.mark.usefixtures("small_index")
@pytest.mark.parametrize("position", [0, 9, 60, 400, -1, -300, -700])
def test_a_damaged_index_is_made_anew(tmp_path: Path, position: int, caplog: pytest.LogCaptureFixture) -> None:
    EmbeddingCache(tmp_path, shard_rows=5).embed(FakeEmbedder(), TEXTS)
    flip_a_byte(index(tmp_path)[0], position)
    result = EmbeddingCache(tmp_path).embed(FakeEmbedder(), TEXTS)
    assert (result.found, result.computed) == (100, 0)
    np.testing.assert_array_equal(result.vectors, expected(TEXTS))
    assert "is damaged" in caplog.text
    assert EmbeddingCache(tmp_path, shard_rows=5).embed(FakeEmbedder(), [*TEXTS, *"abcdefghijklm"]).computed == 13
    assert len(index(tmp_path)) == 1
    assert EmbeddingCache(tmp_path).embed(FakeEmbedder(), TEXTS).found == 100


@pytest.mark.usefixtures("small_index")
@pytest.mark.parametrize("column", ["shards_R", "rows_R", "prefixes_R"])
def test_an_index_that_lies_names_no_wrong_vector(tmp_path: Path, column: str, monkeypatch: pytest.MonkeyPatch) -> None:
    EmbeddingCache(tmp_path, shard_rows=5).embed(FakeEmbedder(), TEXTS)
    (path,) = index(tmp_path)
    table = read_table(path, FakeEmbedder().fingerprint.digest)
    values = np.random.default_rng(0).permutation(getattr(table, column))
    values[::7] = np.iinfo(values.dtype).max
    lies = dataclasses.replace(table, **{column: np.sort(values) if column == "prefixes_R" else values})
    lies.write(path.parent, FakeEmbedder().fingerprint.digest)
    result = EmbeddingCache(tmp_path, shard_rows=5).embed(FakeEmbedder(), TEXTS)
    np.testing.assert_array_equal(result.vectors, expected(TEXTS))


@pytest.mark.usefixtures("small_index")
def test_an_index_of_shards_that_are_gone(tmp_path: Path) -> None:
    EmbeddingCache(tmp_path, shard_rows=5).embed(FakeEmbedder(), TEXTS)
    for path in shards(tmp_path)[:4]:
        path.unlink()
    result = EmbeddingCache(tmp_path).embed(FakeEmbedder(), TEXTS)
    assert result.computed == 20
    np.testing.assert_array_equal(result.vectors, expected(TEXTS))


# --- streams


@given(st.integers(0, 30), st.integers(1, 12), st.integers(1, 5))
@settings(max_examples=30, deadline=None)
def test_a_stream_gives_what_a_list_gives(count: int, rows: int, shard_rows: int) -> None:
    with tempfile.TemporaryDirectory() as root:
        stream = EmbeddingCache(root, shard_rows).stream(FakeEmbedder(), iter(TEXTS[:count]), rows=rows, total=count)
        parts = list(stream)
        assert [len(part) for part in parts] == [min(rows, count - done) for done in range(0, count, rows)]
        if parts:
            np.testing.assert_array_equal(np.concatenate(parts), expected(TEXTS[:count]))


def test_a_stream_reads_no_further_than_it_is_asked(tmp_path: Path) -> None:
    taken = []
    texts = (taken.append(text) or text for text in TEXTS)
    stream = EmbeddingCache(tmp_path).stream(FakeEmbedder(), texts, rows=10)
    next(stream)
    assert len(taken) == 10
