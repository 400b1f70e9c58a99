"""Texts in, IDs or neighbours out, and what IDs stand for."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response

from wotd.inference import SemanticIDModel
from wotd.semantic_ids import SemanticID
from wotd.serving import formats, payload
from wotd.serving.answers import Decoded, DecodedID, Encoded, Found, Problem
from wotd.serving.served import Served


def text_routes(served: Served) -> APIRouter:
    """``/encode``, ``/invocations``, ``/neighbors`` and ``/decode``."""
    router = APIRouter()

    async def encode(request: Request) -> Encoded:
        """Semantic IDs of texts, in their order."""
        wanted = await to_thread.run_sync(payload.read_texts, await request.body())
        _, read = await served.read(wanted.texts)
        return Encoded(results=[each.encoded.confident(wanted.min_confidence) for each in read])

    async def invocations(request: Request) -> Response:
        """As /encode, for SageMaker: JSON, JSON lines, CSV or text in; JSON, JSON lines or CSV out, as Accept says."""
        kind = request.headers.get("content-type") or formats.JSON
        wanted = await to_thread.run_sync(formats.read_request, await request.body(), kind)
        _, read = await served.read(wanted.texts)
        results = [each.encoded.confident(wanted.min_confidence) for each in read]
        content, media_type = formats.written(results, request.headers.get("accept", "*/*"))
        return Response(content, media_type=media_type)

    async def near(wanted: payload.NeighborsRequest) -> Found:
        model, [read] = await served.read([wanted.text])
        return Found(results=await to_thread.run_sync(model.neighbors_of, read.row, wanted.k))

    async def neighbors(text: str, k: Annotated[int, Query(ge=1, le=payload.MAX_NEIGHBORS)] = 10) -> Found:
        """Stored passages whose codes decode nearest to a text."""
        return await near(payload.NeighborsRequest(payload.checked([text])[0], k))

    async def neighbors_of_body(request: Request) -> Found:
        """As GET; for long texts, and for those that should stand in no address."""
        return await near(payload.read_neighbors(await request.body()))

    async def decode(request: Request) -> Decoded:
        """Vectors that IDs, or prefixes of IDs, stand for, in the space of the embeddings."""
        wanted = await to_thread.run_sync(payload.read_codes, await request.body(), served.settings.max_texts)
        return await to_thread.run_sync(_decoded, served.model, wanted)

    router.post("/encode", openapi_extra=_body(payload.TEXTS_SCHEMA), tags=["texts"])(encode)
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
    router.post("/decode", openapi_extra=_body(payload.CODES_SCHEMA), tags=["IDs"])(decode)
    return router


def _decoded(model: SemanticIDModel, wanted: list[SemanticID]) -> Decoded:
    """Prefixes of one length are decoded together."""
    vectors: dict[SemanticID, list[float]] = {}
    for depth in sorted({len(each) for each in wanted}):
        same = sorted({each for each in wanted if len(each) == depth})
        codes_NL = np.asarray([each.indices for each in same], dtype=np.int64)
        vectors.update(zip(same, model.decode(codes_NL).tolist(), strict=True))
    return Decoded(
        results=[
            DecodedID(id=str(each), code=list(each), names=model.names(each), vector=vectors[each]) for each in wanted
        ]
    )


def _body(schema: dict[str, Any], **others: Any) -> dict[str, Any]:
    """What the API's description says of a body that the route reads itself."""
    return {"requestBody": {"required": True, "content": {formats.JSON: {"schema": schema}, **others}}}
