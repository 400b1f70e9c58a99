"""wotd cache: list, prune and export, as people and programs see them."""

from __future__ import annotations

import hashlib
import json
import os
import time

import numpy as np
import pyarrow.parquet as pq
import pytest

from wotd.embeddings import EmbeddingCache, Fingerprint, SentenceTransformerEmbedder

TEXTS = [f"It was night number {number}." for number in range(30)]


@pytest.fixture
def embedder(tiny_model_path):
    return SentenceTransformerEmbedder(str(tiny_model_path), device="cpu")


@pytest.fixture
def small(tiny_model_path):
    return SentenceTransformerEmbedder(str(tiny_model_path), device="cpu", truncate_dim=8)


@pytest.fixture
def cache(tmp_path, monkeypatch, embedder, small):
    """Two folders of one model."""
    monkeypatch.setenv("WOTD_CACHE", str(tmp_path / "cache"))
    cache = EmbeddingCache(shard_rows=10)
    cache.embed(embedder, TEXTS)
    cache.embed(small, TEXTS[:20])
    return cache


def digests(cache):
    return {each.digest for each in cache.folders()}


def lines(path, texts):
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return path


# --- list


def test_list_says_when_each_was_used(shell, cache, embedder):
    for path in cache.folders()[0].path.iterdir():
        os.utime(path, (0, 0))
    rows = {row["fingerprint"]: row for row in shell("cache", "list").rows}
    assert rows.keys() == digests(cache)
    assert rows[cache.folders()[0].digest]["used"] == "1970-01-01T00:00:00+00:00"
    assert "1970-01-01" in shell("cache", "list", "--format", "table").out


# --- prune


def test_prune_by_fingerprint_frees_what_it_says(shell, cache, embedder, small):
    digest = small.fingerprint.digest
    (going,) = (each for each in cache.folders() if each.digest == digest)
    said = shell("cache", "prune", "--fingerprint", digest[:16])
    assert said.status == 0
    removed, freed = said.out.splitlines()
    assert removed.startswith(f"removed: {going.path} (")
    assert ", 20 texts, " in removed
    assert freed == f"{cache.root}: {going.bytes / 1024:.1f} KiB freed"
    assert digests(cache) == {embedder.fingerprint.digest}


def test_prune_by_model_takes_all_its_fingerprints(shell, cache, embedder):
    assert shell("cache", "prune", "--model", embedder.fingerprint.model, "--yes").status == 0
    assert cache.folders() == []


def test_a_dry_run_removes_nothing(shell, cache):
    before = cache.folders()
    said = shell("cache", "prune", "--keep-bytes", "0", "--dry-run")
    assert said.status == 0
    assert said.out.count("would go: ") == 2
    assert said.out.endswith("would be freed\n")
    assert cache.folders() == before


def test_prune_by_age(shell, cache, small):
    assert shell("cache", "prune", "--older-than", "30d").out == f"{cache.root}: 0 B freed\n"
    (old,) = (each for each in cache.folders() if each.digest == small.fingerprint.digest)
    for path in old.path.iterdir():
        os.utime(path, (time.time() - 31 * 86_400,) * 2)
    assert "removed: " in shell("cache", "prune", "--older-than", "30d").out
    assert small.fingerprint.digest not in digests(cache)
    assert len(cache.folders()) == 1


def test_prune_of_damaged_files_keeps_the_rest(shell, cache, embedder):
    shard = next(cache.root.rglob("shard-*"))
    shard.write_bytes(shard.read_bytes()[:-1])
    assert shell("cache", "verify").status == 1
    said = shell("cache", "prune", "--damaged")
    assert said.out.startswith(f"removed: {shard}.corrupt\n")
    assert not list(cache.root.rglob("*.corrupt"))
    assert sum(each.rows for each in cache.folders()) == 40
    assert shell("cache", "prune", "--damaged").out == f"{cache.root}: 0 B freed\n"


def test_prune_of_what_cannot_be_read(shell, cache, embedder):
    folder = cache.root / "embeddings" / "0123456789abcdef"
    folder.mkdir()
    (folder / "vectors.old").write_bytes(bytes(5000))
    said = shell("cache", "prune", "--unreadable")
    assert said.out.splitlines()[0] == f"removed: {folder} (unknown model, 0 texts, 4.9 KiB)"
    assert not folder.exists()
    assert len(cache.folders()) == 2


def test_prune_on_a_terminal_asks(shell, cache, monkeypatch):
    monkeypatch.setattr("wotd.cli.cache._a_person_watches", lambda: True)
    said = shell("cache", "prune", "--keep-bytes", "0", stdin=b"n\n")
    assert said.status == 130
    assert "Remove this? [y/N]" in said.err
    assert len(cache.folders()) == 2
    assert shell("cache", "prune", "--keep-bytes", "0", stdin=b"y\n").status == 0
    assert cache.folders() == []
    assert shell("cache", "prune", "--keep-bytes", "0", "--yes").status == 0


@pytest.mark.parametrize(
    ("options", "status", "sentence"),
    [
        ([], 2, "say what to prune"),
        (["--damaged", "--model", "x"], 2, "say what to prune"),
        (["--model", "minilm"], 1, "keeps nothing of --model minilm; wotd cache list"),
        (["--fingerprint", "zz"], 1, "keeps nothing of --fingerprint zz"),
        (["--older-than", "soon"], 2, "'soon' is no span of time; expected such as 30d"),
        (["--older-than", "-3d"], 2, "no span of time"),
        (["--keep-bytes", "some"], 2, "'some' is no size; expected such as 20GB"),
    ],
)
def test_prune_refuses_what_says_nothing(refused, cache, options, status, sentence):
    before = cache.folders()
    assert sentence in refused("cache", "prune", *options, status=status)
    assert cache.folders() == before


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0),
        ("12", 12),
        ("1kB", 1000),
        ("1.5GB", 1_500_000_000),
        ("2MiB", 2 << 20),
        ("3 GiB", 3 << 30),
        ("1t", 10**12),
    ],
)
def test_sizes_are_read(text, count):
    from wotd.cli.cache import _bytes

    assert _bytes(text) == count


@pytest.mark.parametrize(("text", "seconds"), [("30d", 2_592_000), ("12h", 43_200), ("2w", 1_209_600), ("1.5m", 90)])
def test_spans_are_read(text, seconds):
    from wotd.cli.cache import _seconds

    assert _seconds(text) == seconds


# --- export


def test_export_of_all_gives_each_text_its_vector(shell, cache, embedder, tmp_path):
    output = tmp_path / "all.parquet"
    assert shell("cache", "export", "--fingerprint", embedder.fingerprint.digest, "--output", output).status == 0
    table = pq.read_table(output)
    found = dict(zip(table["text_sha256"].to_pylist(), table["vector"].to_pylist(), strict=True))
    vectors = cache.embed(embedder, TEXTS).vectors
    assert len(found) == table.num_rows == len(TEXTS)
    for text, vector in zip(TEXTS, vectors, strict=True):
        assert found[hashlib.sha256(text.encode()).hexdigest()] == vector.tolist()
    about = json.loads(table.schema.metadata[b"wotd.fingerprint"])
    assert Fingerprint.from_mapping(about) == embedder.fingerprint


def test_export_of_some_keeps_their_order(shell, cache, small, tmp_path):
    texts = [TEXTS[number] for number in (7, 3, 19, 3)]
    source = lines(tmp_path / "t.jsonl", texts)
    for name in ("e.npy", "e.parquet"):
        options = ["--fingerprint", small.fingerprint.digest, "--input", source, "--output", tmp_path / name]
        assert shell("cache", "export", *options).status == 0
    vectors = np.load(tmp_path / "e.npy")
    np.testing.assert_array_equal(vectors, cache.embed(small, texts).vectors)
    assert pq.read_table(tmp_path / "e.parquet")["vector"].to_pylist() == vectors.tolist()


def test_export_of_all_as_a_matrix(shell, cache, small, tmp_path):
    assert (
        shell("cache", "export", "--fingerprint", small.fingerprint.digest, "--output", tmp_path / "e.npy").status == 0
    )
    rows = np.load(tmp_path / "e.npy")
    assert rows.dtype == np.float32
    assert sorted(map(tuple, rows)) == sorted(map(tuple, cache.embed(small, TEXTS[:20]).vectors))


def test_export_refuses_before_it_writes(refused, cache, embedder, small, tmp_path):
    digest, output = small.fingerprint.digest, tmp_path / "e.npy"
    source = lines(tmp_path / "t.jsonl", TEXTS)
    start = ["cache", "export", "--output", output]
    assert "say of which model" in refused(*start, status=2)
    assert "several fingerprints fit, choose one" in refused(*start, "--model", embedder.fingerprint.model, status=2)
    sentence = refused(*start, "--fingerprint", digest, "--input", source)
    assert "10 of 30 texts of t.jsonl are not in the cache" in sentence
    assert "the first is 'It was night number 20.'" in sentence
    assert "format that is not written" in refused("cache", "export", "--fingerprint", digest, "--output", "e.txt")
    assert not output.exists()
