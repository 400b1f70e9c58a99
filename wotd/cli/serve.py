"""``wotd serve``: artifacts behind HTTP."""

from __future__ import annotations

from typing import Annotated

import typer

from wotd.cli.app import command
from wotd.cli.options import (
    ArtifactsOption,
    BackendOption,
    DeviceOption,
    EmbeddingModelOption,
    PrecisionOption,
    TrustRemoteCodeOption,
)
from wotd.serving.settings import ServerSettings

_DEFAULT = ServerSettings()


@command(
    "wotd serve --artifacts A --port 8080",
    "WOTD_API_KEY=… wotd serve --artifacts A --host 0.0.0.0 --watch 10 --log-requests",
)
def serve(
    artifacts: ArtifactsOption,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Where to listen; 0 takes a free one.")] = 8080,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    workers: Annotated[
        int,
        typer.Option(
            "--workers",
            min=1,
            metavar="N",
            help="Processes, each with the model loaded. One uses all cores to embed; of several, the others go on "
            "while one that died is replaced.",
        ),
    ] = 1,
    watch: Annotated[
        float | None,
        typer.Option(
            "--watch",
            metavar="SECONDS",
            help="Look that often whether the artifacts have changed, and load them anew without dropping a request; "
            "the signal HUP does so at once.",
            show_default=False,
        ),
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(
            "--api-key",
            envvar="WOTD_API_KEY",
            metavar="KEY",
            help="Answer only requests with the header Authorization: Bearer KEY. On the command line other users of "
            "this machine can read it; the variable is safer.",
            show_default=False,
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-origin",
            metavar="URL",
            help="Let pages of that site ask, such as https://example.org; may be repeated.",
            show_default=False,
        ),
    ] = None,
    log_requests: Annotated[
        bool, typer.Option("--log-requests", help="Log a line a request: route, status, duration; never texts.")
    ] = False,
    max_body_bytes: Annotated[
        int, typer.Option("--max-body-bytes", min=1, metavar="N", help="A larger request is answered 413.")
    ] = _DEFAULT.max_body_bytes,
    max_pending_bytes: Annotated[
        int | None,
        typer.Option(
            "--max-pending-bytes",
            min=1,
            metavar="N",
            help="Bytes of all requests being answered; beyond, 503. "
            f"[default: {_DEFAULT.max_pending_bytes}, or --max-body-bytes if that is more]",
            show_default=False,
        ),
    ] = None,
    max_texts: Annotated[
        int, typer.Option("--max-texts", min=1, metavar="N", help="A request with more texts is answered 422.")
    ] = _DEFAULT.max_texts,
    max_text_characters: Annotated[
        int, typer.Option("--max-text-characters", min=1, metavar="N", help="A longer text is answered 422.")
    ] = _DEFAULT.max_text_characters,
    max_waiting_texts: Annotated[
        int | None,
        typer.Option(
            "--max-waiting-texts",
            min=1,
            metavar="N",
            help="Texts that may wait for their turn; beyond, 503 with Retry-After. "
            f"[default: {_DEFAULT.max_waiting_texts}, or --max-texts if that is more]",
            show_default=False,
        ),
    ] = None,
    answer_seconds: Annotated[
        float,
        typer.Option("--answer-seconds", metavar="S", help="A request that takes longer to answer is answered 503."),
    ] = _DEFAULT.answer_seconds,
    read_seconds: Annotated[
        float,
        typer.Option("--read-seconds", metavar="S", help="A request that takes longer to arrive is answered 408."),
    ] = _DEFAULT.read_seconds,
    stop_seconds: Annotated[
        float, typer.Option("--stop-seconds", metavar="S", help="Time to finish what was accepted when told to stop.")
    ] = _DEFAULT.stop_seconds,
    device: DeviceOption = "cpu",
    embedding_model: EmbeddingModelOption = None,
    trust_remote_code: TrustRemoteCodeOption = False,
    backend: BackendOption = None,
    precision: PrecisionOption = None,
) -> None:
    """Serve artifacts over HTTP.

    POST /encode {"texts": ["…"]}, and /decode, /neighbors, /browse, /works, /words, /health, /metrics and more: /docs
    explains all of it. A page for people is at /.
    """
    from wotd.serving import serve as serve_artifacts

    settings = ServerSettings(
        max_body_bytes=max_body_bytes,
        max_pending_bytes=max_pending_bytes or max(_DEFAULT.max_pending_bytes, max_body_bytes),
        max_texts=max_texts,
        max_text_characters=max_text_characters,
        max_waiting_texts=max_waiting_texts or max(_DEFAULT.max_waiting_texts, max_texts),
        read_seconds=read_seconds,
        answer_seconds=answer_seconds,
        stop_seconds=stop_seconds,
        watch_seconds=watch,
        api_key=api_key,
        allow_origins=tuple(allow_origin or ()),
        log_requests=log_requests,
    )
    serve_artifacts(
        artifacts,
        host=host,
        port=port,
        settings=settings,
        workers=workers,
        device=device,
        embedding_model=embedding_model,
        trust_remote_code=trust_remote_code,
        backend=backend,
        precision=precision,
    )
