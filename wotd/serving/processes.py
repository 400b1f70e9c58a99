"""Several processes behind one port: who dies is replaced, and the others go on meanwhile."""

from __future__ import annotations

import logging
import socket
from time import monotonic

import uvicorn
from prometheus_client.multiprocess import mark_process_dead
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

logger = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0


class Processes(Multiprocess):
    """Says when all answer, and keeps as many alive.

    Uvicorn's own supervisor waits for an answer of each process before it looks at signals, and gives up all of them
    where a new one cannot start. This one asks the system whether they live, and tries again after a pause.
    """

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket], announcement: str) -> None:
        """Supervise the processes of a configuration.

        Args:
            config: with a factory of the application, and the number of workers.
            sockets: that all of them listen on.
            announcement: logged once all of them answer; until then there may be nobody behind the port.
        """
        super().__init__(config, sockets)
        self._announcement: str | None = announcement
        self._pause, self._again = _FIRST_PAUSE, 0.0

    def keep_subprocess_alive(self) -> None:
        """Replace who has died, and say once that all answer."""
        for place, process in enumerate(self.processes):
            if not process.process.is_alive() and not self.should_exit.is_set():
                self._replace(place, process)
        if self._announcement and all(map(_is_ready, self.processes)):
            logger.info(self._announcement)
            self._announcement = None

    def _replace(self, place: int, process: Process) -> None:
        if process.exitcode == STARTUP_FAILURE and self._announcement:
            logger.error("a process cannot start, so none is kept.")
            self.should_exit.set()
            return
        if monotonic() < self._again:
            return
        logger.warning("process %s died with status %s and is replaced", process.pid, process.exitcode)
        mark_process_dead(process.pid)  # type: ignore[no-untyped-call]
        process.join()
        failed = process.exitcode == STARTUP_FAILURE
        self._pause = min(_LONGEST_PAUSE, 2 * self._pause) if failed else _FIRST_PAUSE
        self._again = monotonic() + self._pause
        self.processes[place] = Process(self.config, self.sockets)
        self.processes[place].start()


def _is_ready(process: Process) -> bool:
    """Whether it has said that its server has started; waits a moment at most, and reads answers that came late."""
    ready = False
    try:
        process.parent_conn.send(b"ping")
        while process.parent_conn.poll(0 if ready else 0.05):
            ready = bool(process.parent_conn.recv())
    except (OSError, EOFError):
        return False
    return ready
