"""A page to read and try the API on, from files that come with a package: nothing is loaded from elsewhere."""

from __future__ import annotations

from importlib import resources

from fastapi import APIRouter, Response
from starlette.exceptions import HTTPException

_SWAGGER = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
_START = 'SwaggerUIBundle({ url: "openapi.json", dom_id: "#docs", deepLinking: true, validatorUrl: null });\n'
_PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>wotd: the API</title>
  <link rel="icon" href="static/icon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="static/docs/swagger-ui.css">
  <script src="static/docs/swagger-ui-bundle.js" defer></script>
  <script src="static/docs/start.js" defer></script>
</head>
<body><main id="docs"></main></body>
</html>
"""
# Swagger UI draws with inline styles and data: images; scripts stay those of this server.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def docs_routes() -> APIRouter:
    """``/docs`` and what it loads."""
    router = APIRouter(include_in_schema=False)
    folder = resources.files("fastapi_offline") / "static"
    files = {name: ((folder / name).read_bytes(), kind) for name, kind in _SWAGGER.items()}
    files["start.js"] = (_START.encode(), "text/javascript")

    async def docs() -> Response:
        return Response(_PAGE, media_type="text/html", headers={"content-security-policy": _POLICY})

    async def file(name: str) -> Response:
        if name not in files:
            raise HTTPException(404)
        content, kind = files[name]
        return Response(content, media_type=kind)

    router.get("/docs")(docs)
    router.get("/static/docs/{name}")(file)
    return router
