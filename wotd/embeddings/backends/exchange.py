"""The body of a network, exported once as an ONNX graph, kept, and run by another backend."""

from __future__ import annotations

import errno
import hashlib
import logging
import shutil
import uuid
import warnings
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch

from wotd.embeddings.backends.calibration import (
    Calibration,
    calibration_file,
    find_calibration,
    model_store,
)
from wotd.embeddings.backends.measuring import calibrate
from wotd.embeddings.backends.running import BODIES
from wotd.embeddings.locks import locked
from wotd.embeddings.shard_file import write_atomically
from wotd.errors import EmbeddingError
from wotd.provenance import file_sha256

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

logger = logging.getLogger(__name__)

_GRAPH, _CHECKSUM = "model.onnx", "sha256"
_SLOT = "model"
"""Where a Transformer module has its body; ``auto_model`` is a property that reads it."""
_EXAMPLE = ["a short text", "and another one that is somewhat longer than the first"]
_OTHER_SHAPE = ["a text of another length than those", "two", "and that beside a third one, in a larger batch"]
_LARGEST_DIFFERENCE = 1e-3
"""Of a hidden state of an exported body and of its original, as a share of the greatest one."""
_NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS}
_MOST_BYTES = 1_800_000_000
"""A graph with its weights is one protobuf message, of which none is larger than 2 GiB."""


def exchange_body(
    network: SentenceTransformer,
    backend: str,
    precision: str,
    *,
    model: str,
    store: Path,
    digest: str,
    calibration: Calibration | None,
) -> None:
    """Put a body that another backend runs in the place of the network's own.

    Raises:
        EmbeddingError: if the network has no body that can be exported.
    """
    body = _body_of(network, model, backend)
    exported = _exported(network, body, store, digest, model, backend)
    if precision == "int8":
        exported = _quantised(network, body, exported, store, digest, calibration)
    try:
        exchanged = BODIES[backend](body.config, exported, precision)
    except Exception as error:  # whatever a graph makes another library raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise EmbeddingError(
            f"the embedding model {model} cannot be computed by embedding.backend={backend}: {reason}; "
            "use embedding.backend=torch."
        ) from error
    setattr(network[0], _SLOT, exchanged)


def kept_calibration(
    network: SentenceTransformer, backend: str, *, model: str, store: Path, digest: str
) -> Calibration:
    """The calibration of a network's body, measured and put into the store.

    Raises:
        EmbeddingError: if the network has no body, or the disk does not take it.
    """
    return _calibrated(network, _body_of(network, model, backend), store, digest)


def _body_of(network: SentenceTransformer, model: str, backend: str) -> torch.nn.Module:
    if _SLOT not in dict(network[0].named_children()):
        raise EmbeddingError(
            f"the embedding model {model} begins with {type(network[0]).__name__} and has no transformer that "
            f"embedding.backend={backend} could compute; use embedding.backend=torch."
        )
    return network[0].get_submodule(_SLOT)


class _Listening(torch.nn.Module):
    """A body that keeps what it is handed; hooks would not be called, as a network calls ``forward`` itself."""

    def __init__(self, body: torch.nn.Module) -> None:
        super().__init__()
        self.body, self.config = body, body.config
        self.heard: dict[str, torch.Tensor] = {}

    def forward(self, **features: Any) -> Any:
        self.heard = {name: each for name, each in features.items() if isinstance(each, torch.Tensor)}
        return self.body(**features)


class _Exported(torch.nn.Module):
    """A body with its inputs in a fixed order and one output."""

    def __init__(self, body: torch.nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.body, self.names = body, names

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.body(**dict(zip(self.names, inputs, strict=True)), return_dict=True)[0]


def _exported(
    network: SentenceTransformer, body: torch.nn.Module, store: Path, digest: str, model: str, backend: str
) -> Path:
    """The graph of the body in float32, exported unless it is kept."""
    folder = model_store(store, digest) / f"float32-torch{version('torch').partition('+')[0]}-{version('transformers')}"
    return _kept_or_made(folder, lambda: _graph_of(network, body, model, backend))


def _graph_of(network: SentenceTransformer, body: torch.nn.Module, model: str, backend: str) -> bytes:
    """Export the body.

    Raises:
        EmbeddingError: if it is too large, or the exporter does not know what it is made of.
    """
    if (size := sum(4 * weights.numel() for weights in body.parameters())) > _MOST_BYTES:
        raise EmbeddingError(
            f"the embedding model {model} has {size / 1e9:.1f} GB of weights, more than fit into one graph for "
            f"embedding.backend={backend}; use embedding.backend=torch."
        )
    logger.info("exporting %s for other backends, once", model)
    example = _inputs_of(network, _EXAMPLE)
    dynamic = torch.export.Dim.DYNAMIC
    try:
        with _quiet():
            program = torch.onnx.export(
                _Exported(body, tuple(example)).eval(),
                tuple(example.values()),
                dynamo=True,
                input_names=list(example),
                output_names=["last_hidden_state"],
                dynamic_shapes=(tuple({0: dynamic, 1: dynamic} for _ in example),),
                verbose=False,
            )
        graph = bytes(program.model_proto.SerializeToString()) if program else b""
        other = _inputs_of(network, _OTHER_SHAPE)
        apart = _difference(body, BODIES[backend](body.config, graph, "float32"), other)
    except Exception as error:  # whatever a foreign architecture makes the exporter raise
        cause = error.__cause__ or error  # the exporter wraps what was wrong into advice
        reason = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
        raise EmbeddingError(
            f"the embedding model {model} cannot be exported for embedding.backend={backend}: {reason}; "
            "use embedding.backend=torch."
        ) from error
    if not apart <= _LARGEST_DIFFERENCE:
        raise EmbeddingError(
            f"the embedding model {model} computes otherwise once it is exported for embedding.backend={backend}: a "
            f"hidden state is off by {apart:.2g} of the greatest, allowed is {_LARGEST_DIFFERENCE:g}; "
            "use embedding.backend=torch."
        )
    return graph


def _inputs_of(network: SentenceTransformer, texts: list[str]) -> dict[str, torch.Tensor]:
    """What the network hands to its body for these texts, by name, each [B, T]."""
    body = network[0].get_submodule(_SLOT)
    listening = _Listening(body)
    setattr(network[0], _SLOT, listening)
    try:
        network.encode(texts, batch_size=len(texts), show_progress_bar=False)
    finally:
        setattr(network[0], _SLOT, body)
    # The network's are made for inference alone, which exporting does not take.
    return {name: torch.from_numpy(each.numpy().copy()) for name, each in listening.heard.items()}


def _difference(body: torch.nn.Module, other: torch.nn.Module, inputs: dict[str, torch.Tensor]) -> float:
    """Greatest difference of a hidden state of the tokens, as two bodies compute them; as a share of the greatest."""
    with torch.no_grad():
        here, there = body(**inputs).last_hidden_state, other(**inputs).last_hidden_state
    tokens = inputs["attention_mask"].bool() if "attention_mask" in inputs else torch.ones(here.shape[:2]).bool()
    return float((here - there)[tokens].abs().max() / here[tokens].abs().max())


def _quantised(
    network: SentenceTransformer,
    body: torch.nn.Module,
    exported: Path,
    store: Path,
    digest: str,
    calibration: Calibration | None,
) -> Path:
    """The graph with linear layers in int8."""
    if calibration is None:
        calibration = find_calibration(store, digest) or _calibrated(network, body, store, digest)
    folder = exported.parent.with_name(f"int8-{calibration.sha256[:16]}-{exported.parent.name.partition('-')[2]}")
    from wotd.embeddings.backends.quantisation import quantised

    return _kept_or_made(folder, lambda: quantised(exported, body, calibration))


def _calibrated(network: SentenceTransformer, body: torch.nn.Module, store: Path, digest: str) -> Calibration:
    """The model's own calibration, measured once by however many processes want it."""
    path = calibration_file(store, digest)
    try:
        with locked(path.parent):
            calibration = find_calibration(store, digest)
            if calibration is None:
                calibration = calibrate(network, body)
                calibration.save(path)
            return calibration
    except OSError as error:
        if error.errno in _NOT_WRITABLE:
            return calibrate(network, body)
        raise _not_kept(path.parent, error) from error


def _kept(folder: Path) -> Path | None:
    """The graph in a folder if it is what was written there."""
    graph = folder / _GRAPH
    try:
        if file_sha256(graph) == (folder / _CHECKSUM).read_text(encoding="ascii"):
            return graph
        logger.warning("the exported model %s is damaged and is made anew", graph)
    except OSError:
        return None
    return None


def _kept_or_made(folder: Path, make: Callable[[], bytes]) -> Path:
    """The graph in a folder, made if it is not there, once by however many processes want it.

    Raises:
        EmbeddingError: if the disk does not take it.
    """
    if (kept := _kept(folder)) is not None:
        return kept
    try:
        with locked(folder.parent):
            return _kept(folder) or _keep(folder, make())
    except OSError as error:
        if error.errno not in _NOT_WRITABLE:
            raise _not_kept(folder.parent, error) from error
        logger.warning("%s is read-only: the exported model is not kept", folder.parent)
        return _keep(Path(_for_this_process().name) / folder.name, make())


@cache
def _for_this_process() -> TemporaryDirectory[str]:
    """A folder for what cannot be kept, removed when the process ends."""
    return TemporaryDirectory(prefix="wotd-")


def _keep(folder: Path, content: bytes) -> Path:
    """Write a graph so that it is there whole or not at all; only under the lock."""
    for leftover in folder.parent.glob(".tmp-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    temporary = folder.with_name(f".tmp-{uuid.uuid4().hex}")
    try:
        temporary.mkdir()
        write_atomically(temporary / _GRAPH, content)
        write_atomically(temporary / _CHECKSUM, hashlib.sha256(content).hexdigest().encode("ascii"))
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder / _GRAPH


def _not_kept(folder: Path, error: OSError) -> EmbeddingError:
    return EmbeddingError(
        f"the exported model cannot be kept in {folder}: {error.strerror or error}; "
        "make room, or set WOTD_CACHE to another folder."
    )


class _quiet:  # noqa: N801  a context manager, used as a function
    """Without the exporter's reports, which go to stderr and the log."""

    def __enter__(self) -> None:
        self._loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "torch.export")]
        self._levels = [each.level for each in self._loggers]
        for each in self._loggers:
            each.setLevel(logging.ERROR)
        self._warnings = warnings.catch_warnings()
        self._warnings.__enter__()
        warnings.simplefilter("ignore")

    def __exit__(self, *_: object) -> None:
        self._warnings.__exit__(None, None, None)
        for each, level in zip(self._loggers, self._levels, strict=True):
            each.setLevel(level)
