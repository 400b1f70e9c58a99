"""Running the application: artifacts loaded first, then the port, then uvicorn until a signal."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI
from uvicorn.config import LOGGING_CONFIG, STARTUP_FAILURE

from wotd.errors import ConfigurationError, WOTDError
from wotd.hub.addresses import scheme_of
from wotd.inference import SemanticIDModel
from wotd.serving.app import build
from wotd.serving.connections import PromptConnection
from wotd.serving.processes import Processes
from wotd.serving.served import Served, cores, load_for_serving
from wotd.serving.settings import ServerSettings

logger = logging.getLogger(__name__)

_SWITCH_SECONDS = 0.0005
_START_SECONDS = 300
"""How long a process that replaces another, at HUP, may take to load its artifacts."""


def run(
    artifacts: str | Path,
    *,
    host: str,
    port: int,
    settings: ServerSettings,
    workers: int,
    embedding: Mapping[str, Any],
) -> None:
    """Load, listen, and answer until SIGINT or SIGTERM; see :func:`wotd.serving.serve`."""
    if workers < 1:
        raise ConfigurationError(f"workers is {workers}; expected 1 or more.")
    if settings.watch_seconds and scheme_of(str(artifacts)) not in ("", "file"):
        raise ConfigurationError(
            f"watch_seconds is {settings.watch_seconds:g} and artifacts {artifacts}, but only folders are watched; the "
            f"signal HUP loads them anew."
        )
    with suppress(AttributeError, ValueError):  # no such signal, or not the main thread
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to load anew
    # Threads that compute hand the interpreter over sooner, so that clients get their answers, and ask again, sooner.
    sys.setswitchinterval(_SWITCH_SECONDS)
    # A batch a core, rather than all cores at one: cores that share small products wait for each other.
    torch.set_num_threads(1)
    load = partial(load_for_serving, artifacts, **embedding)
    with _listener(host, port) as listener, suppress(KeyboardInterrupt):  # uvicorn has shut down and hands it on
        where = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
        if workers == 1:
            app = build(load(), settings, load)
            server = _ReloadingServer(_config(app, settings), app.state.served, f"serving {artifacts} at {where}")
            server.run(sockets=[listener])
        else:
            load()  # what is wrong with them is said once, and before anything starts
            factory = partial(_app_of_process, load, settings, workers)
            config = _config(
                factory, settings, factory=True, workers=workers, timeout_worker_healthcheck=_START_SECONDS
            )
            _run_several(config, listener, f"serving {artifacts} at {where} with {workers} processes")


class _ReloadingServer(uvicorn.Server):
    """Says when it answers, and loads the artifacts anew at SIGHUP, as servers do with their settings."""

    def __init__(self, config: uvicorn.Config, served: Served, announcement: str) -> None:
        super().__init__(config)
        self._served, self._announcement = served, announcement

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        loop = asyncio.get_running_loop()
        reloads: set[asyncio.Task[bool]] = set()

        def reload() -> None:
            task = loop.create_task(self._served.reload())
            reloads.add(task)
            task.add_done_callback(reloads.discard)

        with suppress(NotImplementedError, AttributeError):  # Windows has no such signal
            loop.add_signal_handler(signal.SIGHUP, reload)
        logger.info(self._announcement)


def _run_several(config: uvicorn.Config, listener: socket.socket, announcement: str) -> None:
    """Several processes on one port; one that dies is replaced, and SIGHUP replaces them one after the other."""
    with tempfile.TemporaryDirectory(prefix="wotd-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        Processes(config, [listener], announcement).run()


def _app_of_process(load: Callable[[], SemanticIDModel], settings: ServerSettings, workers: int) -> FastAPI:
    """The application of one process of several, which leaves the others their cores."""
    torch.set_num_threads(max(1, cores() // workers))
    try:
        model = load()
    except WOTDError as error:
        logger.error("%s", error)
        sys.exit(STARTUP_FAILURE)
    return build(model, settings, load)


def _config(app: Any, settings: ServerSettings, **others: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=PromptConnection,
        ws="none",
        proxy_headers=False,  # nothing here depends on who asks
        log_config=_logging(),
        access_log=False,  # it would hold the texts of GET /neighbors
        server_header=False,
        limit_concurrency=settings.max_connections,
        timeout_graceful_shutdown=int(settings.stop_seconds) or 1,
        **others,
    )


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
