"""What is announced of a body, whatever the header holds."""

import asyncio

import pytest

from wotd.serving.bodies import BodyLimits
from wotd.serving.settings import ServerSettings


@pytest.mark.parametrize(
    ("announced", "status"),
    [
        (b"9" * 5000, 413),
        (b"0" * 5000 + b"5", 200),
        (b"5", 200),
        (b"1001", 413),
        (b"\xb2", 200),
        (b"", 200),
    ],
)
def test_lengths_that_are_announced(announced: bytes, status: int) -> None:
    async def receive():
        return {"type": "http.request", "body": b"12345", "more_body": False}

    async def application(scope, receive, send):
        await receive()
        await send({"type": "http.response.start", "status": 200})

    statuses = []

    async def send(message):
        statuses.extend([message["status"]] if message["type"] == "http.response.start" else [])

    limits = BodyLimits(application, ServerSettings(max_body_bytes=1000))
    asyncio.run(limits({"type": "http", "headers": [(b"content-length", announced)]}, receive, send))
    assert statuses == [status]
