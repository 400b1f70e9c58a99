"""``wotd serve``: artifacts behind HTTP."""

from __future__ import annotations

from typing import Annotated

import typer

from wotd.cli.app import command
from wotd.cli.options import ArtifactsOption
from wotd.errors import ConfigurationError

_EXTRA = ("fastapi", "starlette", "uvicorn")


@command("wotd serve --artifacts A --port 8000")
def serve(
    artifacts: ArtifactsOption,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Where to listen; 0 takes a free one.")] = 8000,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
) -> None:
    """Serve artifacts over HTTP.

    Answers POST /encode {"texts": ["…"]}, /neighbors and /browse, and shows a page for people at /.
    """
    try:
        from wotd.serving import serve as serve_artifacts
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in _EXTRA:
            raise
        raise ConfigurationError(f"serving needs {error.name}: pip install 'wotd[serve]'.") from error
    serve_artifacts(artifacts, host=host, port=port)
