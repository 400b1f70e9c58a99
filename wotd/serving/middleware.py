"""What every answer passes through: security headers, the count of requests, and a last net for our own bugs."""

from __future__ import annotations

import logging
import traceback
from time import perf_counter

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wotd.serving.metrics import Metrics

logger = logging.getLogger(__name__)

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]
_POLICY = b"content-security-policy"
_METHODS = ("GET", "HEAD", "POST", "OPTIONS")
_CLIENT_CLOSED = 499
"""As nginx counts requests whose client went away."""


class SecurityHeaders:
    """Adds to every answer what keeps browsers from doing more with it than is meant."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer by the inner application."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", []), *_SECURITY_HEADERS]
                if all(name.lower() != _POLICY for name, _ in headers):  # a page may have one of its own
                    headers.append((_POLICY, CONTENT_SECURITY_POLICY.encode()))
                message = {**message, "headers": headers}
            await send(message)

        await self.app(scope, receive, send_with_headers)


class RequestCount:
    """Counts and times requests by route, and logs a line for each where that is wanted."""

    def __init__(self, app: ASGIApp, metrics: Metrics, log: bool) -> None:
        self.app = app
        self._metrics, self._log = metrics, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer by the inner application."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = perf_counter(), _CLIENT_CLOSED

        async def watched_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, watched_send)
        finally:
            seconds = perf_counter() - started
            # The route, not the path: of paths there are as many as clients think of.
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.requests.labels(method, route, status).inc()
            self._metrics.seconds.labels(route).observe(seconds)
            if self._log:
                logger.info("%s %s %d %.0f ms", method, route, status, seconds * 1000)


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
            logger.info("a client went away before it was answered")
        except Exception as error:
            frames = "".join(traceback.format_tb(error.__traceback__))
            logger.error("%s while answering a %s:\n%s", type(error).__qualname__, scope["method"], frames)
            if started:  # too late for another status; breaking off tells the client
                raise ConnectionError("an answer was broken off") from None
            answer = JSONResponse({"detail": "something went wrong in the server; its log says more."}, 500)
            await answer(scope, receive, send)
