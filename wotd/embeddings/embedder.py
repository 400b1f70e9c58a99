"""Embedding with sentence-transformers, and rebuilding whatever embedder artifacts were made with.

Nothing is loaded before a text is embedded: the fingerprint is read from the model's files, so a run whose
texts are all cached needs neither torch nor sentence-transformers.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wotd.embeddings.backends import checked_arithmetic, find_calibration
from wotd.embeddings.base import Embedder, Vectors, checked_texts, normalized
from wotd.embeddings.fingerprint import Fingerprint
from wotd.embeddings.hub_client import local_only
from wotd.embeddings.location import cache_root
from wotd.embeddings.model_files import ModelDescription, describe_model
from wotd.embeddings.registry import find_model, registered
from wotd.embeddings.sources import ModelFolder, is_local, locate_model, untrusted_code
from wotd.errors import EmbeddingError

if TYPE_CHECKING:
    from wotd.embeddings.backends import Calibration
    from wotd.embeddings.network import Network, NetworkPlan
    from wotd.embeddings.workers import Workers

__all__ = ["Embedder", "SentenceTransformerEmbedder", "load_embedder"]

logger = logging.getLogger(__name__)

CALIBRATION_FILE = "embedding_calibration.json"
"""Where artifacts keep the ranges of int8 arithmetic, so that everybody computes with the same."""


class SentenceTransformerEmbedder(Embedder):
    """A model of the registry, of the hub or of a local folder. Constructing it loads nothing."""

    def __init__(
        self,
        model: str = "minilm",
        prompt: str | None = None,
        truncate_dim: int | None = None,
        batch_tokens: int | None = None,
        workers: int = 1,
        device: str = "auto",
        revision: str | None = None,
        trust_remote_code: bool = False,
        local_files_only: bool | None = None,
        precision: str = "float32",
        backend: str = "torch",
        calibration: Calibration | None = None,
    ) -> None:
        """Name a model and how it is used.

        Args:
            model: short name, hub ID, or folder.
            prompt: stands before every text; None: the registry's side, else the model's own default.
            truncate_dim: cut vectors to that size and normalise again (Matryoshka models).
            batch_tokens: tokens at a time through the network, padding included; None: as the device likes it.
            workers: processes that embed side by side, each with the model loaded: for several GPUs, or for many
                texts on many cores. Scripts that use them need the guard ``if __name__ == "__main__":``.
            device: ``auto`` (cuda, else mps, else cpu) or a torch device.
            revision: commit on the hub; None: the registry's pin.
            trust_remote_code: let the model run code of its repository.
            local_files_only: never ask the network; None: as HF_HUB_OFFLINE says.
            precision: number format of the computation: float32, bfloat16, float16 or int8.
            backend: what computes: torch, onnx or openvino.
            calibration: ranges for int8; None: those that were stored when the model was first used so, else new ones,
                which are the same for the same model.

        Raises:
            EmbeddingError: if the name is unknown or a setting does not fit the model.
        """
        for name, value in (("batch_tokens", batch_tokens), ("workers", workers)):
            if value is not None and value < 1:
                raise EmbeddingError(f"embedding.{name} is {value}; expected at least 1.")
        checked_arithmetic(backend, precision)
        looks_like_path = "/" in model or "\\" in model or model.startswith(("~", "."))
        self._registered = registered(model) if is_local(model) or looks_like_path else find_model(model)
        self.model_name = model
        self.truncate_dim = _checked_size(truncate_dim, self._registered.dimension if self._registered else None)
        self.batch_tokens = batch_tokens
        self.workers = workers
        self.device = device
        self.revision = revision
        self.trust_remote_code = trust_remote_code
        self.local_files_only = local_files_only
        self.precision = precision
        self.backend = backend
        self._given_calibration = calibration
        self._prompt = prompt
        self._network: Network | Workers | None = None
        self._loading = threading.Lock()
        self._warn_of_untrained_size()

    @property
    def prompt(self) -> str:
        """What stands before every text."""
        if self._prompt is not None:
            return self._prompt
        return self._registered.prompt if self._registered else self._files.default_prompt

    @property
    def dimension(self) -> int:
        """Width of the vectors; known without loading for a registered model.

        Raises:
            EmbeddingError: if ``truncate_dim`` is wider than the model.
        """
        return _checked_size(self._size, self._width) or self._width

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """Read from the model's files; the network is not loaded for it."""
        files = self._files
        return Fingerprint(
            kind="sentence_transformers",
            model=Path(name).name if is_local(name := self._portable_name()) else name,
            revision=self._folder.revision,
            weights_sha256=files.weights_sha256,
            tokenizer_sha256=files.tokenizer_sha256,
            configuration_sha256=files.configuration_sha256,
            prompt=self.prompt,
            pooling=files.pooling,
            max_tokens=files.max_tokens,
            truncate_dim=self._size,
            normalized=True,
            precision=self.precision,
            dimension=self.dimension,
            backend=self.backend,
            calibration_sha256=self._calibration.sha256 if self._calibration else "",
            features=("layer norm before cut",) if self._layer_norm else (),
        )

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed texts in order, float32 [N, D], rows of length 1; texts over the model's length are cut by it."""
        checked = checked_texts(texts)
        if not checked:
            return np.empty((0, self.dimension), np.float32)
        return self._finished(self._load().embed(checked))

    def reference(self) -> SentenceTransformerEmbedder | None:
        """The same model and use of it, computed by float32 torch; None if this is it."""
        if (self.backend, self.precision) == ("torch", "float32"):
            return None
        return SentenceTransformerEmbedder(
            self.model_name,
            prompt=self._prompt,
            truncate_dim=self.truncate_dim,
            device=self.device,
            revision=self.revision,
            trust_remote_code=self.trust_remote_code,
            local_files_only=self.local_files_only,
        )

    def save_state(self, folder: Path) -> list[str]:
        """Write the ranges of int8 arithmetic, if that is what computes."""
        if self._calibration is None:
            return []
        self._calibration.save(folder / CALIBRATION_FILE)
        return [CALIBRATION_FILE]

    def close(self) -> None:
        """Let go of the network, and of worker processes."""
        from wotd.embeddings.workers import Workers

        with self._loading:
            network, self._network = self._network, None
        if isinstance(network, Workers):
            network.close()

    def settings(self) -> dict[str, Any]:
        """Plain data from which :func:`load_embedder` rebuilds this embedder on any machine."""
        return {
            "kind": "sentence_transformers",
            "model": self._portable_name(),
            "prompt": self.prompt,
            "truncate_dim": self.truncate_dim,
            "revision": self._folder.revision or self.revision,
            "trust_remote_code": self.trust_remote_code,
            "precision": self.precision,
            "backend": self.backend,
        }

    @cached_property
    def _folder(self) -> ModelFolder:
        return locate_model(
            self.model_name,
            revision=self.revision,
            trust_remote_code=self.trust_remote_code,
            local_files_only=self.local_files_only,
        )

    @cached_property
    def _files(self) -> ModelDescription:
        return describe_model(self._folder.path)

    @property
    def _width(self) -> int:
        """Width before cutting."""
        if self._registered:
            return self._registered.dimension
        if self._files.dimension is not None:
            return self._files.dimension
        from wotd.embeddings.network import Network

        network = self._load()
        width = (network if isinstance(network, Network) else Network(self._plan(self._calibration))).width
        if width is None:
            raise EmbeddingError(f"the embedding model {self.model_name} does not say how wide its vectors are.")
        return width

    @property
    def _size(self) -> int | None:
        """Size to which vectors are cut: the user's, else for an unregistered model its own."""
        return self.truncate_dim if self._registered or self.truncate_dim else self._files.truncate_dim

    @property
    def _layer_norm(self) -> bool:
        return bool(self._size and self._registered and self._registered.layer_norm_before_cut)

    def _portable_name(self) -> str:
        """Hub ID, or the whole path of a folder, so that it is found from any working directory."""
        if self._registered:
            return self._registered.repository
        return str(Path(self.model_name).expanduser().resolve()) if is_local(self.model_name) else self.model_name

    @cached_property
    def _calibration(self) -> Calibration | None:
        """The ranges of int8 arithmetic; None for other formats.

        They are stored when the model is first loaded for it, so that later nothing is loaded to know them.
        """
        if self.precision != "int8":
            return None
        if self._given_calibration is not None:
            return self._given_calibration
        found = find_calibration(cache_root(), self._files.digest)
        if found is None:
            from wotd.embeddings.network import measured_calibration

            found = measured_calibration(self._plan(None))
        return found

    def _load(self) -> Network | Workers:
        with self._loading:
            if self._network is None:
                from wotd.embeddings.network import Network
                from wotd.embeddings.workers import Workers

                plan = self._plan(self._calibration)
                self._network = Network(plan) if self.workers == 1 else Workers(plan, self.workers)
            return self._network

    def _plan(self, calibration: Calibration | None) -> NetworkPlan:
        from wotd.embeddings.network import NetworkPlan

        return NetworkPlan(
            model=self.model_name,
            folder=self._folder.path,
            source=self._folder.source,
            prompt=self.prompt,
            device="cpu" if self.backend != "torch" and self.device == "auto" else self.device,
            precision=self.precision,
            backend=self.backend,
            store=cache_root(),
            digest=self._files.digest,
            calibration=calibration,
            batch_tokens=self.batch_tokens,
            trust_remote_code=self.trust_remote_code,
            local_files_only=local_only(self.local_files_only),
        )

    def _finished(self, raw: Vectors) -> Vectors:
        if raw.shape[1] != self._width:
            raise EmbeddingError(
                f"dimension mismatch: the embedding model {self.model_name} gives {raw.shape[1]} numbers a text, "
                f"expected are {self._width}."
            )
        if self._layer_norm:
            centred = raw - raw.mean(axis=1, keepdims=True)
            raw = centred / np.sqrt(centred.var(axis=1, keepdims=True) + 1e-5)
        return normalized(raw[:, : self._size] if self._size else raw)

    def _warn_of_untrained_size(self) -> None:
        sizes = self._registered.matryoshka if self._registered else ()
        if self._registered and self.truncate_dim and self.truncate_dim not in (*sizes, self._registered.dimension):
            logger.warning(
                "embedding.truncate_dim is %d, but %s was trained for %s",
                self.truncate_dim,
                self._registered.repository,
                ", ".join(map(str, sizes)) or "whole vectors only",
            )


def load_embedder(
    settings: Mapping[str, Any],
    folder: Path,
    *,
    model: str | None = None,
    device: str = "auto",
    trust_remote_code: bool = False,
    local_files_only: bool | None = None,
    backend: str | None = None,
    precision: str | None = None,
    workers: int = 1,
) -> Embedder:
    """Rebuild the embedder that artifacts were made with.

    Args:
        settings: what :meth:`Embedder.settings` gave.
        folder: where :meth:`Embedder.save_state` wrote.
        model: folder or hub ID to take the model from, if it no longer is where the settings say;
            :func:`~wotd.embeddings.verification.verify_embedder` tells whether it is the same.
        device: where to compute, whatever device the artifacts were made on.
        trust_remote_code: artifacts cannot grant this to themselves.
        local_files_only: never ask the network; None: as HF_HUB_OFFLINE says.
        backend: compute with another one than the artifacts were made with; None: with the same.
        precision: likewise, the number format.
        workers: processes that embed side by side.

    Raises:
        EmbeddingError: if the settings are unknown, or want code of a repository to run that was not allowed.
    """
    rest = dict(settings)
    kind = rest.pop("kind", None)
    if kind in {"lsa", "stylometry"} and (backend, precision) != (None, None):
        raise EmbeddingError(
            f"the artifacts were made with {kind}, which has neither backends nor precisions to choose; leave them out."
        )
    if kind == "lsa":
        from wotd.embeddings.lsa import LSAEmbedder

        return LSAEmbedder.load(rest, folder)
    if kind == "stylometry":
        from wotd.embeddings.stylometry import Stylometry

        return Stylometry(rest.get("version"))
    if kind != "sentence_transformers":
        raise EmbeddingError(
            f"the embedder's kind is {kind!r}; expected 'sentence_transformers', 'lsa' or 'stylometry'."
        )
    if rest.pop("trust_remote_code", False) and not trust_remote_code:
        raise untrusted_code(str(rest.get("model")))
    rest.pop("batch_size", None)  # kept by versions before batches were bounded by tokens
    chosen = {"model": model, "backend": backend, "precision": precision}
    rest |= {name: value for name, value in chosen.items() if value is not None}
    if rest.get("precision") == "int8" and (folder / CALIBRATION_FILE).is_file():
        from wotd.embeddings.backends import Calibration

        rest["calibration"] = Calibration.load(folder / CALIBRATION_FILE)
    try:
        return SentenceTransformerEmbedder(
            **rest,
            device=device,
            trust_remote_code=trust_remote_code,
            local_files_only=local_files_only,
            workers=workers,
        )
    except TypeError as error:
        raise EmbeddingError(f"the embedder's settings do not fit this version of wotd: {error}") from error


def _checked_size(truncate_dim: int | None, dimension: int | None) -> int | None:
    if truncate_dim is not None and not 1 <= truncate_dim <= (dimension or truncate_dim):
        raise EmbeddingError(
            f"embedding.truncate_dim is {truncate_dim}; expected 1 to {dimension or 'the width of the model'}."
        )
    return truncate_dim
