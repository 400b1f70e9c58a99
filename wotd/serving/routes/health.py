"""How the server is: for load balancers, for people, for Prometheus."""

from __future__ import annotations

from time import time

from fastapi import APIRouter, Response
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from wotd import __version__
from wotd.serving.answers import Health, Ready
from wotd.serving.served import Served


def health_routes(served: Served) -> APIRouter:
    """``/ping``, ``/health`` and ``/metrics``."""
    router = APIRouter(tags=["health"])

    async def ping() -> Ready:
        """That artifacts are loaded."""
        return Ready(status="ready", texts=served.answers_texts)

    async def health() -> Health:
        """What is served, and how busy the server is."""
        return Health(
            status="ready",
            texts=served.answers_texts,
            version=__version__,
            artifacts=served.version,
            embedding_model=served.embedding_model,
            waiting_texts=served.waiting,
            uptime_seconds=round(time() - served.since, 3),
        )

    async def metrics() -> Response:
        """Counts and times in Prometheus's text format."""
        served.metrics.waiting.set(served.waiting)  # as it is now; batches say it of the processes not asked
        return Response(served.metrics.exposition(), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    router.get("/ping")(ping)
    router.head("/ping", include_in_schema=False)(ping)
    router.get("/health")(health)
    router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})(metrics)
    return router
