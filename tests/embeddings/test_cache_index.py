"""The index of the cache: what it covers, and that it is never believed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from fake_embedder import FakeEmbedder, expected

from wotd.embeddings import EmbeddingCache
from wotd.embeddings.key_table import read_table
from wotd.embeddings.shard_file import open_shard

TEXTS = [f"text number {number}" for number in range(100)]


def shards(root: Path) -> list[Path]:
    return sorted(root.glob("embeddings/*/shard-*.safetensors"))


def flip_a_byte(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


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
