"""What codes are worth: distortion by depth, use of the codebooks, collisions, agreement with labels.

One function measures one set of rows; it neither trains nor writes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from wotd.encoders import SemanticEncoder
from wotd.metrics import collisions, label_agreement, level_usage

_CHUNK_ROWS = 16384


def encode_vectors(
    encoder: SemanticEncoder, vectors_ND: NDArray[np.floating], rows: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Codes of the chosen rows, int64 len(rows)×L; the matrix may be memory-mapped and is read in chunks."""
    device = encoder.mean_D.device
    parts = [
        encoder.encode(_chunk(vectors_ND, rows[first : first + _CHUNK_ROWS]).to(device)).cpu().numpy()
        for first in range(0, len(rows), _CHUNK_ROWS)
    ]
    return np.concatenate(parts) if parts else np.empty((0, len(encoder.level_sizes)), dtype=np.int64)


def row_errors(
    encoder: SemanticEncoder, vectors_ND: NDArray[np.floating], rows: NDArray[np.int64], codes_NL: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Squared reconstruction error of each row over the mean variance of the training data, per dimension."""
    device = encoder.mean_D.device
    parts = []
    for first in range(0, len(rows), _CHUNK_ROWS):
        x = _chunk(vectors_ND, rows[first : first + _CHUNK_ROWS]).to(device)
        decoded = encoder.decode(torch.from_numpy(codes_NL[first : first + _CHUNK_ROWS]).to(device))
        parts.append(((decoded - x).square().mean(1) / encoder.scale.square()).double().cpu().numpy())
    return np.concatenate(parts) if parts else np.empty(0)


def evaluate(
    encoder: SemanticEncoder,
    vectors_ND: NDArray[np.floating],
    rows: NDArray[np.int64],
    *,
    labels_NL: NDArray[np.int64] | None = None,
    level_names: Sequence[str] = (),
) -> dict[str, float]:
    """Measure an encoder on rows of a matrix.

    Args:
        encoder: the model, in eval mode.
        vectors_ND: embeddings, N×D.
        rows: which of them.
        labels_NL: labels of all N rows, -1 where unknown; given for supervised levels only.
        level_names: names for the agreement's entries.

    Returns:
        ``nmse`` and ``cosine`` (whole code), the same at ``…/depth_{d}`` for its first d levels,
        ``level_{l}/perplexity|usage|dead``, ``collisions/rate|floor|random``, ``codes`` (distinct),
        ``passages``, and ``agreement/NAME/accuracy|balanced|within_one|majority`` of the levels with a
        known label. NaN stands for what cannot be measured: everything of no rows, ``nmse`` of equal ones.
    """
    codes_NL = encode_vectors(encoder, vectors_ND, rows)
    metrics: dict[str, float] = {"passages": float(len(rows))}
    metrics |= _distortion(encoder, vectors_ND, rows, codes_NL)
    for level, size in enumerate(encoder.level_sizes):
        usage = level_usage(torch.from_numpy(np.bincount(codes_NL[:, level], minlength=size)))
        metrics |= {
            f"level_{level}/perplexity": usage.perplexity,
            f"level_{level}/usage": usage.usage,
            f"level_{level}/dead": float(usage.dead),
        }
    shared = collisions(codes_NL, encoder.level_sizes)
    metrics |= {
        "collisions/rate": shared.rate,
        "collisions/floor": shared.floor,
        "collisions/random": shared.random,
        "codes": float(shared.distinct),
    }
    if labels_NL is not None:
        metrics |= _agreement(codes_NL, labels_NL[rows], level_names)
    return metrics


def _distortion(
    encoder: SemanticEncoder, vectors_ND: NDArray[np.floating], rows: NDArray[np.int64], codes_NL: NDArray[np.int64]
) -> dict[str, float]:
    """Normalised error and mean cosine for every prefix of the codes, in one pass over the rows."""
    levels = len(encoder.level_sizes)
    error, cosine = np.zeros(levels + 1), np.zeros(levels + 1)
    total, squares = np.zeros(encoder.input_dim), 0.0
    device = encoder.mean_D.device
    for first in range(0, len(rows), _CHUNK_ROWS):
        x = _chunk(vectors_ND, rows[first : first + _CHUNK_ROWS]).to(device)
        codes = torch.from_numpy(codes_NL[first : first + _CHUNK_ROWS]).to(device)
        total += x.double().sum(0).cpu().numpy()
        squares += float(x.double().square().sum())
        for depth in range(1, levels + 1):
            decoded = encoder.decode(codes[:, :depth])
            error[depth] += float((decoded - x).double().square().sum())
            cosine[depth] += float(torch.nn.functional.cosine_similarity(decoded, x).double().sum())
    variance = squares - float((total**2).sum()) / max(1, len(rows))
    # What is left of equal rows is rounding.
    nmse = error / variance if variance > 1e-12 * squares else np.full(levels + 1, np.nan)
    cosine /= len(rows) or np.nan
    metrics = {"nmse": float(nmse[levels]), "cosine": float(cosine[levels])}
    metrics |= {f"nmse/depth_{depth}": float(nmse[depth]) for depth in range(1, levels + 1)}
    return metrics | {f"cosine/depth_{depth}": float(cosine[depth]) for depth in range(1, levels + 1)}


def _agreement(
    codes_NL: NDArray[np.int64],
    labels_NL: NDArray[np.int64],
    level_names: Sequence[str],
) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for level in range(labels_NL.shape[1]):
        name = level_names[level] if level < len(level_names) else f"level_{level}"
        agreement = label_agreement(codes_NL[:, level], labels_NL[:, level])
        if agreement.known:
            metrics |= {
                f"agreement/{name}/accuracy": agreement.accuracy,
                f"agreement/{name}/balanced": agreement.balanced,
                f"agreement/{name}/within_one": agreement.within_one,
                f"agreement/{name}/majority": agreement.majority,
            }
    return metrics


def _chunk(vectors_ND: NDArray[np.floating], rows: NDArray[np.int64]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(vectors_ND[rows], dtype=np.float32))
