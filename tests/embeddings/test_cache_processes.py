"""The cache between processes: shared work, and processes that are killed in the middle of anything."""

from __future__ import annotations

import logging
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from cache_worker import corpus, meetings_of, started, told
from fake_embedder import FakeEmbedder, expected

from wotd.embeddings import EmbeddingCache

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGKILL and fork servers are things of POSIX")

SHARD_ROWS = 20


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where processes tell."""
    (tmp_path / "told").mkdir()
    return tmp_path / "told"


def kept(root: Path) -> int:
    return sum(folder.rows for folder in EmbeddingCache(root).folders())


def leftovers(root: Path) -> list[str]:
    """Files that only unfinished work may leave."""
    return sorted(path.name for path in root.glob("embeddings/*/.*") if path.name != ".lock")


def check_whole(root: Path, texts: list[str]) -> None:
    """Everything is there, right, sound, and nothing else is."""
    result = EmbeddingCache(root).embed(FakeEmbedder(), texts)
    np.testing.assert_array_equal(result.vectors, expected(texts))
    assert (result.computed, kept(root)) == (0, len(texts))
    assert EmbeddingCache(root).verify() == []
    assert not list(root.glob("embeddings/*/*.corrupt"))
    assert leftovers(root) == []


# --- killed


def killed_again_and_again(root: Path, home: Path, kills: int, at_once: int) -> list[str]:
    """Kill groups of processes at random moments until so many died at work; gives the texts they were to embed."""
    texts, moments, died, turn = corpus(0), random.Random(kills), 0, 0
    while died < kills:
        turn += 1
        there = kept(root)
        texts = corpus(there + 1000)  # more than they get done before they are killed
        names = [f"{turn}-{number}" for number in range(at_once)]
        processes = [started(root, home, name, texts, seconds_a_text=0.0005) for name in names]
        time.sleep(moments.random() * 0.06)
        for process in processes:
            process.kill()
        for process in processes:
            process.join(60)
        dead = [process.exitcode for process in processes].count(-signal.SIGKILL)
        died += dead
        lost = len(told(home, f"{turn}-*")) - (kept(root) - there)
        assert lost <= SHARD_ROWS * dead, "each lost at most the shard it was working on"
    return texts


def check_kills(root: Path, home: Path, kills: int, at_once: int) -> None:
    texts = killed_again_and_again(root, home, kills, at_once)
    before, at_hand = len(told(home)), kept(root)
    last = started(root, home, "last", texts)
    last.join(60)
    assert last.exitcode == 0
    np.testing.assert_array_equal(np.load(home / "last.npy"), expected(texts))
    assert len(told(home)) - before == len(texts) - at_hand, "what was kept is not embedded again"
    assert len(told(home)) <= len(texts) + SHARD_ROWS * (kills + at_once)
    check_whole(root, texts)


@pytest.mark.parametrize("at_once", [1, 2, 4])
def test_killed_processes_spoil_nothing_and_lose_a_shard_at_most(root: Path, home: Path, at_once: int) -> None:
    check_kills(root, home, kills=50, at_once=at_once)


@pytest.mark.nightly
@pytest.mark.parametrize("at_once", [1, 2, 4])
def test_hundreds_of_killed_processes_spoil_nothing(root: Path, home: Path, at_once: int) -> None:
    check_kills(root, home, kills=500, at_once=at_once)


def test_others_go_on_with_what_a_killed_process_had_claimed(root: Path, home: Path) -> None:
    texts = corpus(200)
    victim = started(root, home, "victim", texts, seconds_a_text=1.0)  # twenty seconds a shard
    while not told(home, "victim"):
        time.sleep(0.001)
    other = started(root, home, "other", texts)
    deadline = time.monotonic() + 60
    while kept(root) < 180 and time.monotonic() < deadline:
        time.sleep(0.005)
    assert other.is_alive(), "it waits for the last shard"
    assert not set(told(home, "other")) & set(told(home, "victim"))
    victim.kill()
    other.join(60)
    assert other.exitcode == 0
    assert Counter(told(home)) == Counter([*texts, *told(home, "victim")])
    check_whole(root, texts)


# --- side by side


@pytest.mark.parametrize("number", [2, 4])
def test_processes_with_the_same_texts_share_the_work(root: Path, home: Path, number: int) -> None:
    texts = corpus(600)
    orders = [texts[turn * 100 :] + texts[: turn * 100] for turn in range(number)]
    # All embed at once so many times, however late the machine starts one of them: a third of an even share.
    meetings = meetings_of(number, times=600 // SHARD_ROWS // number // 3 + 1)
    processes = [started(root, home, str(turn), order, meetings=meetings) for turn, order in enumerate(orders)]
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * number
    for turn, order in enumerate(orders):
        np.testing.assert_array_equal(np.load(home / f"{turn}.npy"), expected(order))
    assert Counter(told(home)) == Counter(texts), "each text is embedded once"
    shares = [len(told(home, str(turn))) for turn in range(number)]
    assert min(shares) >= 600 / number / 3, f"the shares of the processes were {shares}"
    check_whole(root, texts)


def test_who_waits_for_another_process_says_so(root: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [meeting] = meetings_of(2, times=1)
    other = started(root, home, "other", corpus(100), meetings=[meeting])
    while not told(home):
        time.sleep(0.001)
    said: list[str] = []

    def info(message: str, *values: object) -> None:
        said.append(message % values)
        meeting.wait()  # the other goes on only now

    monkeypatch.setattr(logging.getLogger("wotd.embeddings.computation"), "info", info)
    result = EmbeddingCache(root, SHARD_ROWS).embed(FakeEmbedder(), corpus(100))
    other.join(60)
    assert (result.computed, other.exitcode) == (80, 0), "all but what the other has taken on is done meanwhile"
    [line] = said
    assert line.startswith("another process is embedding 20 texts into ")


def test_processes_with_some_texts_in_common_embed_each_once(root: Path, home: Path) -> None:
    processes = [
        started(root, home, str(turn), corpus(300, first=100 * turn), seconds_a_text=0.0005) for turn in range(4)
    ]
    for turn, process in enumerate(processes):
        process.join(60)
        assert process.exitcode == 0
        np.testing.assert_array_equal(np.load(home / f"{turn}.npy"), expected(corpus(300, first=100 * turn)))
    assert Counter(told(home)) == Counter(corpus(600))
    check_whole(root, corpus(600))


def test_processes_with_other_texts_do_not_wait(root: Path, home: Path) -> None:
    busy = started(root, home, "busy", corpus(20), seconds_a_text=3.0)
    while not told(home):
        time.sleep(0.001)
    result = EmbeddingCache(root).embed(FakeEmbedder(), corpus(50, first=1000))
    assert (result.computed, busy.is_alive()) == (50, True)
    busy.kill()
    busy.join(60)
    assert EmbeddingCache(root).embed(FakeEmbedder(), corpus(20)).computed == 20
    check_whole(root, corpus(20) + corpus(50, first=1000))


def test_reading_never_waits(root: Path, home: Path) -> None:
    EmbeddingCache(root).embed(FakeEmbedder(), corpus(50, first=1000))
    busy = started(root, home, "busy", corpus(20), seconds_a_text=3.0)
    while not told(home):
        time.sleep(0.001)
    assert EmbeddingCache(root).embed(FakeEmbedder(), corpus(50, first=1000)).computed == 0
    assert busy.is_alive()
    busy.kill()
    busy.join(60)
