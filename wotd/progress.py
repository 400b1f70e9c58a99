"""Progress bars on stderr: how many are done, how fast, how long it will still take.

Quiet where nobody watches (stderr is no terminal) or nobody wants it (``WOTD_PROGRESS=0``): then one
line goes to the log when the work is done.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Advance = Callable[[int], None]
"""Says that so many more are done."""


def shown() -> bool:
    """Whether bars are drawn."""
    return os.environ.get("WOTD_PROGRESS", "") != "0" and sys.stderr is not None and sys.stderr.isatty()


def track(
    items: Iterable[Item], description: str, total: int | None = None, unit: str = "items", *, logged: bool = True
) -> Iterator[Item]:
    """Yield the items and show how far it has come.

    Args:
        items: what is worked through.
        description: stands before the bar.
        total: how many there are; None: asked of ``items``, unknown if it cannot say.
        unit: what is counted, in the plural.
        logged: whether a line goes to the log when the work is done; not for what others speak of anyhow.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    with progress(description, total, unit, logged=logged) as advance:
        for item in items:
            yield item
            advance(1)


@contextmanager
def progress(
    description: str, total: int | None = None, unit: str = "items", *, logged: bool = True
) -> Iterator[Advance]:
    """Show a bar while the block runs; the block calls what it is given with each number newly done."""
    done, start = 0, time.monotonic()
    if shown():
        with _bar(unit) as bar:
            task = bar.add_task(description, total=total)

            def advance(count: int) -> None:
                nonlocal done
                done += count
                bar.advance(task, count)

            yield advance
    else:

        def advance(count: int) -> None:
            nonlocal done
            done += count

        yield advance
    seconds = time.monotonic() - start
    if logged:
        logger.info(
            "%s: %d %s in %.1f s (%.0f per second)", description, done, unit, seconds, done / max(seconds, 1e-9)
        )


def _bar(unit: str) -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class RateColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:,.0f} {unit}/s", style="progress.data.speed")

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=Console(stderr=True),
    )
