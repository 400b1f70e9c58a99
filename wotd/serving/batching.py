"""Dynamic batching: what many requests want of a model is done together.

While a batch is computed, requests gather; the next batch takes from all of them in turn, so that one text
never waits behind the thousands of another request. An idle model takes what comes at once; a busy one, when
a batch is done, gives those who got their answers a moment to ask again, a twentieth of the time the batch
took, so that the first of them does not go alone. As in Clipper (Crankshaw et al., 2017) and Orca (Yu et al.,
2022), batches are formed when the hardware is free rather than by a clock.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from time import monotonic
from typing import Generic, TypeVar

from wotd.errors import WOTDError

Answer = TypeVar("Answer")

_MOST_RETRY_SECONDS = 60
_GATHERING_SHARE, _MOST_GATHERING_SECONDS = 0.05, 0.02


class BusyError(WOTDError):
    """More waits already than may."""

    def __init__(self, message: str, retry_seconds: int) -> None:
        """Say when another try is worth it."""
        super().__init__(message)
        self.retry_seconds = retry_seconds


@dataclass(eq=False)
class _Request(Generic[Answer]):
    """Texts of one request, how many of them are under way, how many in this turn, and the answers so far."""

    texts: Sequence[str]
    done: asyncio.Future[list[Answer]]
    taken: int = 0
    turn: int = 0
    answers: dict[int, Answer] = field(default_factory=dict)

    @property
    def waiting(self) -> int:
        return 0 if self.done.done() else len(self.texts) - self.taken


@dataclass(frozen=True)
class _Share(Generic[Answer]):
    """What a batch takes of one request."""

    request: _Request[Answer]
    first: int
    texts: Sequence[str]


class Batcher(Generic[Answer]):
    """Texts in, one answer a text out, computed batch by batch on threads beside the event loop.

    Belongs to one event loop; its methods are to be called from that loop.
    """

    def __init__(
        self,
        work: Callable[[list[str]], list[Answer]],
        *,
        lanes: int,
        max_batch: int,
        max_waiting: int,
        observe: Callable[[int, float], None] | None = None,
    ) -> None:
        """Batch the calls of a function.

        Args:
            work: gives one answer a text, in order; has to be safe under calls from ``lanes`` threads.
            lanes: how many batches are computed side by side.
            max_batch: texts of a batch.
            max_waiting: texts that may wait for their turn.
            observe: told the texts and the seconds of every batch.
        """
        self._work = work
        self._lanes, self._max_batch, self._max_waiting = lanes, max_batch, max_waiting
        self._observe = observe
        self._requests: deque[_Request[Answer]] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._pool = ThreadPoolExecutor(lanes, thread_name_prefix="batch")
        self._seconds_per_text = 0.0
        self._gathering_until = 0.0
        self._gathering: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """Texts that no batch has taken yet."""
        return sum(request.waiting for request in self._requests)

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is computed."""
        return not self._running and not self.waiting

    async def ask(self, texts: Sequence[str]) -> list[Answer]:
        """Answers for texts, in order. Who is cancelled gives up its place.

        Raises:
            BusyError: if too many texts wait; what the work raises for these texts, too.
        """
        if not texts:
            return []
        waiting = self.waiting
        if waiting + len(texts) > self._max_waiting:
            raise BusyError(
                f"the server is busy: {waiting} texts wait, and at most {self._max_waiting} may; try again.",
                self._retry_seconds(waiting),
            )
        request = _Request[Answer](texts, asyncio.get_running_loop().create_future())
        self._requests.append(request)
        self._start_lanes()
        return await request.done

    def close(self) -> None:
        """Let the threads go when they have done what they are at."""
        self._pool.shutdown(wait=False)

    def _retry_seconds(self, waiting: int) -> int:
        return min(_MOST_RETRY_SECONDS, max(1, math.ceil(waiting * self._seconds_per_text)))

    def _start_lanes(self) -> None:
        loop = asyncio.get_running_loop()
        seconds = self._gathering_until - loop.time()
        if seconds > 0 and self.waiting < self._max_batch:
            if self._gathering is None:
                self._gathering = loop.call_later(seconds, self._gathered)
            return
        while len(self._running) < self._lanes and (batch := self._next_batch()):
            task = loop.create_task(self._compute(batch))
            self._running.add(task)
            task.add_done_callback(self._finished)

    def _gathered(self) -> None:
        self._gathering = None
        self._start_lanes()

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._start_lanes()

    def _next_batch(self) -> list[_Share[Answer]]:
        """The texts whose turn it is; what is done or given up leaves the line.

        A turn is a batch's worth of texts. Who wants more goes to the end of the line for the rest.
        """
        self._requests = deque(request for request in self._requests if request.waiting)
        room = self._max_batch
        if self._lanes > 1:  # what waits is shared out, so that no core idles beside a full one
            room = max(1, min(room, math.ceil(self.waiting / (self._lanes - len(self._running)))))
        batch: list[_Share[Answer]] = []
        while room and self._requests:
            request = self._requests.popleft()
            first, count = request.taken, min(request.waiting, room, self._max_batch - request.turn)
            batch.append(_Share(request, first, request.texts[first : first + count]))
            request.taken += count
            request.turn += count
            room -= count
            if request.waiting and request.turn < self._max_batch:
                self._requests.appendleft(request)
            elif request.waiting:
                request.turn = 0
                self._requests.append(request)
        return batch

    async def _compute(self, batch: list[_Share[Answer]]) -> None:
        started = monotonic()
        try:
            await self._answer(batch)
        except Exception as error:
            if len({share.request for share in batch}) == 1:
                _fail(batch[0].request, error)
                return
            # One request must not spoil those that happened to come with it.
            for share in batch:
                try:
                    await self._answer([share])
                except Exception as own_error:
                    _fail(share.request, own_error)
        texts, seconds = sum(len(share.texts) for share in batch), monotonic() - started
        self._seconds_per_text = seconds / texts / self._lanes
        gathering = min(_MOST_GATHERING_SECONDS, _GATHERING_SHARE * seconds)
        self._gathering_until = asyncio.get_running_loop().time() + gathering
        if self._observe is not None:
            self._observe(texts, seconds)

    async def _answer(self, batch: list[_Share[Answer]]) -> None:
        texts = [text for share in batch for text in share.texts]
        answers = iter(await asyncio.get_running_loop().run_in_executor(self._pool, self._work, texts))
        for share in batch:
            request = share.request
            # The range comes first: zip asks it first, and so takes no answer too many from the iterator.
            request.answers.update(zip(range(share.first, share.first + len(share.texts)), answers, strict=False))
            if len(request.answers) == len(request.texts) and not request.done.done():
                request.done.set_result([request.answers[place] for place in range(len(request.texts))])


def _fail(request: _Request[Answer], error: Exception) -> None:
    if not request.done.done():
        request.done.set_exception(error)
