"""Artifacts behind HTTP: JSON for programs, one page for people.

The web framework is an extra and is imported when a server is made, not before.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wotd.errors import ConfigurationError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from wotd.inference import SemanticIDModel

__all__ = ["MAX_BODY_BYTES", "create_app", "serve"]

MAX_BODY_BYTES = 16 * 1024 * 1024
"""The largest request body that is taken."""


def create_app(model: SemanticIDModel, *, max_body_bytes: int = MAX_BODY_BYTES) -> FastAPI:
    """An ASGI application that answers for a model.

    Args:
        model: loaded artifacts.
        max_body_bytes: a request with a larger body is answered 413.

    Raises:
        ConfigurationError: if the web framework is not installed.
    """
    _require_framework()
    from wotd.serving.app import build

    return build(model, max_body_bytes=max_body_bytes)


def serve(
    artifacts: str | Path,
    host: str = "127.0.0.1",
    port: int = 8080,
    max_body_bytes: int = MAX_BODY_BYTES,
    trust_remote_code: bool = False,
    backend: str | None = None,
    precision: str | None = None,
) -> None:
    """Serve an artifact folder until interrupted.

    The port opens when everything is loaded, so whoever can connect is answered.

    Args:
        artifacts: what a training run wrote.
        host: address to listen on; 0.0.0.0 lets other machines in.
        port: 0 takes a free one and logs which.
        max_body_bytes: a request with a larger body is answered 413.
        trust_remote_code: let an embedding model that needs it run the code of its repository.
        backend: what computes embeddings: torch, onnx or openvino; None: what did when the artifacts were made.
        precision: number format of the embedding model; None: that of the artifacts.

    Raises:
        WOTDError: in one sentence, why the artifacts cannot be used or the port cannot be had.
    """
    _require_framework()
    from wotd.serving.server import run

    run(
        artifacts,
        host=host,
        port=port,
        max_body_bytes=max_body_bytes,
        trust_remote_code=trust_remote_code,
        backend=backend,
        precision=precision,
    )


def _require_framework() -> None:
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(f"serving needs {error.name}; pip install 'wotd[serve]'.") from error
