"""Texts in, IDs or neighbours out, and what IDs stand for."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request, Response

from wotd.inference import SemanticIDModel
from wotd.semantic_ids import SemanticID
from wotd.serving import formats, payload
from wotd.serving.answers import Decoded, DecodedID, Encoded, Found, Problem
from wotd.serving.connected import while_connected
from wotd.serving.served import Served

_CHARACTERS_OF_RESULT = 512
_MOST_NUMBERS = 262_144
"""Numbers of the vectors in one answer: some 5 MB of JSON."""


def text_routes(served: Served) -> APIRouter:
    """``/encode``, ``/invocations``, ``/neighbors`` and ``/decode``."""
    router = APIRouter()

    async def encoded(request: Request, content_type: str, accept: str) -> Response:
        # What grows with the texts is read and written on threads, and never holds up other clients.
        body = await request.body()
        wanted = await served.threads.run_if_large(len(body), formats.read_request, body, content_type)
        _, read = await while_connected(request, served.read(wanted.texts))
        results = [each.encoded.confident(wanted.min_confidence) for each in read]
        size = len(results) * _CHARACTERS_OF_RESULT
        content, media_type = await served.threads.run_if_large(size, formats.written, results, accept)
        return Response(content, media_type=media_type)

    async def encode(request: Request) -> Response:
        """Semantic IDs of texts, in their order."""
        return await encoded(request, formats.JSON, formats.JSON)

    async def invocations(request: Request) -> Response:
        """As /encode, for SageMaker: JSON, JSON lines, CSV or text in; JSON, JSON lines or CSV out, as Accept says."""
        headers = request.headers
        return await encoded(request, headers.get("content-type") or formats.JSON, headers.get("accept") or "*/*")

    async def near(request: Request, wanted: payload.NeighborsRequest) -> Found:
        model, [read] = await while_connected(request, served.read([wanted.text]))
        return Found(results=await served.threads.run(model.neighbors_of, read.row, wanted.k))

    async def neighbors(
        request: Request, text: str, k: Annotated[int, Query(ge=1, le=payload.MAX_NEIGHBORS)] = 10
    ) -> Found:
        """Stored passages whose codes decode nearest to a text."""
        await request.body()  # there is none, and what comes behind it tells whether the client has gone
        return await near(request, payload.NeighborsRequest(payload.checked([text])[0], k))

    async def neighbors_of_body(request: Request) -> Found:
        """As GET; for long texts, and for those that should stand in no address."""
        return await near(request, await served.threads.run(payload.read_neighbors, await request.body()))

    async def decode(request: Request) -> Response:
        """Vectors that IDs, or prefixes of IDs, stand for, in the space of the embeddings."""
        model = served.model
        most = min(served.settings.max_texts, max(1, _MOST_NUMBERS // model.encoder.input_dim))
        wanted = await served.threads.run(payload.read_codes, await request.body(), most)
        return Response(await served.threads.run(_decoded, model, wanted), media_type=formats.JSON)

    router.post(
        "/encode",
        openapi_extra=_body(payload.TEXTS_SCHEMA),
        response_class=Response,
        responses={200: {"model": Encoded}},
        tags=["texts"],
    )(encode)
    lines: dict[str, Any] = {kind: {"schema": {}} for kind in (formats.JSON_LINES, formats.CSV, formats.PLAIN)}
    router.post(
        "/invocations",
        openapi_extra=_body(payload.TEXTS_SCHEMA, **lines),
        response_class=Response,
        responses={
            200: {"model": Encoded, "content": {kind: lines[kind] for kind in (formats.JSON_LINES, formats.CSV)}},
            406: {"model": Problem},
            415: {"model": Problem},
        },
        tags=["texts"],
    )(invocations)
    router.get("/neighbors", tags=["texts"])(neighbors)
    router.post("/neighbors", openapi_extra=_body(payload.NEIGHBORS_SCHEMA), tags=["texts"])(neighbors_of_body)
    router.post(
        "/decode",
        openapi_extra=_body(payload.CODES_SCHEMA),
        response_class=Response,
        responses={200: {"model": Decoded}},
        tags=["IDs"],
    )(decode)
    return router


def _decoded(model: SemanticIDModel, wanted: list[SemanticID]) -> bytes:
    """The answer as JSON; prefixes of one length are decoded together."""
    vectors: dict[SemanticID, list[float]] = {}
    for depth in sorted({len(each) for each in wanted}):
        same = sorted({each for each in wanted if len(each) == depth})
        codes_NL = np.asarray([each.indices for each in same], dtype=np.int64)
        vectors.update(zip(same, model.decode(codes_NL).tolist(), strict=True))
    results = [
        DecodedID(id=str(each), code=list(each), names=model.names(each), vector=vectors[each]) for each in wanted
    ]
    return Decoded(results=results).model_dump_json().encode()


def _body(schema: dict[str, Any], **others: Any) -> dict[str, Any]:
    """What the API's description says of a body that the route reads itself."""
    return {"requestBody": {"required": True, "content": {formats.JSON: {"schema": schema}, **others}}}
