"""The loaded network of an embedding model, and how texts go through it at the hardware's pace.

Sentence-transformers and torch are imported here, and only when a network is loaded.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wotd.embeddings.backends import with_backend
from wotd.embeddings.base import Vectors
from wotd.embeddings.batching import Rows, TokenCounter, plan_batches
from wotd.embeddings.location import cache_root
from wotd.embeddings.model_files import refuse_pickled_weights
from wotd.errors import EmbeddingError
from wotd.redaction import redacted, redacted_logs

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from wotd.embeddings.backends import Calibration

logger = logging.getLogger(__name__)

_NO_MEMORY = ("out of memory", "allocate memory", "could not create a primitive", "bad_alloc")
_TOKENS_ON_CPU, _TOKENS_ON_ACCELERATOR = 1_024, 16_384
"""A core is fastest with what its cache holds; an accelerator wants to be filled."""


@dataclass(frozen=True)
class NetworkPlan:
    """What it takes to load a network; plain data, so that other processes can load it too."""

    model: str
    """Name for messages."""
    folder: Path
    source: str
    """Where the folder came from, for messages."""
    prompt: str
    """Stands before every text."""
    device: str = "auto"
    precision: str = "float32"
    backend: str = "torch"
    store: Path | None = None
    """Where models exported for other backends are kept; only torch does without."""
    digest: str = ""
    """Of the model's files, to find an exported one by."""
    calibration: Calibration | None = None
    """Ranges for int8; None: those in the store, else new ones."""
    batch_tokens: int | None = None
    """Most tokens of a batch, padding included; None: as the device likes it."""
    trust_remote_code: bool = False
    local_files_only: bool = False
    """Whether code that lies in another repository than the model may not be fetched."""
    threads: int | None = None
    """Cores to use where the device is a CPU; None: as many as torch does."""


class Network:
    """A sentence-transformers model with what it takes to feed it. Safe to call from several threads."""

    def __init__(self, plan: NetworkPlan) -> None:
        """Load the network.

        Raises:
            EmbeddingError: if the folder cannot be loaded, or would be read from a pickle.
        """
        import torch

        self._plan = plan
        self.model = _loaded(plan)
        self._counter = TokenCounter(
            getattr(self.model, "tokenizer", None), getattr(self.model, "max_seq_length", None), plan.prompt
        )
        self._on_cpu = on_cpu = self.model.device.type == "cpu"
        self._threads = (plan.threads or torch.get_num_threads()) if on_cpu else 1
        self._budget = plan.batch_tokens or (_TOKENS_ON_CPU if on_cpu else _TOKENS_ON_ACCELERATOR)
        # The first batch sets up the tokenizer's padding; from then on threads only read that.
        self._batch(["a"])

    @property
    def width(self) -> int | None:
        """Width of the vectors, if the model says so."""
        # Before 6.0 the method had a longer name.
        ask = getattr(self.model, "get_embedding_dimension", None) or self.model.get_sentence_embedding_dimension
        width = ask()
        return None if width is None else int(width)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors as the network gives them, in order of the texts, float32 [N, D].

        On a CPU each core takes batches of its own: cores that share one small matrix product wait for
        each other at its end, and for whatever else the machine runs.

        Raises:
            EmbeddingError: if the device runs out of memory.
        """
        bounded = [self._counter.bounded(text) for text in texts]
        tokens = self._counter.count(bounded)
        # Of few texts, batches of half the size waste less on padding than they lose by being small.
        budget = self._budget // 2 if self._on_cpu and tokens.sum() < 4 * self._budget else self._budget
        batches = plan_batches(tokens, budget)

        def embed_rows(rows: Rows) -> Vectors:
            return self._batch([bounded[row] for row in rows])

        try:
            if len(batches) < 2 * self._threads or self._threads < 2:
                with _threads(self._threads):
                    parts = list(map(embed_rows, batches))
            else:
                parts = self._side_by_side(embed_rows, batches)
        except (RuntimeError, MemoryError) as error:
            if isinstance(error, RuntimeError) and not any(words in str(error) for words in _NO_MEMORY):
                raise
            raise EmbeddingError(
                f"the device ran out of memory with embedding.batch_tokens={self._budget}; lower it."
            ) from error
        vectors = np.empty((len(texts), parts[0].shape[1]), np.float32)
        for rows, part in zip(batches, parts, strict=True):
            vectors[rows] = part
        return vectors

    def _side_by_side(self, embed_rows: Callable[[Rows], Vectors], batches: list[Rows]) -> list[Vectors]:
        import torch

        before = torch.get_num_threads()
        try:
            with ThreadPoolExecutor(self._threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                return list(pool.map(embed_rows, batches))
        finally:
            torch.set_num_threads(before)

    def _batch(self, texts: list[str]) -> Vectors:
        raw = self.model.encode(
            texts,
            prompt=self._plan.prompt,
            batch_size=len(texts),
            show_progress_bar=False,
            convert_to_numpy=True,
        )
        return np.asarray(raw, dtype=np.float32)


def chosen_device(name: str, number: int = 0) -> str:
    """The torch device of that name; ``auto`` takes cuda, else mps, else cpu.

    Args:
        name: ``auto`` or a torch device.
        number: which of several equal devices.
    """
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if name == "cuda" and torch.cuda.device_count() > 1:
        return f"cuda:{number % torch.cuda.device_count()}"
    return name


def measured_calibration(plan: NetworkPlan) -> Calibration:
    """The calibration of a model for int8, measured with torch, and kept in the store.

    Raises:
        EmbeddingError: if the model cannot be loaded or has no transformer, or the disk does not take it.
    """
    from wotd.embeddings.backends.exchange import kept_calibration

    network = _loaded(replace(plan, backend="torch", precision="float32"))
    return kept_calibration(
        network, plan.backend, model=plan.model, store=plan.store or cache_root(), digest=plan.digest
    )


def _loaded(plan: NetworkPlan) -> SentenceTransformer:
    refuse_pickled_weights(plan.folder)
    from sentence_transformers import SentenceTransformer

    try:
        with _no_loading_bar(), redacted_logs():
            network = SentenceTransformer(
                str(plan.folder),
                device=chosen_device(plan.device),
                trust_remote_code=plan.trust_remote_code,
                # Code of a repository may lie in a second repository.
                local_files_only=plan.local_files_only or not plan.trust_remote_code,
                model_kwargs={"use_safetensors": True},
            )
    except Exception as error:  # whatever a foreign model folder makes the loader raise
        with redacted_logs():
            logger.debug("the embedding model %s cannot be loaded", plan.model, exc_info=error)
        reason = (redacted(str(error)).strip().splitlines() or [type(error).__name__])[0]
        raise EmbeddingError(
            f"the embedding model {plan.model} from the {plan.source} at {plan.folder} cannot be loaded: {reason}"
        ) from None  # the loader may have asked the hub, and its exceptions may hold a token
    network.eval()
    network = with_backend(
        network,
        plan.backend,
        plan.precision,
        model=plan.model,
        store=plan.store or cache_root(),
        digest=plan.digest,
        calibration=plan.calibration,
    )
    network.truncate_dim = None  # cutting is done by the embedder, where vectors are normalised again
    return network


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """So many cores for the products of torch; then as many as before."""
    import torch

    before = torch.get_num_threads()
    if count == before:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _no_loading_bar() -> Iterator[None]:
    """Without the loader's own progress bar, which would end up in logs."""
    from transformers.utils import logging as loader_logging

    drawn = loader_logging.is_progress_bar_enabled()
    loader_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if drawn:
            loader_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
