"""Work for a client that is still there: who goes away gives up its place."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

import anyio
from starlette.requests import ClientDisconnect, Request

Answer = TypeVar("Answer")


async def while_connected(request: Request, work: Awaitable[Answer]) -> Answer:
    """What the work gives, unless the client leaves before; its body has to be read already.

    Raises:
        ClientDisconnect: if it has left, and the work was cancelled; what the work raises, too.
    """
    answers: list[Answer] = []
    errors: list[Exception] = []

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        try:
            answers.append(await work)
        except Exception as error:  # kept, for the group would wrap it
            errors.append(error)
        group.cancel_scope.cancel()
    if errors:
        raise errors[0]
    if not answers:
        raise ClientDisconnect
    return answers[0]
