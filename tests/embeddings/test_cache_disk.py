"""The cache on disks that flip bytes, lose files, run full, cannot be written, or fail to rename."""

from __future__ import annotations

import errno
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from fake_embedder import FakeEmbedder, expected
from hypothesis import given, settings
from hypothesis import strategies as st
from small_disks import resize, small_disk

from wotd.embeddings import EmbeddingCache, shards
from wotd.embeddings.key_table import KeyTable, read_table
from wotd.errors import EmbeddingError

TEXTS = [f"text number {number}" for number in range(60)]


@pytest.fixture(autouse=True)
def _an_index_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "_FEWEST_ROWS_OF_A_TABLE", 1)


def files(root: Path, pattern: str) -> list[Path]:
    return sorted(root.glob(f"embeddings/*/{pattern}"))


def filled(root: Path, texts: Sequence[str] = TEXTS) -> Path:
    """The folder of a cache with three shards and an index over them."""
    EmbeddingCache(root, shard_rows=20).embed(FakeEmbedder(), texts)
    (index,) = files(root, "index-*")
    return index.parent


def filled_with_index(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with monkeypatch.context() as patch:
        patch.setattr(shards, "_FEWEST_ROWS_OF_A_TABLE", 1)
        return filled(root)


def check(root: Path, texts: Sequence[str] = TEXTS, *, computed: int) -> None:
    """Every text gets its own vector, and so many of them had to be computed; then everything is as it should be."""
    result = EmbeddingCache(root, shard_rows=20).embed(FakeEmbedder(), texts)
    np.testing.assert_array_equal(result.vectors, expected(texts))
    assert result.computed == computed
    again = EmbeddingCache(root).embed(FakeEmbedder(), texts)
    np.testing.assert_array_equal(again.vectors, expected(texts))
    assert (again.computed, EmbeddingCache(root).verify()) == (0, [])


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1 << position % 8
    path.write_bytes(content)


# --- flipped, cut, lost


@pytest.mark.parametrize("seed", range(25))
def test_a_byte_flipped_anywhere_in_a_shard_costs_that_shard(tmp_path: Path, seed: int) -> None:
    filled(tmp_path)
    moments = random.Random(seed)
    victim = moments.choice(files(tmp_path, "shard-*"))
    flip(victim, moments.randrange(victim.stat().st_size))
    check(tmp_path, computed=20)
    assert files(tmp_path, "*.corrupt") == [victim.with_name(victim.name + ".corrupt")]


@pytest.mark.parametrize("seed", range(25))
def test_a_byte_flipped_anywhere_in_the_index_costs_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, seed: int
) -> None:
    (index,) = filled(tmp_path).glob("index-*")
    flip(index, random.Random(seed).randrange(index.stat().st_size))
    check(tmp_path, computed=0)
    assert [record.message.partition(" (")[0] for record in caplog.records] == [f"the cache's index {index} is damaged"]


@pytest.mark.parametrize("name", ["index", "shard"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_file_that_was_cut_is_found(tmp_path: Path, name: str, share: float) -> None:
    victim = files(filled(tmp_path).parents[1], f"{name}-*")[0]
    os.truncate(victim, int(victim.stat().st_size * share))
    check(tmp_path, computed=20 if name == "shard" else 0)


def test_a_lost_index_is_made_again(tmp_path: Path) -> None:
    folder = filled(tmp_path)
    for index in folder.glob("index-*"):
        index.unlink()
    check(tmp_path, computed=0)
    check(tmp_path, [*TEXTS, "one more"], computed=1)
    assert len(list(folder.glob("index-*"))) == 1


def test_a_lost_record_costs_nothing(tmp_path: Path) -> None:
    folder = filled(tmp_path)
    (folder / "fingerprint.json").unlink()
    check(tmp_path, computed=0)
    check(tmp_path, [*TEXTS, "one more"], computed=1)
    assert EmbeddingCache(tmp_path).folders()[0].fingerprint == FakeEmbedder().fingerprint


def test_a_lost_shard_costs_that_shard(tmp_path: Path) -> None:
    filled(tmp_path)
    files(tmp_path, "shard-*")[1].unlink()
    check(tmp_path, computed=20)


def test_everything_lost_but_the_folder(tmp_path: Path) -> None:
    for path in filled(tmp_path).iterdir():
        path.unlink()
    check(tmp_path, computed=60)


@pytest.mark.parametrize("unwritable", [False, True])
def test_only_new_shards_are_sorted_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unwritable: bool) -> None:
    """Though there is no index, or one that is damaged and stays because nothing can be removed."""
    monkeypatch.setattr(shards, "_FEWEST_ROWS_OF_A_TABLE", 1000)
    if unwritable:
        (index,) = filled_with_index(tmp_path, monkeypatch).glob("index-*")
        flip(index, -1)
        monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
    sorted_in: list[int] = []
    of_shards = KeyTable.of_shards

    def watched(names: Sequence[str], keys: Sequence[np.ndarray]) -> KeyTable:
        sorted_in.append(len(names))
        return of_shards(names, keys)

    reader = EmbeddingCache(tmp_path)
    reader.embed(FakeEmbedder(), TEXTS)
    monkeypatch.setattr(KeyTable, "of_shards", watched)
    for number in range(3):
        EmbeddingCache(tmp_path).embed(FakeEmbedder(), [f"new {number}"])
        sorted_in.clear()
        assert reader.embed(FakeEmbedder(), [f"new {number}"]).computed == 0
        assert sorted_in == [1]


# --- an index that is whole and wrong


def _shuffled(table: KeyTable) -> KeyTable:
    turn = np.random.default_rng(0).permutation(len(table))
    return KeyTable(table.names, table.prefixes_R, table.shards_R[turn], table.rows_R[turn])


def _beyond(table: KeyTable) -> KeyTable:
    return KeyTable(table.names, table.prefixes_R, table.shards_R + np.uint32(2), table.rows_R + np.uint32(15))


def _strangers(table: KeyTable) -> KeyTable:
    names = tuple(f"shard-{number:032x}.safetensors" for number in range(len(table.names)))
    return KeyTable(names, table.prefixes_R, table.shards_R, table.rows_R)


def _unsorted(table: KeyTable) -> KeyTable:
    return KeyTable(table.names, table.prefixes_R[::-1], table.shards_R, table.rows_R)


def _all_alike(table: KeyTable) -> KeyTable:
    return KeyTable(table.names, np.full_like(table.prefixes_R, 7), table.shards_R, table.rows_R)


@pytest.mark.parametrize("wrong", [_shuffled, _beyond, _strangers, _unsorted, _all_alike])
def test_a_wrong_index_never_gives_a_wrong_vector(tmp_path: Path, wrong: Callable[[KeyTable], KeyTable]) -> None:
    folder = filled(tmp_path)
    (index,) = folder.glob("index-*")
    digest = FakeEmbedder().fingerprint.digest
    written = wrong(read_table(index, digest)).write(folder, digest)
    assert list(folder.glob("index-*")) == [written]
    result = EmbeddingCache(tmp_path).embed(FakeEmbedder(), TEXTS)
    np.testing.assert_array_equal(result.vectors, expected(TEXTS))
    result = EmbeddingCache(tmp_path).embed(FakeEmbedder(), TEXTS)
    np.testing.assert_array_equal(result.vectors, expected(TEXTS))
    assert result.computed == 0


# --- full


@pytest.fixture
def disk() -> Iterator[Path]:
    """A disk of 40 pages."""
    with small_disk("160k") as disk:
        yield disk


def test_a_full_disk_is_a_sentence_and_nothing_whole_is_lost(disk: Path) -> None:
    texts = [f"text number {number}" for number in range(4000)]
    with pytest.raises(
        EmbeddingError, match=r"cannot be written: No space left .* texts are kept: make room"
    ) as caught:
        EmbeddingCache(disk, shard_rows=100).embed(FakeEmbedder(), texts)
    (folder,) = EmbeddingCache(disk).folders()
    assert folder.rows >= 100
    assert f"; {folder.rows} of 4000 texts are kept" in str(caught.value)
    assert EmbeddingCache(disk).verify() == []
    assert [path.name for path in files(disk, ".*")] == [".lock"]
    resize(disk, "16m")
    check(disk, texts, computed=4000 - folder.rows)


def test_a_full_disk_can_still_be_read(disk: Path) -> None:
    filled(disk)
    filler = disk / "filler"
    with pytest.raises(OSError, match="No space left"):
        filler.write_bytes(bytes(1 << 20))
    check(disk, computed=0)
    with pytest.raises(EmbeddingError, match="No space left"):
        EmbeddingCache(disk).embed(FakeEmbedder(), [*TEXTS, "one more"])
    filler.unlink()
    check(disk, [*TEXTS, "one more"], computed=1)


# --- renaming fails, as over a network


def failing_rename(
    monkeypatch: pytest.MonkeyPatch, name: str, *, number: int, done: bool, code: int = errno.ESTALE
) -> None:
    """From now on the rename to a file of this name (``*`` any) fails the so-many-eth time, done or not."""
    real, tries = Path.replace, 0

    def replace(self: Path, target: Path) -> Path:
        nonlocal tries
        tries += Path(target).match(name)
        if Path(target).match(name) and tries == number:
            if done:
                real(self, target)
            raise OSError(code, os.strerror(code), str(self))
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)


@pytest.mark.parametrize("code", [errno.ESTALE, errno.EIO], ids=["stale", "io"])
def test_a_rename_that_fails_is_a_sentence_and_loses_one_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    failing_rename(monkeypatch, "shard-*", number=2, done=False, code=code)
    with pytest.raises(EmbeddingError, match=rf"cannot be written: {os.strerror(code)}; 20 of 60 texts are kept"):
        EmbeddingCache(tmp_path, shard_rows=20).embed(FakeEmbedder(), TEXTS)
    assert [path.name for path in files(tmp_path, ".*")] == [".lock"]
    check(tmp_path, computed=40)


def test_a_rename_that_fails_though_it_was_done_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing_rename(monkeypatch, "shard-*", number=2, done=True)
    check(tmp_path, computed=60)
    assert files(tmp_path, "*.corrupt") == []


@pytest.mark.parametrize("done", [True, False])
def test_an_index_that_cannot_be_renamed_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, done: bool
) -> None:
    failing_rename(monkeypatch, "index-*", number=1, done=done)
    check(tmp_path, computed=60)
    assert "index of" in caplog.text
    assert not files(tmp_path, ".tmp-*")


def test_a_record_that_cannot_be_renamed_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing_rename(monkeypatch, "fingerprint.json", number=1, done=False)
    with pytest.raises(EmbeddingError, match=r"cannot be written: Stale file handle; set WOTD_CACHE"):
        EmbeddingCache(tmp_path).embed(FakeEmbedder(), TEXTS)
    check(tmp_path, computed=60)


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_a_file_system_without_locks_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(pytest.importorskip("fcntl", reason="locks of POSIX"), "flock", flock)
    with pytest.raises(EmbeddingError, match=r"the embedding cache .* without locks \(flock\); set WOTD_CACHE"):
        EmbeddingCache(tmp_path).embed(FakeEmbedder(), TEXTS)


def test_the_fault_of_a_model_is_not_taken_for_one_of_the_cache(tmp_path: Path) -> None:
    class Broken(FakeEmbedder):
        def embed(self, texts: Sequence[str]) -> np.ndarray:
            raise OSError(errno.EIO, "no weights")

    with pytest.raises(EmbeddingError, match=r"^the embedder failed: .*no weights"):
        EmbeddingCache(tmp_path).embed(Broken(), TEXTS)


def test_a_cache_that_is_removed_meanwhile_begins_anew(tmp_path: Path) -> None:
    class Removing(FakeEmbedder):
        def embed(self, texts: Sequence[str]) -> np.ndarray:
            if TEXTS[0] in texts:
                shutil.rmtree(tmp_path / "embeddings")
            return super().embed(texts)

    cache = EmbeddingCache(tmp_path)
    with pytest.raises(EmbeddingError, match="cannot be written: No such file or directory; 0 of 60 texts are kept"):
        cache.embed(Removing(), TEXTS)
    assert cache.embed(FakeEmbedder(), TEXTS).computed == 60
    check(tmp_path, computed=0)


# --- whatever happens in whatever order

CACHES = st.integers(0, 2)
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("embed"), CACHES, st.sets(st.integers(0, 30), max_size=12)),
        st.tuples(st.just("open anew"), CACHES, st.none()),
        st.tuples(st.just("flip"), st.integers(0, 99), st.integers(0, 10_000)),
        st.tuples(st.just("lose"), st.integers(0, 99), st.none()),
        st.tuples(st.just("verify"), CACHES, st.none()),
    ),
    max_size=12,
)


@settings(max_examples=60)
@given(ACTIONS)
def test_each_text_gets_its_own_vector_whatever_happens_in_between(actions: list[tuple[str, int, object]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        caches = [EmbeddingCache(root, shard_rows=rows) for rows in (1, 3, 5)]
        for name, which, what in actions:
            there = files(root, "shard-*.safetensors") + files(root, "index-*.safetensors")
            if name == "embed" and isinstance(what, set):
                texts = [TEXTS[number] for number in sorted(what)]
                result = caches[which].embed(FakeEmbedder(), texts)
                np.testing.assert_array_equal(result.vectors, expected(texts))
                assert result.computed + result.found == len(texts)
            elif name == "open anew":
                caches[which] = EmbeddingCache(root, shard_rows=which + 1)
            elif name == "verify":
                caches[which].verify()
            elif there and name == "lose":
                there[which % len(there)].unlink()
            elif there and isinstance(what, int):
                victim = there[which % len(there)]
                spoilt = bytearray(victim.read_bytes())
                spoilt[what % len(spoilt)] ^= 16
                victim.unlink()  # those who have mapped it keep what they saw, as with a disk that fails later
                victim.write_bytes(spoilt)
        result = EmbeddingCache(root).embed(FakeEmbedder(), TEXTS)
        np.testing.assert_array_equal(result.vectors, expected(TEXTS))
        assert EmbeddingCache(root).embed(FakeEmbedder(), TEXTS).computed == 0
