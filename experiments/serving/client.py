"""Clients that cost little beside what they measure: HTTP/1.1 on kept connections, as bytes, in one event loop."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Request = tuple[str, str, Any]
"""Method, path, and the JSON of the body or None."""


@dataclass
class Answered:
    """What came of a load: seconds of each answer, statuses, and how long all of it took."""

    seconds: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    texts: int = 0
    wall: float = 0.0

    def percentile(self, share: float) -> float:
        """Latency that this share of the answers stayed below, in ms."""
        return float(np.percentile(self.seconds, 100 * share) * 1000)

    def summary(self) -> dict[str, Any]:
        """The figures of a table's row."""
        return {
            "requests_per_second": len(self.seconds) / self.wall,
            "texts_per_second": self.texts / self.wall,
            "p50_ms": self.percentile(0.5),
            "p90_ms": self.percentile(0.9),
            "p99_ms": self.percentile(0.99),
            "statuses": dict(sorted(self.statuses.items())),
        }


def load(port: int, clients: int, requests: Callable[[int], Iterator[Request]], seconds: float) -> Answered:
    """Let clients ask, each one request after the other, until the time is over or their requests are.

    Args:
        port: of a server on this machine.
        clients: how many ask at once.
        requests: what the client of that number asks.
        seconds: after which nothing more is asked.
    """
    return asyncio.run(_load(port, clients, requests, seconds))


async def _load(port: int, clients: int, requests: Callable[[int], Iterator[Request]], seconds: float) -> Answered:
    answered = Answered()
    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(_client(port, requests(number), started + seconds, answered))
    answered.wall = time.perf_counter() - started
    return answered


async def _client(port: int, requests: Iterator[Request], end: float, answered: Answered) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for method, path, data in requests:
        if time.perf_counter() >= end:
            break
        body = b"" if data is None else json.dumps(data).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
        began = time.perf_counter()
        writer.write(head.encode() + body)
        status, keeps = await _answer(reader)
        answered.seconds.append(time.perf_counter() - began)
        answered.statuses[status] = answered.statuses.get(status, 0) + 1
        if status == 200 and data is not None:
            answered.texts += len(data.get("texts", "1"))
        if not keeps:
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """Status of an answer whose body is read and dropped, and whether the connection stays open."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    headers = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
    if b"content-length" in headers:
        await reader.readexactly(int(headers[b"content-length"]))
    else:
        await reader.read()
    return int(head.split(b" ", 2)[1]), headers.get(b"connection") != b"close" and b"content-length" in headers
