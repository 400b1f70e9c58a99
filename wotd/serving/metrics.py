"""What Prometheus is told: requests, batches, waiting texts, reloads, and the process itself.

Labels are routes, never addresses, so that neither texts nor keys get there and their number stays small.
"""

from __future__ import annotations

import os

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The counters of one server."""

    def __init__(self) -> None:
        """Count from 0."""
        self._registry = registry = CollectorRegistry()
        self.requests = Counter("wotd_requests", "Answered requests.", ["method", "route", "status"], registry=registry)
        self.seconds = Histogram(
            "wotd_request_seconds",
            "From the first byte of a request to the last of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.batches = Histogram(
            "wotd_batch_texts", "Texts that were embedded together.", buckets=_TEXTS, registry=registry
        )
        self.batch_seconds = Histogram(
            "wotd_batch_seconds", "Seconds of a batch, embedding and encoding.", buckets=_SECONDS, registry=registry
        )
        self.reloads = Counter("wotd_reloads", "Loadings of changed artifacts.", ["outcome"], registry=registry)
        self.waiting = Gauge(
            "wotd_waiting_texts", "Texts waiting for their turn.", multiprocess_mode="livesum", registry=registry
        )
        self._several = bool(os.environ.get("PROMETHEUS_MULTIPROC_DIR"))
        if not self._several:  # among several processes, what is true of one is true of that one alone
            self._artifacts = Info("wotd_artifacts", "The artifacts that answer.", registry=registry)
            ProcessCollector(registry=registry)
            PlatformCollector(registry=registry)

    def name_artifacts(self, version: str, embedding_model: str) -> None:
        """Say which artifacts answer from now on."""
        if not self._several:
            self._artifacts.info({"version": version, "embedding_model": embedding_model})

    def observe_batch(self, texts: int, seconds: float, waiting: int) -> None:
        """Count a batch, and how many texts it left waiting."""
        self.waiting.set(waiting)
        self.batches.observe(texts)
        self.batch_seconds.observe(seconds)

    def exposition(self) -> bytes:
        """All of it in Prometheus's text format; of all processes where there are several."""
        if not self._several:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)
