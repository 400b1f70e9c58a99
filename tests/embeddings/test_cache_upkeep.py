"""Removing from a cache: what goes, what stays, and that nobody who works is disturbed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from cache_worker import corpus, started, told
from fake_embedder import FakeEmbedder, expected

from wotd.embeddings import EmbeddingCache
from wotd.embeddings.cache_record import CacheFolder
from wotd.embeddings.locks import locked
from wotd.embeddings.upkeep import disposable, opened, remove, remove_file, remove_remains
from wotd.errors import EmbeddingError

TEXTS = corpus(50)
DAY = 86_400.0


def aged(root: Path, flavour: str, texts: list[str], days: float) -> CacheFolder:
    """A folder that was last used so many days ago."""
    embedder = FakeEmbedder(flavour)
    EmbeddingCache(root).embed(embedder, texts)
    (folder,) = (each for each in EmbeddingCache(root).folders() if each.digest == embedder.fingerprint.digest)
    for path in folder.path.iterdir():
        os.utime(path, (time.time() - days * DAY,) * 2)
    return CacheFolder.of(folder.path)


@pytest.fixture
def folders(tmp_path: Path) -> list[CacheFolder]:
    """Of nine days, one day, five days."""
    return [
        aged(tmp_path, "nine", corpus(50), 9),
        aged(tmp_path, "one", corpus(100), 1),
        aged(tmp_path, "five", corpus(150), 5),
    ]


def test_a_folder_says_when_it_was_used(tmp_path: Path) -> None:
    folder = aged(tmp_path, "plain", TEXTS, 9)
    assert time.time() - folder.used == pytest.approx(9 * DAY, abs=60)
    EmbeddingCache(tmp_path).embed(FakeEmbedder(), TEXTS[:1])
    assert time.time() - CacheFolder.of(folder.path).used < 60, "a look-up is a use"


def test_its_size_is_that_of_all_files(folders: list[CacheFolder]) -> None:
    for folder in folders:
        assert folder.bytes == sum(path.stat().st_size for path in folder.path.iterdir())


def test_the_longest_unused_go_first(folders: list[CacheFolder]) -> None:
    nine, one, five = folders
    assert disposable(folders) == [nine, five, one]
    assert disposable(folders, unused_seconds=5 * DAY) == [nine, five]
    assert disposable(folders, unused_seconds=10 * DAY) == []


def test_no_more_go_than_have_to(folders: list[CacheFolder]) -> None:
    nine, one, five = folders
    total = sum(each.bytes for each in folders)
    assert disposable(folders, keep_bytes=total) == []
    assert disposable(folders, keep_bytes=total - 1) == [nine]
    assert disposable(folders, keep_bytes=one.bytes) == [nine, five]
    assert disposable(folders, keep_bytes=0) == [nine, five, one]
    assert disposable(folders, keep_bytes=0, unused_seconds=2 * DAY) == [nine, five], "what is in use stays"


def test_what_does_not_say_what_it_is_can_go(folders: list[CacheFolder]) -> None:
    nine = folders[0]
    (nine.path / "fingerprint.json").write_text("{}")
    assert disposable([CacheFolder.of(each.path) for each in folders], unreadable=True) == [CacheFolder.of(nine.path)]


def test_what_is_removed_is_gone_and_nothing_else(tmp_path: Path, folders: list[CacheFolder]) -> None:
    assert remove(folders[0])
    assert {each.path for each in EmbeddingCache(tmp_path).folders()} == {each.path for each in folders[1:]}
    assert sorted(path.name for path in (tmp_path / "embeddings").iterdir()) == sorted(
        each.path.name for each in folders[1:]
    )
    assert EmbeddingCache(tmp_path).embed(FakeEmbedder("nine"), TEXTS).computed == 50
    assert EmbeddingCache(tmp_path).embed(FakeEmbedder("one"), corpus(100)).computed == 0


def test_who_has_looked_into_it_goes_on(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path)
    cache.embed(FakeEmbedder(), TEXTS)
    assert remove(cache.folders()[0])
    result = cache.embed(FakeEmbedder(), TEXTS)
    np.testing.assert_array_equal(result.vectors, expected(TEXTS))
    assert EmbeddingCache(tmp_path).embed(FakeEmbedder(), TEXTS).computed == 0


def test_what_is_being_added_to_stays(tmp_path: Path) -> None:
    root, home = tmp_path / "cache", tmp_path / "told"
    home.mkdir()
    busy = started(root, home, "busy", TEXTS, seconds_a_text=3.0)
    while not told(home):
        time.sleep(0.001)
    (folder,) = EmbeddingCache(root).folders()
    assert not remove(folder)
    assert folder.path.is_dir()
    busy.kill()
    busy.join(60)
    assert remove(folder), "its claim has died with it"


def test_processes_whose_cache_is_removed_again_and_again_still_get_their_vectors(tmp_path: Path) -> None:
    root, home = tmp_path / "cache", tmp_path / "told"
    home.mkdir()
    processes = [started(root, home, str(number), corpus(400), seconds_a_text=0.001) for number in range(2)]
    removed = 0
    while any(process.is_alive() for process in processes):
        removed += sum(remove(folder) for folder in EmbeddingCache(root).folders())
    for number, process in enumerate(processes):
        process.join(60)
        assert process.exitcode == 0
        np.testing.assert_array_equal(np.load(home / f"{number}.npy"), expected(corpus(400)))
    assert not list(root.glob("embeddings/.going-*"))


def test_a_folder_that_goes_while_it_is_looked_at_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, asked = tmp_path / "cache", []

    def gone(self: Path) -> bool:
        asked.append(self)
        self.rmdir()
        monkeypatch.undo()
        return False

    folder.mkdir()
    monkeypatch.setattr(Path, "is_dir", gone)  # which is how pathlib finds out what it is that exists
    lock = locked(folder)
    assert asked == [folder]
    assert lock.is_locked
    lock.release()


@pytest.mark.parametrize("below", [".", "deeper"])
@pytest.mark.parametrize("kind", ["file", "link to nothing"])
def test_what_is_no_folder_is_no_cache(tmp_path: Path, kind: str, below: str) -> None:
    place = tmp_path / "cache"
    if kind == "file":
        place.write_text("mine")
    else:
        place.symlink_to(tmp_path / "nothing")
    with pytest.raises((FileExistsError, NotADirectoryError), match="cache"):
        locked(place / below)


def test_an_interrupted_removal_is_finished_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    EmbeddingCache(tmp_path).embed(FakeEmbedder(), TEXTS)
    (folder,) = EmbeddingCache(tmp_path).folders()

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("wotd.embeddings.upkeep.shutil.rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            remove(folder)
    assert EmbeddingCache(tmp_path).folders() == [], "half of a folder is none"
    assert len(list((tmp_path / "embeddings").iterdir())) == 1
    remove_remains(tmp_path)
    assert not list((tmp_path / "embeddings").iterdir())


def test_what_cannot_be_removed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    EmbeddingCache(tmp_path).embed(FakeEmbedder(), TEXTS)
    (folder,) = EmbeddingCache(tmp_path).folders()

    def denied(self: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "rename", denied)
    with pytest.raises(EmbeddingError, match=rf"{folder.path} cannot be removed .*: Permission denied\."):
        remove(folder)


def test_damaged_files_can_go(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path, shard_rows=25)
    cache.embed(FakeEmbedder(), TEXTS)
    shard = next(tmp_path.glob("embeddings/*/shard-*"))
    size = shard.stat().st_size
    shard.write_bytes(bytes(size))
    assert cache.verify() == [shard]
    (damaged,) = cache.folders()[0].damaged
    assert damaged == shard.with_name(shard.name + ".corrupt")
    assert (remove_file(damaged), remove_file(damaged)) == (size, 0)
    assert cache.folders()[0].damaged == ()
    assert cache.embed(FakeEmbedder(), TEXTS).computed == 25


def test_all_that_is_sound_can_be_taken_out(tmp_path: Path) -> None:
    EmbeddingCache(tmp_path, shard_rows=20).embed(FakeEmbedder(), TEXTS)
    spoilt = next(tmp_path.glob("embeddings/*/shard-*"))
    spoilt.write_bytes(spoilt.read_bytes()[:-1] + b"?")
    stored = list(opened(EmbeddingCache(tmp_path).folders()[0]).sound())
    left = {key: vector for shard in stored for key, vector in zip(shard.keys.tolist(), shard.vectors, strict=True)}
    assert len(left) in (30, 40)
    rows = {vector.tobytes() for vector in expected(TEXTS)}
    assert all(vector.tobytes() in rows for vector in left.values())


def test_what_does_not_say_what_it_is_is_not_taken_out(tmp_path: Path) -> None:
    EmbeddingCache(tmp_path).embed(FakeEmbedder(), TEXTS)
    next(tmp_path.glob("embeddings/*/fingerprint.json")).unlink()
    with pytest.raises(EmbeddingError, match="cannot be read, so nobody knows"):
        opened(EmbeddingCache(tmp_path).folders()[0])
