"""Who may ask: an API key, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac

from starlette.types import ASGIApp, Receive, Scope, Send

from wotd.serving.refusal import refuse

OPEN_PATHS = ("/", "/ping", "/health", "/docs", "/openapi.json")
"""Answered without a key: what load balancers ask, and pages that hold nothing of the artifacts."""


class ApiKey:
    """Answers 401 to requests that do not carry ``Authorization: Bearer KEY``."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self.app = app
        self._digest = _digest(key.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer by the inner application if the key is right or none is needed."""
        if scope["type"] != "http" or _is_open(scope["path"]) or self._is_right(scope):
            await self.app(scope, receive, send)
            return
        await refuse(
            receive,
            send,
            401,
            "this server wants its API key in the header Authorization: Bearer KEY.",
            {"www-authenticate": "Bearer"},
        )

    def _is_right(self, scope: Scope) -> bool:
        scheme, _, key = dict(scope["headers"]).get(b"authorization", b"").partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(_digest(key.strip()), self._digest)


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.startswith("/static/")


def _digest(key: bytes) -> bytes:
    """Of one length whatever the key's, so that not even that can be told from the time it takes."""
    return hashlib.sha256(key).digest()
