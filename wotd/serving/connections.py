"""Connections that do not wait for ever, and refuse as the rest of the server does.

Uvicorn bounds how long a connection idles, not how slowly a request may begin or an answer be taken, and what it
refuses itself is no JSON.
"""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS = 20
"""How long after its connection was made, or its last answer given, a client may take for the head of a request."""

TAKING_SECONDS = 60
"""How long a client may take nothing of an answer that waits for it."""


class PromptConnection(H11Protocol):
    """A connection that is dropped where its client is silent: before the head of a request, or while answered."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Serve one client."""
        super().__init__(*args, **kwargs)
        self._most, self.limit_concurrency = self.limit_concurrency, None
        self._asking: asyncio.TimerHandle | None = None
        self._taking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a request, unless there are too many clients."""
        super().connection_made(transport)
        if self._most is not None and len(self.connections) > self._most:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "the server is busy with other clients; try again.")
            return
        self._expect_request()

    def on_response_complete(self) -> None:
        """Expect the next request."""
        super().on_response_complete()
        self._expect_request()

    def pause_writing(self) -> None:
        """Expect the client to take what waits for it."""
        super().pause_writing()
        self._taking = self.loop.call_later(TAKING_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """The client takes its answer."""
        super().resume_writing()
        self._forget(self._taking)

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing more."""
        super().connection_lost(exc)
        self._forget(self._asking)
        self._forget(self._taking)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._refuse(HTTPStatus.BAD_REQUEST, f"{msg[:1].lower()}{msg[1:]}")

    def _refuse(self, status: HTTPStatus, sentence: str) -> None:
        if self.cycle is None or self.cycle.response_complete:  # else an answer would be cut by another
            body = json.dumps({"detail": sentence}).encode()
            retry = "retry-after: 1\r\n" if status == HTTPStatus.SERVICE_UNAVAILABLE else ""
            head = (
                f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n{retry}"
                f"x-content-type-options: nosniff\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
        self.transport.close()

    def _expect_request(self) -> None:
        self._forget(self._asking)
        self._asking = self.loop.call_later(HEADER_SECONDS, self._drop_if_silent)

    def _drop_if_silent(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()

    @staticmethod
    def _forget(timer: asyncio.TimerHandle | None) -> None:
        if timer is not None:
            timer.cancel()
