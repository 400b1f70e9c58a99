"""Work beside the event loop: few threads, a bounded line before them, and an end to waiting."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import ParamSpec, TypeVar

import anyio
from anyio import to_thread

from wotd.serving.batching import BusyError

_Given = ParamSpec("_Given")
_Answer = TypeVar("_Answer")

_MOST_WAITING = 256
_SMALL = 16 * 1024
"""Characters, or bytes, that are read or written in well under a millisecond."""


class Threads:
    """Runs functions that would hold up the event loop."""

    def __init__(self, count: int, seconds: float) -> None:
        """Allow so many at a time.

        Args:
            count: functions that run side by side.
            seconds: how long one may wait and run.
        """
        self._limiter = anyio.CapacityLimiter(count)
        self._seconds = seconds
        self._inside = 0

    async def run(self, function: Callable[_Given, _Answer], *args: _Given.args, **kwargs: _Given.kwargs) -> _Answer:
        """What a function gives.

        Raises:
            BusyError: if too many wait already, or it takes too long; what the function raises, too.
        """
        if self._inside >= _MOST_WAITING:
            raise BusyError(f"the server is busy: {self._inside} requests wait, and no more may; try again.", 1)
        self._inside += 1
        try:
            with anyio.fail_after(self._seconds):
                return await to_thread.run_sync(
                    partial(function, *args, **kwargs), limiter=self._limiter, abandon_on_cancel=True
                )
        except TimeoutError:
            raise BusyError(
                f"the answer took longer than {self._seconds:g} s; ask for less, or try again.", 1
            ) from None
        finally:
            self._inside -= 1

    async def run_if_large(
        self, size: int, function: Callable[_Given, _Answer], *args: _Given.args, **kwargs: _Given.kwargs
    ) -> _Answer:
        """What a function gives, at once where its work is small: going to a thread and back would cost more."""
        if size <= _SMALL:
            return function(*args, **kwargs)
        return await self.run(function, *args, **kwargs)

    def running(self, function: Callable[_Given, _Answer]) -> Callable[_Given, Awaitable[_Answer]]:
        """The same function as a coroutine that runs here; a route for one."""

        @wraps(function)
        async def run(*args: _Given.args, **kwargs: _Given.kwargs) -> _Answer:
            return await self.run(function, *args, **kwargs)

        return run
