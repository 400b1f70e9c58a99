"""Batches of what many ask at once: everybody gets his own answers, in turns, within bounds."""

from __future__ import annotations

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wotd.errors import InputError
from wotd.serving.batching import Batcher, BusyError


class Work:
    """Answers each text with its capitals; keeps every batch, and holds the first until it is let go."""

    def __init__(self, *, held: bool = False) -> None:
        self.batches: list[list[str]] = []
        self.go = threading.Event()
        if not held:
            self.go.set()

    def __call__(self, texts: list[str]) -> list[str]:
        self.batches.append(list(texts))
        assert self.go.wait(10)
        if any("!" in text for text in texts):
            raise InputError("no shouting.")
        return [text.upper() for text in texts]


def batcher(work: Work, *, lanes: int = 1, max_batch: int = 4, max_waiting: int = 100) -> Batcher[str]:
    return Batcher(work, lanes=lanes, max_batch=max_batch, max_waiting=max_waiting)


async def asked(made: Batcher[str], *requests: list[str]) -> list[asyncio.Task]:
    """Tasks that wait for their answers, begun in this order."""
    tasks = [asyncio.create_task(made.ask(texts)) for texts in requests]
    await asyncio.sleep(0.02)
    return tasks


@given(
    st.lists(st.lists(st.text("abc", min_size=1, max_size=3), max_size=9), max_size=12),
    st.integers(1, 3),
    st.integers(1, 5),
)
def test_everybody_gets_his_own_answers_in_order(requests: list[list[str]], lanes: int, max_batch: int) -> None:
    async def run() -> list[list[str]]:
        work = Work()
        made = batcher(work, lanes=lanes, max_batch=max_batch, max_waiting=1000)
        answers = await asyncio.gather(*(made.ask(texts) for texts in requests))
        assert all(len(batch) <= max_batch for batch in work.batches)
        assert sorted(text for batch in work.batches for text in batch) == sorted(
            text for texts in requests for text in texts
        )
        assert made.waiting == 0
        return answers

    assert asyncio.run(run()) == [[text.upper() for text in texts] for texts in requests]


def test_what_gathers_while_a_batch_is_computed_goes_together_and_many_texts_do_not_hold_up_one() -> None:
    async def run() -> list[list[str]]:
        work = Work(held=True)
        made = batcher(work)
        tasks = await asked(made, ["a"], list("bcdefghijk"), ["x"], ["y"])
        work.go.set()
        await asyncio.gather(*tasks)
        return work.batches

    assert asyncio.run(run()) == [["a"], list("bcde"), ["x", "y", "f", "g"], ["h", "i", "j", "k"]]


def test_an_idle_batcher_shares_a_request_out_over_its_lanes() -> None:
    async def run() -> list[list[str]]:
        work = Work()
        await batcher(work, lanes=2, max_batch=8).ask(list("abcdef"))
        return sorted(work.batches)

    assert asyncio.run(run()) == [list("abc"), list("def")]


def test_beyond_the_bound_nobody_waits_and_is_told_when_to_come_again() -> None:
    async def run() -> None:
        work = Work(held=True)
        made = batcher(work, max_waiting=5)
        tasks = await asked(made, list("abcd"), list("efgh"))
        assert made.waiting == 4
        with pytest.raises(BusyError, match="4 texts wait, and at most 5 may") as refused:
            await made.ask(["i", "j"])
        assert 1 <= refused.value.retry_seconds <= 60
        tasks += await asked(made, ["i"])
        work.go.set()
        assert [len(answers) for answers in await asyncio.gather(*tasks)] == [4, 4, 1]

    asyncio.run(run())


def test_one_request_does_not_spoil_those_that_came_with_it() -> None:
    async def run() -> None:
        work = Work(held=True)
        made = batcher(work)
        first, good, bad = await asked(made, ["a"], ["b"], ["c!"])
        work.go.set()
        assert await first == ["A"]
        assert await good == ["B"]
        with pytest.raises(InputError, match="no shouting"):
            await bad
        assert await made.ask(["d"]) == ["D"]

    asyncio.run(run())


def test_who_gives_up_leaves_the_line() -> None:
    async def run() -> list[list[str]]:
        work = Work(held=True)
        made = batcher(work)
        first, second, third = await asked(made, ["a"], ["b", "c"], ["d"])
        second.cancel()
        await asyncio.sleep(0.02)
        assert made.waiting == 1
        work.go.set()
        await asyncio.gather(first, third)
        return work.batches

    assert asyncio.run(run()) == [["a"], ["d"]]


def test_who_waits_for_others_to_gather_keeps_it_from_being_idle() -> None:
    async def run() -> None:
        work = Work(held=True)
        made = batcher(work)
        (first,) = await asked(made, ["a"])
        await asyncio.sleep(0.3)  # a long batch, so that the moment after it is as long as it gets
        work.go.set()
        await first
        second = asyncio.create_task(made.ask(["b"]))
        await asyncio.sleep(0)
        assert len(work.batches) == 1  # the moment is not over
        assert not made.idle
        while not made.idle:
            await asyncio.sleep(0.001)
        made.close()
        assert await second == ["B"]

    asyncio.run(run())


def test_closing_lets_what_is_under_way_finish() -> None:
    async def run() -> list[str]:
        work = Work(held=True)
        made = batcher(work)
        (task,) = await asked(made, ["a"])
        assert not made.idle
        made.close()
        work.go.set()
        return await task

    assert asyncio.run(run()) == ["A"]
