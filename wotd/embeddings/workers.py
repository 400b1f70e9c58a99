"""Worker processes, each with the network loaded: for several GPUs, or for many texts on many cores.

N texts, D embedding.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from wotd.embeddings.base import Vectors
from wotd.embeddings.batching import plan_batches
from wotd.embeddings.network import Network, NetworkPlan, chosen_device
from wotd.errors import EmbeddingError

if TYPE_CHECKING:
    from multiprocessing.queues import Queue

_CHARACTERS_A_PIECE = 16_384
"""What a worker is handed at a time: some batches of a CPU, little enough that none waits long for the last."""

_plan: NetworkPlan | None = None
_network: Network | None = None
"""What this process is to load, and what it has loaded, where it is a worker."""


class Workers:
    """Processes that embed side by side; started when first needed, as slow as loading the model."""

    def __init__(self, plan: NetworkPlan, count: int) -> None:
        """Say what to load; nothing is started yet.

        Args:
            plan: of the network; without a device's number, workers take the devices in turn.
            count: how many processes.
        """
        self._plan = plan
        self._count = count
        self._pool: ProcessPoolExecutor | None = None
        self._starting = threading.Lock()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors as the network gives them, in order of the texts, float32 [N, D].

        Raises:
            EmbeddingError: if a worker cannot load the model, or dies.
        """
        pieces = plan_batches([len(text) for text in texts], self._piece())
        shares = [[texts[row] for row in rows] for rows in pieces]
        try:
            parts = list(self._started().map(_embed, shares))
        except BrokenProcessPool as error:
            self.close()
            raise EmbeddingError(
                f"a process that embeds with {self._plan.model} has died, perhaps for want of memory; "
                f"embedding.workers is {self._count}: lower it, or embedding.batch_tokens."
            ) from error
        except EmbeddingError:  # such as for want of memory, after which some libraries never work again
            self.close()
            raise
        vectors = np.empty((len(texts), parts[0].shape[1]), np.float32)
        for rows, part in zip(pieces, parts, strict=True):
            vectors[rows] = part
        return vectors

    def close(self) -> None:
        """End the processes."""
        with self._starting:
            if self._pool is not None:
                self._pool.shutdown(cancel_futures=True)
                self._pool = None

    def _piece(self) -> int:
        # About four characters a token; four batches a piece.
        return max(_CHARACTERS_A_PIECE, 16 * (self._plan.batch_tokens or 0))

    def _started(self) -> ProcessPoolExecutor:
        with self._starting:
            if self._pool is None:
                # Forked processes would inherit torch's threads and CUDA's state, neither of which survives it.
                context = multiprocessing.get_context("spawn")
                numbers: Queue[int] = context.Queue()
                for number in range(self._count):
                    numbers.put(number)
                self._pool = ProcessPoolExecutor(
                    self._count, mp_context=context, initializer=_start, initargs=(self._plan, self._count, numbers)
                )
            return self._pool


def _start(plan: NetworkPlan, count: int, numbers: Queue[int]) -> None:
    """Say to a new process which device and how many cores are its own.

    The network is loaded with the first work: what fails there reaches the parent as it was said.
    """
    global _plan
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the parent's to answer
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    _plan = replace(
        plan, device=chosen_device(plan.device, numbers.get()), threads=plan.threads or max(1, cores // count)
    )


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever, and keep its memory."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _embed(texts: list[str]) -> Vectors:
    global _network
    if _network is None:
        if _plan is None:
            raise RuntimeError("this process is no worker")
        _network = Network(_plan)
    return _network.embed(texts)
