"""The processes that train together, as ``torch.distributed`` knows them; this one alone where it knows none."""

from __future__ import annotations

import atexit
import re
from collections.abc import Callable, Iterable
from typing import TypeVar

import torch
import torch.distributed
from torch import Tensor

from wotd.errors import WOTDError

T = TypeVar("T")

_GLOO_LOST = re.compile(
    r"connection (closed|reset) by peer|(read|write) error|socket closed|broken pipe|pair closure|"
    r"timed out (waiting|connecting)|connect timeout|connection (refused|timed out)|connectFullMesh failed",
    re.IGNORECASE,
)
"""What gloo says of a connection that is no more, or was never made; of its other errors it says other things."""


def together() -> bool:
    """Whether this process has met others."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def number() -> int:
    """W, how many there are."""
    return torch.distributed.get_world_size() if together() else 1


def rank() -> int:
    """Which of them this is, from 0."""
    return torch.distributed.get_rank() if together() else 0


def leave_at_exit() -> None:
    """Part from the others before the interpreter ends, as Lightning does for NCCL alone.

    Gloo's threads may be about to give back what the interpreter has to take; one that is gone by then ends with
    SIGABRT, which a launcher takes for a failure (pytorch/pytorch#179291).
    """
    atexit.unregister(_leave)
    atexit.register(_leave)


def _leave() -> None:
    if together():
        torch.distributed.destroy_process_group()


@torch.no_grad()
def summed(value: Tensor) -> Tensor:
    """The sum of what all processes have under that name; without a gradient. All of them have to ask for it."""
    if number() == 1:
        return value.detach()
    total = value.detach().clone()
    torch.distributed.all_reduce(total)
    return total


@torch.no_grad()
def follow_first(tensors: Iterable[Tensor]) -> None:
    """Take over what the first process has: machines of another make may have come to other last bits."""
    if number() > 1:
        for tensor in tensors:
            torch.distributed.broadcast(tensor, 0)


def as_first(decide: Callable[[], T]) -> T:
    """What the first process decides, which alone is asked; what it refuses, all refuse. All of them have to ask.

    Raises:
        WOTDError: that of the first process.
    """
    decided: list[T | WOTDError] = []
    if rank() == 0:
        try:
            decided = [decide()]
        except WOTDError as error:
            decided = [error]
    [answer] = from_first(decided)
    if isinstance(answer, WOTDError):
        raise answer
    return answer


def from_first(value: T) -> T:
    """Plain data as the first process has it. All of them have to ask for it."""
    told = [value]
    if number() > 1:
        torch.distributed.broadcast_object_list(told, 0)
    return told[0]


def is_lost(error: BaseException) -> bool:
    """Whether an error says that another process can no longer be reached: it ended, or its machine did.

    NCCL's errors have a class; gloo says it in words alone.
    """
    seen: BaseException | None = error
    while together() and seen is not None:
        said = str(seen)
        if isinstance(seen, torch.distributed.DistError) or ("gloo" in said.lower() and _GLOO_LOST.search(said)):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
