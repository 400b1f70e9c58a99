"""What of request bodies is taken in: how large one may be, how large all may be together, and how slowly one may come.

Plain ASGI, so that a body is judged before anything of it is read.
"""

from __future__ import annotations

from time import monotonic

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wotd.serving.refusal import refuse
from wotd.serving.settings import ServerSettings

_MAX_DIGITS = 20
"""Of a Content-Length that are read; a number that has more is too large in any case."""


class BodyLimits:
    """Answers 413 to a body over the limit, 503 to one for which there is no room now, 408 to one that is too slow.

    Judged by its Content-Length before reading where there is one, else while it streams in.
    """

    def __init__(self, app: ASGIApp, settings: ServerSettings) -> None:
        self.app = app
        self._settings = settings
        self._pending = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer by the inner application unless the body is refused."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = _Body(self, receive, self._settings)
        started = False

        async def watched_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            declared = dict(scope["headers"]).get(b"content-length", b"0")
            body.check_size(int(declared.lstrip(b"0")[:_MAX_DIGITS] or 0) if declared.isdigit() else 0)
            await self.app(scope, body.receive, watched_send)
        except _RefusedError as refused:
            if started:
                raise
            retry = {"retry-after": "1"} if refused.status == 503 else None
            await refuse(receive, send, refused.status, str(refused), retry)
        finally:
            self._pending -= body.reserved

    def take(self, count: int) -> None:
        """Make room for more bytes of a body.

        Raises:
            _RefusedError: if there is none.
        """
        if self._pending + count > self._settings.max_pending_bytes:
            raise _RefusedError(503, "the server is busy with other large requests; try again.")
        self._pending += count


class _Body:
    """One body on its way in."""

    def __init__(self, limits: BodyLimits, receive: Receive, settings: ServerSettings) -> None:
        self._limits, self._receive = limits, receive
        self._max, self._seconds = settings.max_body_bytes, settings.read_seconds
        self._deadline = monotonic() + settings.read_seconds
        self._whole = False
        self.reserved = 0

    def check_size(self, size: int) -> None:
        """Refuse a body that is too large, or says it will be."""
        if size > self._max:
            raise _RefusedError(413, f"the body is over {self._max} bytes; send fewer or shorter texts at a time.")

    async def receive(self) -> Message:
        if self._whole:  # what comes now is that the client has gone, at any time
            return await self._receive()
        try:
            with anyio.fail_after(max(0.0, self._deadline - monotonic())):
                message = await self._receive()
        except TimeoutError:
            raise _RefusedError(408, f"the body was not whole after {self._seconds:g} s.") from None
        arrived = len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        self.check_size(self.reserved + arrived)
        # Room is taken by what has come, not by what is announced: announcing costs nothing.
        self._limits.take(arrived)
        self.reserved += arrived
        return message


class _RefusedError(Exception):
    """Leads from the reading of a body to its refusal."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
