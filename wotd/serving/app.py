"""The application: a model's verbs as routes, and every error as ``{"detail": sentence}``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import anyio
from anyio import to_thread
from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from wotd import __version__
from wotd.errors import EmbeddingError, InputError, WOTDError
from wotd.inference import SemanticIDModel
from wotd.serving import payload
from wotd.serving.answers import Below, Description, Encoded, Found, Health, Problem
from wotd.serving.middleware import BodyLimit, SecurityHeaders, UnexpectedErrors
from wotd.serving.page import page_routes

Result = TypeVar("Result")


def build(model: SemanticIDModel, *, max_body_bytes: int) -> FastAPI:
    """The application of a model; see :func:`wotd.serving.create_app`."""
    app = FastAPI(
        title="wotd",
        version=__version__,
        summary="Semantic IDs of literature",
        docs_url=None,  # both pages would load scripts from elsewhere
        redoc_url=None,
        responses={status: {"model": Problem} for status in (400, 413, 422, 500, 503)},
    )
    app.include_router(_text_routes(OneAtATime(model)))
    app.include_router(_id_routes(model))
    app.include_router(page_routes())
    app.add_exception_handler(WOTDError, _user_error)
    app.add_exception_handler(RequestValidationError, _invalid_parameter)
    app.add_exception_handler(HTTPException, _http_error)
    # The last one added is the outermost.
    app.add_middleware(BodyLimit, max_body_bytes=max_body_bytes)
    app.add_middleware(UnexpectedErrors)
    app.add_middleware(SecurityHeaders)
    return app


class OneAtATime:
    """A model that takes texts from one request at a time, off the event loop.

    Tokenizers are not safe under concurrent use, and one call has all cores for itself. Who waits
    for a turn holds no thread, so the server goes on answering everything else.
    """

    def __init__(self, model: SemanticIDModel) -> None:
        """Guard a model."""
        self.model = model
        self._turn = anyio.CapacityLimiter(1)

    async def call(self, verb: Callable[[], Result]) -> Result:
        """Run what embeds texts when its turn comes.

        Raises:
            InputError: if the model knows no embedding model.
        """
        if self.model.artifacts.fingerprint is None:
            raise InputError("these artifacts were trained on vectors alone and know no embedding model for texts.")
        return await to_thread.run_sync(verb, limiter=self._turn)


def _text_routes(guarded: OneAtATime) -> APIRouter:
    router, model = APIRouter(tags=["texts"]), guarded.model

    async def encode(request: Request) -> Encoded:
        """Semantic IDs of texts, in their order."""
        wanted = await to_thread.run_sync(payload.read_texts, await request.body())
        return Encoded(
            results=await guarded.call(lambda: model.encode(wanted.texts, min_confidence=wanted.min_confidence))
        )

    async def near(wanted: payload.NeighborsRequest) -> Found:
        return Found(results=await guarded.call(lambda: model.neighbors(wanted.text, wanted.k)))

    async def neighbors(text: str, k: Annotated[int, Query(ge=1, le=payload.MAX_NEIGHBORS)] = 10) -> Found:
        """Stored passages whose codes decode nearest to a text."""
        return await near(payload.NeighborsRequest(text, k))

    async def neighbors_of_body(request: Request) -> Found:
        """As GET; for long texts, and for those that should stand in no address."""
        return await near(payload.read_neighbors(await request.body()))

    router.post("/encode", openapi_extra=_body(payload.TEXTS_SCHEMA))(encode)
    router.post("/invocations", openapi_extra=_body(payload.TEXTS_SCHEMA), summary="As /encode, for SageMaker")(encode)
    router.get("/neighbors")(neighbors)
    router.post("/neighbors", openapi_extra=_body(payload.NEIGHBORS_SCHEMA))(neighbors_of_body)
    return router


def _id_routes(model: SemanticIDModel) -> APIRouter:
    router = APIRouter(tags=["IDs"])

    def browse_root() -> Below:
        """What lies below the root."""
        return browse("")

    def browse(prefix: str) -> Below:
        """What lies below a prefix such as 2-3."""
        return Below.model_validate(model.browse(prefix).to_mapping())

    def describe(id: str) -> Description:
        """What an ID or a prefix means, and which works bear it."""
        return Description.model_validate(model.describe(id))

    async def ping() -> Health:
        """That artifacts are loaded."""
        return Health(status="ready", texts=model.artifacts.fingerprint is not None)

    router.get("/browse")(browse_root)
    router.get("/browse/{prefix}")(browse)
    router.get("/describe/{id}")(describe)
    router.get("/ping")(ping)
    router.head("/ping", include_in_schema=False)(ping)
    return router


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    """What the API's description says of a body that the route reads itself."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


async def _user_error(_: Request, error: Exception) -> JSONResponse:
    """A sentence of ours; 503 where only who runs the server can mend it."""
    status = 400
    if isinstance(error, InputError):
        status = 400 if isinstance(error, payload.MalformedError) else 422
    elif isinstance(error, EmbeddingError):
        status = 503
    return JSONResponse({"detail": str(error)}, status)


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
    return JSONResponse({"detail": sentences.get(error.status_code, error.detail)}, error.status_code, error.headers)
