"""Embedding with sentence-transformers, and rebuilding whatever embedder artifacts were made with.

The only module that imports sentence-transformers and torch, and only when a model is loaded: the
fingerprint is read from the model's files, so a run whose texts are all cached needs neither.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wotd.embeddings.base import Embedder, Vectors, checked_texts, normalized, verify_embedder
from wotd.embeddings.fingerprint import Fingerprint
from wotd.embeddings.model_files import ModelDescription, describe_model, refuse_pickled_weights
from wotd.embeddings.registry import find_model, registered
from wotd.embeddings.sources import ModelFolder, hub_is_offline, is_local, locate_model
from wotd.errors import EmbeddingError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["Embedder", "SentenceTransformerEmbedder", "load_embedder", "verify_embedder"]

logger = logging.getLogger(__name__)

_CHARACTERS_PER_TOKEN = 40
_SPARE_TOKENS = 128
_PRECISIONS = ("float32", "bfloat16", "float16")


class SentenceTransformerEmbedder(Embedder):
    """A model of the registry, of the hub or of a local folder. Constructing it loads nothing."""

    def __init__(
        self,
        model: str = "minilm",
        prompt: str | None = None,
        truncate_dim: int | None = None,
        batch_size: int = 32,
        device: str = "auto",
        revision: str | None = None,
        trust_remote_code: bool = False,
        local_files_only: bool | None = None,
        precision: str = "float32",
    ) -> None:
        """Name a model and how it is used.

        Args:
            model: short name, hub ID, or folder.
            prompt: stands before every text; None: the registry's side, else the model's own default.
            truncate_dim: cut vectors to that size and normalise again (Matryoshka models).
            batch_size: texts at a time through the network.
            device: ``auto`` (cuda, else mps, else cpu) or a torch device.
            revision: commit on the hub; None: the registry's pin.
            trust_remote_code: let the model run code of its repository.
            local_files_only: never ask the network; None: as HF_HUB_OFFLINE says.
            precision: number format of the computation: float32, bfloat16 or float16.

        Raises:
            EmbeddingError: if the name is unknown or a setting does not fit the model.
        """
        if batch_size < 1:
            raise EmbeddingError(f"embedding.batch_size is {batch_size}; expected at least 1.")
        if precision not in _PRECISIONS:
            raise EmbeddingError(f"embedding.precision is '{precision}'; expected one of {', '.join(_PRECISIONS)}.")
        looks_like_path = "/" in model or "\\" in model or model.startswith(("~", "."))
        self._registered = registered(model) if is_local(model) or looks_like_path else find_model(model)
        self.model_name = model
        self.truncate_dim = _checked_size(truncate_dim, self._registered.dimension if self._registered else None)
        self.batch_size = batch_size
        self.device = device
        self.revision = revision
        self.trust_remote_code = trust_remote_code
        self.local_files_only = local_files_only
        self.precision = precision
        self._prompt = prompt
        self._network: SentenceTransformer | None = None
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
            features=("layer norm before cut",) if self._layer_norm else (),
        )

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed texts in order, float32 [N, D], rows of length 1; texts over the model's length are cut by it."""
        checked = checked_texts(texts)
        if not checked:
            return np.empty((0, self.dimension), np.float32)
        network = self._load()
        bounded = [self._bounded(network, text) for text in checked]
        try:
            raw = self._encode(network, bounded)
        except RuntimeError as error:
            if "out of memory" not in str(error):
                raise
            raise EmbeddingError(
                f"the device ran out of memory with embedding.batch_size={self.batch_size}; lower it."
            ) from error
        return self._finished(raw)

    def _encode(self, network: SentenceTransformer, texts: Sequence[str]) -> Vectors:
        """Raw vectors in order; on a CPU each core takes batches of its own.

        Cores that share one small matrix product wait for each other at its end, and for whatever
        else the machine runs; with a batch each they do not.
        """
        import torch

        cores = torch.get_num_threads() if network.device.type == "cpu" else 1
        if cores < 2 or len(texts) < 2 * self.batch_size:
            return self._encode_alone(network, texts)
        by_length = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        shares = [by_length[core::cores] for core in range(cores)]
        try:
            with ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                parts = list(pool.map(lambda share: self._encode_alone(network, [texts[i] for i in share]), shares))
        finally:
            torch.set_num_threads(cores)
        raw = np.empty((len(texts), parts[0].shape[1]), np.float32)
        for share, part in zip(shares, parts, strict=True):
            raw[share] = part
        return raw

    def _encode_alone(self, network: SentenceTransformer, texts: Sequence[str]) -> Vectors:
        raw = network.encode(
            list(texts), prompt=self.prompt, batch_size=self.batch_size, show_progress_bar=False, convert_to_numpy=True
        )
        return np.asarray(raw, dtype=np.float32)

    def settings(self) -> dict[str, Any]:
        """Plain data from which :func:`load_embedder` rebuilds this embedder on any machine."""
        return {
            "kind": "sentence_transformers",
            "model": self._portable_name(),
            "prompt": self.prompt,
            "truncate_dim": self.truncate_dim,
            "revision": self._folder.revision if self.revision is None else self.revision,
            "trust_remote_code": self.trust_remote_code,
            "precision": self.precision,
            "batch_size": self.batch_size,
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
        network = self._load()
        # Before 6.0 the method had a longer name.
        ask = getattr(network, "get_embedding_dimension", None) or network.get_sentence_embedding_dimension
        width = ask()
        if width is None:
            raise EmbeddingError(f"the embedding model {self.model_name} does not say how wide its vectors are.")
        return int(width)

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

    def _load(self) -> SentenceTransformer:
        with self._loading:
            if self._network is None:
                self._network = self._loaded()
            return self._network

    def _loaded(self) -> SentenceTransformer:
        if self._registered and self._registered.trust_remote_code and not self.trust_remote_code:
            raise EmbeddingError(
                f"the embedding model {self._registered.repository} runs code of its repository; "
                "set embedding.trust_remote_code=true if you trust it."
            )
        folder = self._folder
        refuse_pickled_weights(folder.path)
        import torch
        from sentence_transformers import SentenceTransformer

        try:
            with _no_loading_bar():
                network = SentenceTransformer(
                    str(folder.path),
                    device=_device(self.device),
                    trust_remote_code=self.trust_remote_code,
                    # Code of a repository may lie in a second repository.
                    local_files_only=hub_is_offline() or not self.trust_remote_code,
                    model_kwargs={"use_safetensors": True},
                )
            network.to(dtype=getattr(torch, self.precision))
        except Exception as error:  # whatever a foreign model folder makes the loader raise
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise EmbeddingError(
                f"the embedding model {self.model_name} from the {folder.source} at {folder.path} "
                f"cannot be loaded: {reason}"
            ) from error
        network.eval()
        network.truncate_dim = None  # cutting is done here, where vectors are normalised again
        return network

    def _bounded(self, network: SentenceTransformer, text: str) -> str:
        """The text, or a beginning of it that holds all the tokens the model will look at.

        Past 2,560 characters a token nothing is looked for: only blanks or one endless word go so far.
        """
        limit = network.max_seq_length
        if not limit or len(text) <= limit * _CHARACTERS_PER_TOKEN:
            return text
        tokenizer = network.tokenizer
        length = limit * _CHARACTERS_PER_TOKEN
        for _ in range(3):
            tokens = tokenizer(text[:length], add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
            if len(tokens) >= limit + _SPARE_TOKENS or length >= len(text):
                break
            length *= 4
        return text[:length]

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
) -> Embedder:
    """Rebuild the embedder that artifacts were made with.

    Args:
        settings: what :meth:`Embedder.settings` gave.
        folder: where :meth:`Embedder.save_state` wrote.
        model: folder or hub ID to take the model from, if it no longer is where the settings say;
            :func:`verify_embedder` tells whether it is the same.
        device: where to compute, whatever device the artifacts were made on.
        trust_remote_code: artifacts cannot grant this to themselves.
        local_files_only: never ask the network; None: as HF_HUB_OFFLINE says.

    Raises:
        EmbeddingError: if the settings are unknown, or want code of a repository to run that was not allowed.
    """
    rest = dict(settings)
    kind = rest.pop("kind", None)
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
        raise EmbeddingError(
            f"the embedding model {rest.get('model')} runs code of its repository; "
            "pass trust_remote_code=True if you trust it."
        )
    rest["model"] = model or rest.get("model")
    try:
        return SentenceTransformerEmbedder(
            **rest, device=device, trust_remote_code=trust_remote_code, local_files_only=local_files_only
        )
    except TypeError as error:
        raise EmbeddingError(f"the embedder's settings do not fit this version of wotd: {error}") from error


def _checked_size(truncate_dim: int | None, dimension: int | None) -> int | None:
    if truncate_dim is not None and not 1 <= truncate_dim <= (dimension or truncate_dim):
        raise EmbeddingError(
            f"embedding.truncate_dim is {truncate_dim}; expected 1 to {dimension or 'the width of the model'}."
        )
    return truncate_dim


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


def _device(name: str) -> str:
    if name != "auto":
        return name
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
