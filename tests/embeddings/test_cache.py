"""The cache: no text twice, each with its own vector, found again by whoever asks."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from fake_embedder import DIMENSION, FakeEmbedder, expected
from hypothesis import given, settings
from hypothesis import strategies as st

from wotd.embeddings import PROBE_TEXTS, EmbeddingCache, LSAEmbedder, SentenceTransformerEmbedder
from wotd.embeddings import cache as cache_module
from wotd.errors import EmbeddingError

TEXTS = [f"text number {number}" for number in range(100)]


def shards(root: Path) -> list[Path]:
    return sorted(root.glob("embeddings/*/shard-*.safetensors"))


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
    np.testing.assert_array_equal(cache.described(fresh)["probe"], expected(PROBE_TEXTS))
    cache.embed(fresh, TEXTS)
    assert fresh.probed == 2
    about = EmbeddingCache(tmp_path).described(later)
    np.testing.assert_array_equal(np.asarray(about["probe"], np.float32), expected(PROBE_TEXTS))
    assert about["fingerprint"] == later.fingerprint.to_mapping()
    EmbeddingCache(tmp_path).embed(later, TEXTS)
    assert later.probed == 0


def test_a_backend_that_strays_is_refused_before_a_text_is_embedded(tmp_path: Path) -> None:
    class Strayed(FakeEmbedder):
        def reference(self) -> FakeEmbedder:
            return FakeEmbedder("reference")

        def probe(self) -> np.ndarray:
            return super().probe()[::-1]

    embedder = Strayed()
    with pytest.raises(EmbeddingError, match="strays too far from numpy float32: cosine 0"):
        EmbeddingCache(tmp_path).embed(embedder, TEXTS)
    assert embedder.seen == []
    assert not shards(tmp_path)


def test_a_folder_that_was_pruned_gets_its_record_again(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path)
    cache.embed(FakeEmbedder(), TEXTS[:40])
    (folder,) = (tmp_path / "embeddings").iterdir()
    shutil.rmtree(folder)
    assert cache.embed(FakeEmbedder(), TEXTS).computed == 100
    assert (folder / "fingerprint.json").is_file()
    assert cache.folders()[0].fingerprint == FakeEmbedder().fingerprint


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


@settings(max_examples=40)
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


# --- streams


@given(st.integers(0, 30), st.integers(1, 12), st.integers(1, 5))
@settings(max_examples=30)
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
