"""What IDs mean, and what bears them."""

from __future__ import annotations

from fastapi import APIRouter

from wotd.serving.answers import Below, Description
from wotd.serving.served import Served


def id_routes(served: Served) -> APIRouter:
    """``/browse`` and ``/describe``."""
    router = APIRouter(tags=["IDs"])

    def browse_root() -> Below:
        """What lies below the root."""
        return browse("")

    def browse(prefix: str) -> Below:
        """What lies below a prefix such as 2-3."""
        return Below.model_validate(served.model.browse(prefix).to_mapping())

    def describe(id: str) -> Description:
        """What an ID or a prefix means, and which works bear it."""
        return Description.model_validate(served.model.describe(id))

    router.get("/browse")(served.threads.running(browse_root))
    router.get("/browse/{prefix}")(served.threads.running(browse))
    router.get("/describe/{id}")(served.threads.running(describe))
    return router
