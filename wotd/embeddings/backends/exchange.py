"""The body of a network, exported once as an ONNX graph, kept, and run by another backend."""

from __future__ import annotations

import errno
import hashlib
import logging
import shutil
import threading
import uuid
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch

from wotd.embeddings.backends.calibration import (
    Calibration,
    calibrate,
    calibration_file,
    find_calibration,
    model_store,
)
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
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
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
    runs = _OnnxBody if backend == "onnx" else _OpenVinoBody
    try:
        exchanged = runs(body.config, exported, precision)
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


class _Exported(torch.nn.Module):
    """A body with its inputs in a fixed order and one output."""

    def __init__(self, body: torch.nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.body, self.names = body, names

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.body(**dict(zip(self.names, inputs, strict=True)), return_dict=True)[0]


class _Body(torch.nn.Module, ABC):
    """Stands where the transformer stood."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        # What asks a network for its device asks its parameters.
        self.register_parameter("place", torch.nn.Parameter(torch.zeros(1), requires_grad=False))

    def forward(self, **features: Any) -> Any:
        from transformers.modeling_outputs import BaseModelOutput

        arrays = {name: features[name].numpy() for name in self.inputs if features.get(name) is not None}
        return BaseModelOutput(last_hidden_state=torch.from_numpy(self.run(arrays)))

    inputs: tuple[str, ...] = ()

    @abstractmethod
    def run(self, arrays: dict[str, Any]) -> Any:
        """Hidden states of a batch, float32 [B, T, H], from its int64 inputs, each [B, T]."""


class _OnnxBody(_Body):
    """Run by ONNX Runtime, with the cores torch has in the calling thread."""

    def __init__(self, config: Any, graph: Path, precision: str) -> None:
        super().__init__(config)
        del precision  # the graph holds it
        self._graph = graph
        self._sessions: dict[int, Any] = {}
        self._making = threading.Lock()
        self.inputs = tuple(each.name for each in self._session().get_inputs())

    def run(self, arrays: dict[str, Any]) -> Any:
        return self._session().run(None, arrays)[0]

    def _session(self) -> Any:
        cores = torch.get_num_threads()
        with self._making:
            if cores not in self._sessions:
                import onnxruntime

                options = onnxruntime.SessionOptions()
                options.intra_op_num_threads = cores
                options.inter_op_num_threads = 1
                options.log_severity_level = 3
                self._sessions[cores] = onnxruntime.InferenceSession(
                    str(self._graph), options, providers=["CPUExecutionProvider"]
                )
            return self._sessions[cores]


class _OpenVinoBody(_Body):
    """Run by OpenVINO on the CPU."""

    def __init__(self, config: Any, graph: Path, precision: str) -> None:
        super().__init__(config)
        import openvino

        core = openvino.Core()
        if precision == "bfloat16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise ValueError("this processor does not compute in bfloat16")
        # Without the hint it would compute in bfloat16 wherever a processor can.
        hint = {"bfloat16": "bf16"}.get(precision, "f32")
        cores = torch.get_num_threads()
        self._compiled = core.compile_model(
            core.read_model(graph),
            "CPU",
            {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": cores, "NUM_STREAMS": cores},
        )
        self.inputs = tuple(each.get_any_name() for each in self._compiled.inputs)

    def run(self, arrays: dict[str, Any]) -> Any:
        request = self._compiled.create_infer_request()  # one a call: requests are not shared between threads
        return request.infer(arrays)[self._compiled.output(0)].copy()


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
    example = network.preprocess(["a short text", "and another one that is somewhat longer than the first"])
    names = tuple(name for name in _INPUTS if name in example)
    dynamic = torch.export.Dim.DYNAMIC
    try:
        with _quiet():
            program = torch.onnx.export(
                _Exported(body, names).eval(),
                tuple(example[name] for name in names),
                dynamo=True,
                input_names=list(names),
                output_names=["last_hidden_state"],
                dynamic_shapes=(tuple({0: dynamic, 1: dynamic} for _ in names),),
                verbose=False,
            )
        return bytes(program.model_proto.SerializeToString()) if program else b""
    except Exception as error:  # whatever a foreign architecture makes the exporter raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise EmbeddingError(
            f"the embedding model {model} cannot be exported for embedding.backend={backend}: {reason}; "
            "use embedding.backend=torch."
        ) from error


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
