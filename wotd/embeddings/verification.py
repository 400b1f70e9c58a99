"""Whether an embedder is the one that artifacts were made with: the same model, and near enough the same numbers.

A backend or a number format changes every vector a little. Whether artifacts may be used with another one
than they were made with is therefore measured: by the cosines between the vectors of the probe texts.

P probe texts, D embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wotd.embeddings.base import Embedder, Vectors
from wotd.embeddings.fingerprint import Fingerprint
from wotd.errors import EmbeddingError

SAME_COSINES = {"float32": 0.99999, "float16": 0.99999, "bfloat16": 0.9995, "int8": 0.999}
"""The least cosine where both are computed in the same way; in few digits a last one may round to its neighbour."""

LEAST_COSINES = {"float32": 0.99999, "float16": 0.9995, "bfloat16": 0.995, "int8": 0.98}
"""By precision, the least cosine with the vectors of float32 that a backend must reach on every probe text."""


@dataclass(frozen=True)
class Fidelity:
    """How far two sets of vectors of the same texts agree."""

    mean_cosine: float
    least_cosine: float
    texts: int

    @classmethod
    def between(cls, vectors: NDArray[np.floating], others: NDArray[np.floating]) -> Fidelity:
        """Cosines between the rows of two matrices, each [N, D]; NaN where a number is, 1 between equal rows."""
        here, there = np.asarray(vectors, np.float64), np.asarray(others, np.float64)
        lengths = np.linalg.norm(here, axis=1) * np.linalg.norm(there, axis=1)
        cosines = np.einsum("nd,nd->n", here, there) / np.where(lengths == 0, 1.0, lengths)
        cosines = np.where((here == there).all(axis=1), 1.0, cosines)
        return cls(float(cosines.mean()), float(cosines.min()), len(cosines))


def described(embedder: Embedder) -> dict[str, Any]:
    """What artifacts and checkpoints keep of an embedder, as plain data; :func:`verify_embedder` reads it.

    Raises:
        EmbeddingError: if its backend strays too far from float32 torch to be trusted.
    """
    return {"settings": embedder.settings(), "dimension": embedder.dimension, **measured(embedder)}


def measured(embedder: Embedder) -> dict[str, Any]:
    """The fingerprint of an embedder, its probe vectors, and how near they are to float32 torch, as plain data.

    Raises:
        EmbeddingError: if its backend strays too far from float32 torch to be trusted.
    """
    probe_PD = embedder.probe()
    return {
        "fingerprint": embedder.fingerprint.to_mapping(),
        "probe": [[float(value) for value in row] for row in probe_PD],
        "fidelity": _fidelity_to_reference(embedder, probe_PD),
    }


def verify_embedder(
    embedder: Embedder, fingerprint: Fingerprint, probe: Sequence[Any] | Vectors, tolerance: float = 1e-4
) -> Fidelity:
    """Refuse an embedder whose vectors are not those the artifacts were made with.

    Args:
        embedder: what would be used.
        fingerprint: what the artifacts recorded.
        probe: vectors of the probe texts, as the artifacts recorded them, [P, D], or of the first one, [D].
        tolerance: largest difference of a number of two probe vectors where both are computed in the same way.

    Returns:
        How far the probe vectors agree.

    Raises:
        EmbeddingError: one sentence that names what differs.
    """
    mine = embedder.fingerprint
    if differences := mine.differences(fingerprint):
        raise EmbeddingError(
            f"the embedding model {mine.model} is not as it was for the artifacts, which were made "
            f"with {fingerprint.model}: {'; '.join(differences)}."
        )
    there = np.atleast_2d(np.asarray(probe, dtype=np.float32))
    here = embedder.probe()[: len(there)]
    if here.shape != there.shape:
        raise EmbeddingError(f"the probe vectors have shape {here.shape} here, {there.shape} in the artifacts.")
    agreement = Fidelity.between(here, there)
    if mine.arithmetic == fingerprint.arithmetic and mine.precision == "float32":
        apart = float(np.abs(here - there).max())
        if not apart <= tolerance:
            raise EmbeddingError(
                f"the embedding model {fingerprint.model} has the files the artifacts name, but its probe vector is "
                f"off by {apart:.2g} (allowed is {tolerance:g}); another version of a library computes it differently."
            )
        return agreement
    same = mine.arithmetic == fingerprint.arithmetic and mine.calibration_sha256 == fingerprint.calibration_sha256
    cosines = SAME_COSINES if same else LEAST_COSINES
    least = min(cosines[mine.precision], cosines[fingerprint.precision])
    if not agreement.least_cosine >= least:
        raise EmbeddingError(
            f"the embedding model {fingerprint.model} computed by {mine.arithmetic} strays too far from the artifacts, "
            f"which were made by {fingerprint.arithmetic}: cosine {agreement.least_cosine:.5f} on a probe text, "
            f"expected at least {least:g}."
        )
    return agreement


def _fidelity_to_reference(embedder: Embedder, probe_PD: Vectors) -> dict[str, Any] | None:
    """Agreement with float32 torch, measured; None where that is what computes."""
    reference = embedder.reference()
    if reference is None:
        return None
    agreement = Fidelity.between(probe_PD, reference.probe())
    fingerprint = embedder.fingerprint
    least = LEAST_COSINES[fingerprint.precision]
    if not agreement.least_cosine >= least:
        raise EmbeddingError(
            f"the embedding model {fingerprint.model} computed by {fingerprint.arithmetic} strays too far from "
            f"{reference.fingerprint.arithmetic}: cosine {agreement.least_cosine:.5f} on a probe text, expected at "
            f"least {least:g}; choose another embedding.backend or embedding.precision."
        )
    return asdict(agreement)
