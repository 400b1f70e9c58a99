"""What every answer passes through: the bound on bodies, security headers, and a last net for our own bugs.

Plain ASGI, so that a body is judged before anything of it is read.
"""

from __future__ import annotations

import logging
import traceback
from typing import Any

import anyio
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SECURITY_HEADERS = [
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]
_LINGER_SECONDS = 2


class SecurityHeaders:
    """Adds to every answer what keeps browsers from doing more with it than is meant."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer by the inner application."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *_SECURITY_HEADERS]}
            await send(message)

        await self.app(scope, receive, send_with_headers)


class UnexpectedErrors:
    """Turns what nobody foresaw into a plain 500; the details go to the log alone.

    The message of the exception is not logged, for it may quote a text.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer by the inner application, or for it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def watched_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, watched_send)
        except ClientDisconnect:
            logger.info("a client went away before its request was whole")
        except Exception as error:
            frames = "".join(traceback.format_tb(error.__traceback__))
            logger.error("%s while answering a %s:\n%s", type(error).__qualname__, scope["method"], frames)
            if started:  # too late for another status; breaking off tells the client
                raise ConnectionError("an answer was broken off") from None
            answer = JSONResponse({"detail": "something went wrong in the server; its log says more."}, 500)
            await answer(scope, receive, send)


class BodyLimit:
    """Answers 413 to a body over the limit: by its Content-Length before reading, else while it streams in."""

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self.app = app
        self.max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer by the inner application unless the body is too large."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if int(declared) > self.max_body_bytes:
            await self._refuse(receive, send)
            return
        received = 0

        async def counted_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_body_bytes:
                raise _BodyTooLargeError
            return message

        try:
            await self.app(scope, counted_receive, send)
        except _BodyTooLargeError:
            await self._refuse(receive, send)

    async def _refuse(self, receive: Receive, send: Send) -> None:
        """Send the answer at once, then let the client finish for a moment.

        A connection that is closed on a client still sending is reset, and many clients then never
        see the answer.
        """
        answer = JSONResponse(
            {"detail": f"the body is over {self.max_body_bytes} bytes; send fewer or shorter texts at a time."},
            413,
            {"connection": "close"},
        )
        start: dict[str, Any] = {"type": "http.response.start", "status": 413, "headers": answer.raw_headers}
        await send(start)
        await send({"type": "http.response.body", "body": answer.body, "more_body": True})
        with anyio.move_on_after(_LINGER_SECONDS):
            while (await receive()).get("more_body", False):
                pass
        await send({"type": "http.response.body", "body": b""})


class _BodyTooLargeError(Exception):
    """Leads from the reading of a body to its refusal."""
