"""The application: a model's verbs as routes, and every error as ``{"detail": sentence}``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from wotd import __version__
from wotd.errors import EmbeddingError, InputError, WOTDError
from wotd.inference import SemanticIDModel
from wotd.serving.access import ApiKey
from wotd.serving.answers import Problem
from wotd.serving.batching import BusyError
from wotd.serving.bodies import BodyLimits
from wotd.serving.formats import status_of
from wotd.serving.middleware import RequestCount, SecurityHeaders, UnexpectedErrors
from wotd.serving.page import page_routes
from wotd.serving.routes.docs import docs_routes
from wotd.serving.routes.health import health_routes
from wotd.serving.routes.ids import id_routes
from wotd.serving.routes.passages import passage_routes
from wotd.serving.routes.texts import text_routes
from wotd.serving.served import Served
from wotd.serving.settings import ServerSettings


def build(
    model: SemanticIDModel, settings: ServerSettings, load: Callable[[], SemanticIDModel] | None = None
) -> FastAPI:
    """The application of a model, which stands in ``app.state.served``; see :func:`wotd.serving.create_app`."""
    served = Served(model, settings, load)
    app = FastAPI(
        title="wotd",
        version=__version__,
        summary="Semantic IDs of literature",
        docs_url=None,  # both pages would load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # a redirect would name whatever host the request did
        responses={status: {"model": Problem} for status in (400, 401, 408, 413, 422, 500, 503)},
        lifespan=_watching,
    )
    app.state.served = served
    for router in (
        text_routes(served),
        id_routes(served),
        passage_routes(served),
        health_routes(served),
        page_routes(),
        docs_routes(),
    ):
        app.include_router(router)
    app.add_exception_handler(WOTDError, _user_error)
    app.add_exception_handler(RequestValidationError, _invalid_parameter)
    app.add_exception_handler(HTTPException, _http_error)
    # The last one added is the outermost.
    app.add_middleware(BodyLimits, settings=settings)
    if settings.api_key is not None:
        app.add_middleware(ApiKey, key=settings.api_key)
    if settings.allow_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.allow_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type"],
            expose_headers=["retry-after"],
        )
    app.add_middleware(UnexpectedErrors)
    app.add_middleware(RequestCount, metrics=served.metrics, log=settings.log_requests)
    app.add_middleware(SecurityHeaders)
    return app


@asynccontextmanager
async def _watching(app: FastAPI) -> AsyncIterator[None]:
    """While the server runs, artifacts that have changed are loaded anew."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(app.state.served.watch)
        yield
        tasks.cancel_scope.cancel()


async def _user_error(_: Request, error: Exception) -> JSONResponse:
    """A sentence of ours; 503 where only who runs the server can mend it, or time will."""
    status, headers = 400, {}
    if isinstance(error, InputError):
        status = status_of(error)
    elif isinstance(error, BusyError):
        status, headers = 503, {"retry-after": str(error.retry_seconds)}
    elif isinstance(error, EmbeddingError):
        status = 503
    return JSONResponse({"detail": str(error)}, status, headers)


async def _invalid_parameter(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    message = str(first["msg"])
    return JSONResponse({"detail": f"{first['loc'][-1]}: {message[:1].lower()}{message[1:]}."}, 422)


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    sentences = {
        404: "nothing is served here; /openapi.json says what is.",
        405: f"{request.method} is not taken here; /openapi.json says what is.",
    }
    if error.status_code == 404 and error.detail != "Not Found":  # of a route that says what it did not find
        sentences = {}
    return JSONResponse({"detail": sentences.get(error.status_code, error.detail)}, error.status_code, error.headers)
