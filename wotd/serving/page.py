"""The page for people: files of the package, read once."""

from __future__ import annotations

from importlib import resources

from fastapi import APIRouter, Response
from starlette.exceptions import HTTPException

_PAGE = "page.html"
_MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def page_routes() -> APIRouter:
    """``/`` and what the page loads from ``/static/``."""
    router = APIRouter(include_in_schema=False)
    files = {
        file.name: (file.read_bytes(), _MEDIA_TYPES[suffix])
        for file in (resources.files("wotd.serving") / "static").iterdir()
        if (suffix := f".{file.name.rpartition('.')[2]}") in _MEDIA_TYPES
    }

    async def page() -> Response:
        return answer(_PAGE)

    async def static(name: str) -> Response:
        if name not in files:
            raise HTTPException(404)
        return answer(name)

    def answer(name: str) -> Response:
        content, kind = files[name]
        return Response(content, media_type=kind)

    router.api_route("/", methods=["GET", "HEAD"])(page)
    router.api_route("/static/{name}", methods=["GET", "HEAD"])(static)
    return router
