"""Running the application: artifacts loaded first, then the port, then uvicorn until a signal."""

from __future__ import annotations

import logging
import socket
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.config import LOGGING_CONFIG

from wotd.errors import ConfigurationError
from wotd.inference import SemanticIDModel
from wotd.serving.app import build

logger = logging.getLogger(__name__)

_GRACE_SECONDS = 30
"""How long requests in flight may take after a signal to stop."""


def run(artifacts: str | Path, *, host: str, port: int, max_body_bytes: int, **embedding: Any) -> None:
    """Load, listen, and answer until SIGINT or SIGTERM; see :func:`wotd.serving.serve`."""
    listener = _listener(host, port)
    try:
        model = SemanticIDModel.load(artifacts, **embedding)
        if model.artifacts.fingerprint is not None:
            _ = model.view  # loaded and verified now, so that a wrong one stops the start and not a request
        config = uvicorn.Config(
            build(model, max_body_bytes=max_body_bytes),
            log_config=_logging(),
            access_log=False,  # it would hold the texts of GET /neighbors
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        name = f"[{host}]" if ":" in host else host
        logger.info("serving %s at http://%s:%d", artifacts, name, listener.getsockname()[1])
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:  # uvicorn has shut down and hands the signal on
        pass
    finally:
        listener.close()


def _logging() -> dict[str, Any]:
    """Uvicorn's settings, with our messages among its own."""
    ours = {"handlers": ["default"], "level": "INFO", "propagate": False}
    return {**LOGGING_CONFIG, "loggers": {**LOGGING_CONFIG["loggers"], __package__: ours}}


def _listener(host: str, port: int) -> socket.socket:
    """A bound socket; it takes connections once uvicorn listens on it.

    Raises:
        ConfigurationError: if the port is impossible or taken.
    """
    if not 0 <= port <= 65535:
        raise ConfigurationError(f"port is {port}; expected 0 to 65535.")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigurationError(f"cannot listen on {host} port {port}: {reason.lower()}.") from error
    return listener
