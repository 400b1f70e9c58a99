"""Reading ahead and writing behind, each in a thread of its own, one step and no more; and one thing meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Thread
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
_END = object()


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The items in order; while one is used, the next is made ready."""
    stream: Iterator[Item | object] = iter(items)
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, stream, _END)
        while (item := coming.result()) is not _END:
            coming = pool.submit(next, stream, _END)
            yield item  # type: ignore[misc]


@contextmanager
def behind(action: Callable[[Item], object]) -> Iterator[Callable[[Item], None]]:
    """A function that hands items to the action, one after the other; all are done when the block ends well."""
    with ThreadPoolExecutor(1) as pool:
        pending: Future[object] | None = None

        def hand_over(item: Item) -> None:
            nonlocal pending
            if pending is not None:
                pending.result()
            pending = pool.submit(action, item)

        yield hand_over
        if pending is not None:
            pending.result()


def meanwhile(action: Callable[[], Result]) -> Callable[[], Result]:
    """Begin an action, and give what waits for its result. Who fails before it asks for that waits for nothing."""
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(action())
        except BaseException as error:  # raised where the result is asked for
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future.result
