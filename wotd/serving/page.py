"""The page for people: four files of the package, read once."""

from __future__ import annotations

from importlib import resources

from fastapi import APIRouter, Response
from starlette.exceptions import HTTPException

_PAGE = "page.html"
_MEDIA_TYPES = {
    _PAGE: "text/html",
    "page.css": "text/css",
    "page.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


def page_routes() -> APIRouter:
    """``/`` and what the page loads from ``/static/``."""
    router = APIRouter(include_in_schema=False)
    folder = resources.files("wotd.serving") / "static"
    files = {name: (folder / name).read_bytes() for name in _MEDIA_TYPES}

    async def page() -> Response:
        return Response(files[_PAGE], media_type=_MEDIA_TYPES[_PAGE])

    async def static(name: str) -> Response:
        if name not in files:
            raise HTTPException(404)
        return Response(files[name], media_type=_MEDIA_TYPES[name])

    router.api_route("/", methods=["GET", "HEAD"])(page)
    router.api_route("/static/{name}", methods=["GET", "HEAD"])(static)
    return router
