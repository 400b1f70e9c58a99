"""Artifacts behind HTTP: JSON for programs, one page for people.

The web framework is an extra and is imported when a server is made, not before.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from wotd.errors import ConfigurationError
from wotd.serving.settings import ServerSettings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from wotd.inference import SemanticIDModel

__all__ = ["ServerSettings", "create_app", "serve"]


def create_app(model: SemanticIDModel, settings: ServerSettings | None = None) -> FastAPI:
    """An ASGI application that answers for a model.

    Args:
        model: loaded artifacts.
        settings: limits and permissions; None: the defaults.

    Raises:
        ConfigurationError: if the web framework is not installed.
    """
    _require_framework()
    from wotd.serving.app import build

    return build(model, settings or ServerSettings())


def serve(
    artifacts: str | Path,
    host: str = "127.0.0.1",
    port: int = 8080,
    settings: ServerSettings | None = None,
    workers: int = 1,
    **embedding: Any,
) -> None:
    """Serve an artifact folder until interrupted.

    The port opens when everything is loaded, so whoever can connect is answered. SIGHUP loads the artifacts anew;
    requests in flight keep to those they began with. SIGINT and SIGTERM let requests in flight finish.

    Args:
        artifacts: what a training run wrote.
        host: address to listen on; 0.0.0.0 lets other machines in.
        port: 0 takes a free one and logs which.
        settings: limits and permissions; None: the defaults.
        workers: processes, each with a model of its own; one uses all cores to embed, several also survive each other.
        embedding: how texts are embedded, as :meth:`wotd.inference.SemanticIDModel.load` takes it:
            ``device``, ``embedding_model``, ``trust_remote_code``, ``backend``, ``precision``.

    Raises:
        WOTDError: in one sentence, why the artifacts cannot be used or the port cannot be had.
    """
    _require_framework()
    from wotd.serving.server import run

    run(
        artifacts,
        host=host,
        port=port,
        settings=settings or ServerSettings(),
        workers=workers,
        embedding=embedding,
    )


def _require_framework() -> None:
    try:
        import fastapi  # noqa: F401
        import fastapi_offline  # noqa: F401
        import prometheus_client  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(f"serving needs {error.name}; pip install 'wotd[serve]'.") from error
