"""``wotd serve``: artifacts behind HTTP."""

from __future__ import annotations

from typing import Annotated

import typer

from wotd.cli.app import command
from wotd.cli.options import ArtifactsOption, BackendOption, PrecisionOption, TrustRemoteCodeOption


@command("wotd serve --artifacts A --port 8080")
def serve(
    artifacts: ArtifactsOption,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Where to listen; 0 takes a free one.")] = 8080,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    max_body_bytes: Annotated[
        int, typer.Option("--max-body-bytes", min=1, metavar="N", help="A larger request is answered 413.")
    ] = 16 * 1024 * 1024,
    trust_remote_code: TrustRemoteCodeOption = False,
    backend: BackendOption = None,
    precision: PrecisionOption = None,
) -> None:
    """Serve artifacts over HTTP.

    Answers POST /encode {"texts": ["…"]}, /neighbors and /browse, and shows a page for people at /.
    """
    from wotd.serving import serve as serve_artifacts

    serve_artifacts(
        artifacts,
        host=host,
        port=port,
        max_body_bytes=max_body_bytes,
        trust_remote_code=trust_remote_code,
        backend=backend,
        precision=precision,
    )
