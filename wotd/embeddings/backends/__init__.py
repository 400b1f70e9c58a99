"""What computes an embedding model: torch itself, or ONNX Runtime or OpenVINO in its place.

Only the body of the network (its transformer) is exported and exchanged; tokenizer, pooling and whatever
follows stay those of sentence-transformers. Libraries are imported when a network is loaded.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from wotd.embeddings.backends.calibration import Calibration, find_calibration
from wotd.errors import EmbeddingError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["BACKENDS", "Calibration", "checked_arithmetic", "find_calibration", "with_backend"]

BACKENDS: dict[str, tuple[str, ...]] = {
    "torch": ("float32", "bfloat16", "float16"),
    "onnx": ("float32", "int8"),
    "openvino": ("float32", "bfloat16", "int8"),
}
"""Backends, and the number formats each computes in."""

_PACKAGES = {"torch": (), "onnx": ("onnx", "onnxscript", "onnxruntime"), "openvino": ("onnx", "onnxscript", "openvino")}


def checked_arithmetic(backend: str, precision: str) -> None:
    """Refuse what cannot be computed here.

    Raises:
        EmbeddingError: if a name is unknown, the two do not go together, or a package is missing.
    """
    if backend not in BACKENDS:
        raise EmbeddingError(f"embedding.backend is '{backend}'; expected one of {', '.join(BACKENDS)}.")
    if precision not in BACKENDS[backend]:
        able = ", ".join(name for name, precisions in BACKENDS.items() if precision in precisions)
        hint = f"; {precision} is computed by {able}" if able else ""
        raise EmbeddingError(
            f"embedding.precision is '{precision}'; with embedding.backend={backend} expected one of "
            f"{', '.join(BACKENDS[backend])}{hint}."
        )
    if missing := [package for package in _PACKAGES[backend] if find_spec(package) is None]:
        raise EmbeddingError(
            f"embedding.backend is '{backend}', which needs {', '.join(missing)}: pip install 'wotd[{backend}]'."
        )


def with_backend(
    network: SentenceTransformer,
    backend: str,
    precision: str,
    *,
    model: str,
    store: Path,
    digest: str,
    calibration: Calibration | None = None,
) -> SentenceTransformer:
    """Let a network compute with that backend and number format.

    Args:
        network: as loaded, float32; changed, and given back.
        backend: one of :data:`BACKENDS`.
        precision: one of its formats.
        model: name for messages.
        store: the cache's root; exported bodies are kept in ``models/`` there.
        digest: of the model's files.
        calibration: ranges for int8; None: those in the store, else new ones, which are then kept there.

    Raises:
        EmbeddingError: if the network cannot be computed so.
    """
    import torch

    if backend == "torch":
        if precision == "float16" and network.device.type == "cpu":
            raise EmbeddingError(
                "embedding.precision is 'float16', which a CPU only imitates; expected float32 or bfloat16 there."
            )
        return network.to(dtype=getattr(torch, precision))
    from wotd.embeddings.backends.exchange import exchange_body

    network.float()  # weights may be stored in fewer digits
    if network.device.type != "cpu":
        raise EmbeddingError(
            f"embedding.device is '{network.device}', but embedding.backend={backend} computes on the CPU; "
            "leave the device at auto."
        )
    exchange_body(network, backend, precision, model=model, store=store, digest=digest, calibration=calibration)
    return network
