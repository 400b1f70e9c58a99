"""The model that answers now, and how requests get at it; another may take its place while they are in flight."""

from __future__ import annotations

import gc
import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic, time
from typing import Any

import anyio
import numpy as np
import torch
from anyio import to_thread
from numpy.typing import NDArray

from wotd.artifacts import CONFIG, WEIGHTS
from wotd.encoded import EncodedText
from wotd.errors import InputError, WOTDError
from wotd.inference import SemanticIDModel
from wotd.serving.batching import Batcher, BusyError
from wotd.serving.metrics import Metrics
from wotd.serving.settings import ServerSettings
from wotd.serving.threads import Threads

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 60
_MAX_BATCH_OF_CORE, _MAX_BATCH_ON_ACCELERATOR = 16, 256
"""A core is at its best with few texts at a time, and a newcomer waits less; an accelerator wants to be filled."""


@dataclass(frozen=True)
class ReadText:
    """A text as the model sees it: its row, D+F, and what it says of it."""

    row: NDArray[np.float32]
    encoded: EncodedText


class Served:
    """The current model with its batcher. Requests keep to the model they began with."""

    def __init__(
        self, model: SemanticIDModel, settings: ServerSettings, load: Callable[[], SemanticIDModel] | None = None
    ) -> None:
        """Serve a model.

        Args:
            model: loaded artifacts.
            settings: limits.
            load: gives the model anew, from artifacts that may have changed; None: it cannot be loaded anew.
        """
        self.settings = settings
        self.metrics = Metrics()
        self.since = time()
        self._load = load
        self._loading = anyio.Lock()
        self.threads = Threads(max(4, cores()), settings.answer_seconds)
        self._use(model)

    @property
    def model(self) -> SemanticIDModel:
        """The model that answers requests which begin now; ask once a request."""
        return self._model

    @property
    def answers_texts(self) -> bool:
        """Whether the artifacts know an embedding model."""
        return self._model.artifacts.fingerprint is not None

    @property
    def waiting(self) -> int:
        """Texts that no batch has taken yet."""
        return self._batcher.waiting

    async def read(self, texts: Sequence[str]) -> tuple[SemanticIDModel, list[ReadText]]:
        """What the model sees in texts, in order, and the model that has.

        Raises:
            InputError: if it knows no embedding model, or of texts there are too many or too long ones.
            BusyError: if too many texts wait, or the answer took too long.
        """
        model, batcher = self._model, self._batcher
        if not self.answers_texts:
            raise InputError("these artifacts were trained on vectors alone and know no embedding model for texts.")
        self._check_limits(texts)
        try:
            with anyio.fail_after(self.settings.answer_seconds):
                return model, await batcher.ask(texts)
        except TimeoutError:
            raise BusyError(
                f"the answer took longer than {self.settings.answer_seconds:g} s; send fewer texts, or try again.", 1
            ) from None

    async def reload(self) -> bool:
        """Load the artifacts anew and let them answer; whether that went well. If not, the model stays as it is."""
        if self._load is None:
            return False
        async with self._loading:
            try:
                model = await to_thread.run_sync(self._load)
            except Exception as error:  # whatever it is, the old model still answers
                reason = str(error) if isinstance(error, WOTDError | OSError) else f"{type(error).__name__}."
                logger.error("the artifacts cannot be loaded anew, and the old ones go on answering: %s", reason)
                self.metrics.reloads.labels("failed").inc()
                return False
            retired = self._batcher
            self._use(model)
            while not retired.idle:
                await anyio.sleep(0.05)
            retired.close()
        self.metrics.reloads.labels("done").inc()
        logger.info("serving artifacts %s", self.version)
        return True

    async def watch(self) -> None:
        """Load the artifacts anew whenever their folder has changed, for ever; at once where nothing is watched."""
        if self._load is None or not self.settings.watch_seconds:
            return
        tried, again = None, 0.0
        while True:
            await anyio.sleep(self.settings.watch_seconds)
            found = await to_thread.run_sync(self._changed_config)
            if found is not None and (found != tried or monotonic() >= again):
                # What failed is tried again, in case the reason has passed, but not all the time.
                tried, again = found, monotonic() + _RETRY_SECONDS
                await self.reload()

    def _changed_config(self) -> bytes | None:
        """The config.json of other artifacts than those that answer; it changes with any file beside it.

        None where there are none, or they are being replaced at this moment.
        """
        try:
            found = (self._model.artifacts.folder / CONFIG).read_bytes()
        except OSError:
            return None
        try:
            return None if json.loads(found) == self._model.artifacts.config else found
        except (ValueError, RecursionError):
            return found

    @property
    def version(self) -> str:
        """What tells these artifacts from others: the beginning of their encoder's SHA-256."""
        return str(self._model.artifacts.config["files"][WEIGHTS])[:12]

    @property
    def embedding_model(self) -> str | None:
        """Name of the embedding model; None for artifacts of bare vectors."""
        fingerprint = self._model.artifacts.fingerprint
        return None if fingerprint is None else fingerprint.model

    def _use(self, model: SemanticIDModel) -> None:
        on_cpu = model.device.type == "cpu" and not torch.cuda.is_available()
        threads = torch.get_num_threads()
        batcher = Batcher(
            _reading(model),
            # Batches side by side, each with its own cores, waste none; on one accelerator they would only take turns.
            lanes=max(1, cores() // threads) if on_cpu else 1,
            max_batch=_MAX_BATCH_OF_CORE * threads if on_cpu else _MAX_BATCH_ON_ACCELERATOR,
            max_waiting=self.settings.max_waiting_texts,
            observe=lambda texts, seconds: self.metrics.observe_batch(texts, seconds, batcher.waiting),
        )
        self._model, self._batcher = model, batcher
        self.metrics.name_artifacts(self.version, self.embedding_model or "none")

    def _check_limits(self, texts: Sequence[str]) -> None:
        most, longest = self.settings.max_texts, self.settings.max_text_characters
        if len(texts) > most:
            raise InputError(f"there are {len(texts)} texts; at most {most} are taken at a time.")
        for position, text in enumerate(texts):
            if len(text) > longest:
                raise InputError(f"text {position} has {len(text)} characters; at most {longest} are taken.")


def load_for_serving(artifacts: Any, **use: Any) -> SemanticIDModel:
    """A model with everything loaded and verified, and used once, so that no request pays for it.

    Raises:
        WOTDError: in one sentence, why the artifacts cannot be used.
    """
    model = SemanticIDModel.load(artifacts, **use)
    if model.artifacts.fingerprint is not None:
        _reading(model)(["It was a dark and stormy night."])
    _ = model.browse()
    # Out of the garbage collector's sight, which would look through all of it again and again while a body is read.
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    return model


def _reading(model: SemanticIDModel) -> Callable[[list[str]], list[ReadText]]:
    def read(texts: list[str]) -> list[ReadText]:
        rows_ND = model.embed(texts)
        return [ReadText(*each) for each in zip(rows_ND, model.encode_embedded(rows_ND, texts), strict=True)]

    return read


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
