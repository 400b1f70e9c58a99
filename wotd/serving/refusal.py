"""Refusing a request whose body nobody has read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
from starlette.responses import JSONResponse
from starlette.types import Receive, Send

_LINGER_SECONDS = 2


async def refuse(
    receive: Receive, send: Send, status: int, sentence: str, headers: Mapping[str, str] | None = None
) -> None:
    """Send the answer at once, then let the client finish for a moment, and close.

    A connection that is closed on a client still sending is reset, and many clients then never see the answer.
    """
    answer = JSONResponse({"detail": sentence}, status, {**(headers or {}), "connection": "close"})
    start: dict[str, Any] = {"type": "http.response.start", "status": status, "headers": answer.raw_headers}
    await send(start)
    await send({"type": "http.response.body", "body": answer.body, "more_body": True})
    with anyio.move_on_after(_LINGER_SECONDS):
        while (await receive()).get("more_body", False):
            pass
    await send({"type": "http.response.body", "body": b""})
