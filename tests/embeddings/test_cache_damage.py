"""Damage to what the cache holds, what it is not to take in, and folders that cannot be written."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_embedder import FakeEmbedder, expected

from wotd.embeddings import EmbeddingCache
from wotd.embeddings.shard_file import DamagedShardError, header_of, mapped, open_shard, shard_rows
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


ELSEWHERE = "a tensor lies elsewhere than its shape says"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"keys": {"shape": [1, *[0] * 5000]}}, "it holds "),
        ({"keys": {"shape": [2**63, 32]}, "vectors": {"shape": [2**63, 8]}}, ELSEWHERE),
        ({"keys": {"shape": [101, 32]}, "vectors": {"shape": [101, 8]}}, ELSEWHERE),
        ({"vectors": {"data_offsets": [-3200, 0]}}, ELSEWHERE),
        ({"vectors": {"data_offsets": [0.0, 3200.0]}}, ELSEWHERE),
        ({"vectors": {"data_offsets": [0, 3200, 3200]}}, "its header lacks ValueError"),
        ({"vectors": {"data_offsets": {"0": 1}}}, "its header lacks KeyError"),
    ],
)
def test_a_header_that_lies_is_told_briefly(tmp_path: Path, change: dict[str, dict[str, Any]], sentence: str) -> None:
    EmbeddingCache(tmp_path).embed(FakeEmbedder(), TEXTS)
    (path,) = shards(tmp_path)
    header, start = header_of(path)
    digest = header["__metadata__"]["fingerprint"]
    assert len(open_shard(path, digest, 8).keys) == len(TEXTS)
    for name, said in change.items():
        header[name] |= said
    lying = json.dumps(header).encode()
    path.write_bytes(len(lying).to_bytes(8, "little") + lying + path.read_bytes()[start:])
    with pytest.raises(DamagedShardError, match=f"^{sentence}") as refused:
        open_shard(path, digest, 8)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("rows", ["Infinity", "NaN", "null", '"many"', "[]", "{}"])
def test_a_shard_that_cannot_say_how_many_rows_it_has_has_none(tmp_path: Path, rows: str) -> None:
    header = f'{{"keys": {{"shape": [{rows}, 32]}}}}'.encode()
    (tmp_path / "shard").write_bytes(len(header).to_bytes(8, "little") + header)
    assert shard_rows(tmp_path / "shard") == 0


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


# --- read-only


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


def test_what_a_header_says_is_quoted_on_one_line_and_not_at_length(tmp_path: Path) -> None:
    header = {"rows": {"dtype": "\0" + "F" * 1000, "shape": [3] * 1000}}
    with pytest.raises(DamagedShardError, match=r"'rows' is '\\x00F+ of the shape \[3, .*; expected U32") as refused:
        mapped(tmp_path / "none", header, 0, "rows", "U32", np.uint32)
    assert len(str(refused.value)) < 250
