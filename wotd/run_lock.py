"""The lock of a run's folder: two runs in one would mix their checkpoints, curves and artifacts."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import Timeout

from wotd.errors import TrainingError
from wotd.locks import held

logger = logging.getLogger(__name__)

LOCK = ".run.lock"


@contextmanager
def alone(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold a run's folder while the block runs; within it, once more does no harm.

    Args:
        folder: of the run; made if need be.
        wait: until another process lets go of it, instead of refusing.

    Raises:
        TrainingError: if another process holds it and ``wait`` is False, or if the folder cannot be written.
    """
    name = os.path.relpath(folder)
    waiting = (lambda: logger.info("%s: waiting for the process that has it", name)) if wait else None
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            locked = stack.enter_context(held(folder.resolve() / LOCK, waiting=waiting))
        except Timeout:
            raise TrainingError(
                f"another run is going on in {name}; wait for its end, or set another hydra.run.dir."
            ) from None
        except OSError as error:
            raise TrainingError(
                f"training cannot write to {folder}: {error.strerror}; mend that, or set another hydra.run.dir."
            ) from error
        if not locked:
            logger.warning("%s lies on a file system without locks; see that no other run uses it", name)
        yield


def refuse_taken(folder: Path) -> None:
    """Refuse a folder that another process holds, before anything is written there.

    Raises:
        TrainingError: if one does.
    """
    if (folder / LOCK).exists():
        with alone(folder):
            pass
