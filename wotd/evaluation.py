"""What codes are worth: distortion, use of the codebooks, collisions, neighbours, agreement with labels.

One function measures one set of rows; it neither trains nor writes. What takes time that grows faster
than the rows, or a fit, looks at a sample of fixed size that is spread evenly over them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from wotd.encoders import SemanticEncoder
from wotd.metrics import (
    adjusted_mutual_information,
    churn,
    collisions,
    conditional_entropy,
    diagonal_dominance,
    fit_probe,
    label_agreement,
    level_usage,
    match_codes,
    neighbor_recall,
    ordered_agreement,
    reliability,
    rename_codes,
    spread,
    work_accuracy,
    work_consistency,
)
from wotd.quantization import HierarchicalVectorQuantizer
from wotd.taxonomy import Taxonomy

PROBE_ROWS = 8000
"""Rows, at most, from which a probe learns."""

NEIGHBOR_ROWS, QUERY_ROWS = 16384, 3000
"""Rows, at most, among which neighbours are sought, and that seek theirs."""

FRONTIER_ROWS = 4096
"""Rows, at most, on which labels are held against reconstruction."""

_WEIGHTS = (0.05, 0.25, 1.0, 2.5, 5.0, 10.0, 30.0, 100.0)

_CHUNK_ROWS = 16384


def encode_vectors(
    encoder: SemanticEncoder,
    vectors_ND: NDArray[np.floating],
    rows: NDArray[np.int64],
    on_rows: Callable[[int], object] = lambda _: None,
) -> NDArray[np.int64]:
    """Codes of the chosen rows, int64 len(rows)×L; the matrix may be memory-mapped and is read in chunks.

    ``on_rows`` is called with the number of each chunk's rows, to show progress.
    """
    device = encoder.mean_D.device
    codes_NL = np.empty((len(rows), len(encoder.level_sizes)), dtype=np.int64)
    for first in range(0, len(rows), _CHUNK_ROWS):
        x = _chunk(vectors_ND, rows[first : first + _CHUNK_ROWS]).to(device)
        codes_NL[first : first + len(x)] = encoder.encode(x).cpu().numpy()
        on_rows(len(x))
    return codes_NL


def evaluate(
    encoder: SemanticEncoder,
    vectors_ND: NDArray[np.floating],
    rows: NDArray[np.int64],
    *,
    labels_NL: NDArray[np.int64] | None = None,
    taxonomy: Taxonomy | None = None,
    named: bool = False,
    works_N: NDArray[np.int64] | None = None,
    probes: Mapping[str, Pipeline] | None = None,
) -> dict[str, float]:
    """Measure an encoder on rows of a matrix; :mod:`wotd.metrics` has the formulas.

    Args:
        encoder: the model, in eval mode.
        vectors_ND: embeddings, N×D; further columns, which the encoder may read beside the embedding,
            are not reconstructed, and so are no part of distortion and neighbours.
        rows: which of them.
        labels_NL: labels of all N rows, one column a level of the taxonomy, -1 where unknown.
        taxonomy: what the labels are; its ranked level, which says nothing of a text, is left out.
        named: whether the levels of the code bear the names of the taxonomy's.
        works_N: for all N rows, the index of their work.
        probes: what :func:`fit_probes` learned from other rows.

    Returns:
        ``passages``; ``nmse`` and ``cosine`` (whole code), the same at ``…/depth_{d}`` for its first d levels;
        ``level_{l}/perplexity|usage|dead|gini|conditional_entropy``; ``codes`` (distinct);
        ``collisions/rate|floor|random``; ``recall/prefix|reconstruction``. With works
        ``consistency/depth_{d}``. For each level NAME of a known label ``ami/level_{l}/NAME`` and
        ``probe/NAME/accuracy|macro_f1|by_work``; where levels are named for labels
        ``ami/diagonal_dominance``, ``agreement/NAME/accuracy|balanced|macro_f1|majority|by_work``,
        ``calibration/NAME/ece`` with the full bins of ``calibration/NAME/bin_{b}/confidence|accuracy|share``,
        and, if NAME is ordered, ``agreement/NAME/mean_absolute_error|within_one``. NaN stands for what
        cannot be measured: everything of no rows, ``nmse`` of equal ones.
    """
    codes_NL, confidence_NL = _encode_with_confidence(encoder, vectors_ND, rows)
    metrics: dict[str, float] = {"passages": float(len(rows))}
    metrics |= _distortion(encoder, vectors_ND, rows, codes_NL)
    metrics |= _use(codes_NL, encoder.level_sizes)
    metrics |= _recall(encoder, vectors_ND, rows, codes_NL)
    works_of_rows = None if works_N is None else works_N[rows]
    if works_of_rows is not None:
        shares = work_consistency(codes_NL, works_of_rows)
        metrics |= {f"consistency/depth_{depth}": share for depth, share in enumerate(shares, 1)}
    if labels_NL is None or taxonomy is None:
        return metrics
    labels_NL = labels_NL[rows]
    if named:
        metrics |= _agreement(codes_NL, labels_NL, taxonomy, works_of_rows)
        metrics |= _calibration(codes_NL, confidence_NL, labels_NL, taxonomy)
    metrics |= _probed(probes or {}, vectors_ND, rows, labels_NL, taxonomy, works_of_rows)
    return metrics | _information(codes_NL, labels_NL, taxonomy, named=named)


def fit_probes(
    vectors_ND: NDArray[np.floating], rows: NDArray[np.int64], labels_NL: NDArray[np.int64], taxonomy: Taxonomy
) -> dict[str, Pipeline]:
    """Probes of the vectors (all columns) by name of the level, each learned from at most ``PROBE_ROWS`` of the rows.

    A level of which fewer than two labels are known has none. See :func:`wotd.metrics.fit_probe`.
    """
    probes = {}
    for level, name in _described(taxonomy):
        sample = spread(rows[labels_NL[rows, level] >= 0], PROBE_ROWS)
        probe = fit_probe(_chunk(vectors_ND, sample).numpy(), labels_NL[sample, level])
        if probe is not None:
            probes[name] = probe
    return probes


def frontier(
    encoder: SemanticEncoder,
    vectors_ND: NDArray[np.floating],
    rows: NDArray[np.int64],
    labels_NL: NDArray[np.int64],
    taxonomy: Taxonomy,
) -> list[dict[str, float]]:
    """What codes say of labels and keep of embeddings as reconstruction weighs more and more against labels.

    Nothing is trained anew: only the search for codes changes, under several ``reconstruction_weight``, the model's own
    among them.

    Args:
        encoder: the model, in eval mode; it is left as it was.
        vectors_ND: embeddings, N×D.
        rows: which of them; looked at is a sample of fixed size.
        labels_NL: labels of all N rows, -1 where unknown.
        taxonomy: what the labels are, which the levels of the code are named for.

    Returns:
        by ascending weight ``weight``, ``nmse`` and the accuracy of each level with known labels by its name; nothing
        of a model without taught levels or of no rows.
    """
    quantizer, sample = encoder.quantizer, spread(rows, FRONTIER_ROWS)
    if not isinstance(quantizer, HierarchicalVectorQuantizer) or not quantizer.taught or not len(sample):
        return []
    points, own = [], quantizer.reconstruction_weight
    try:
        for weight in sorted({*_WEIGHTS, own}):
            quantizer.reconstruction_weight = weight
            codes_NL = encode_vectors(encoder, vectors_ND, sample)
            point = {"weight": weight, "nmse": _distortion(encoder, vectors_ND, sample, codes_NL)["nmse"]}
            for level, name in _described(taxonomy):
                agreement = label_agreement(codes_NL[:, level], labels_NL[sample, level])
                if agreement.known:
                    point[name] = agreement.accuracy
            points.append(point)
    finally:
        quantizer.reconstruction_weight = own
    return points


def evaluate_churn(
    new_NL: NDArray[np.int64],
    old_NL: NDArray[np.int64],
    level_sizes: Sequence[int],
    fixed_levels: Collection[int] = (),
) -> dict[str, float]:
    """How many rows two models call by other codes: ``churn/level_{l}``, ``churn/depth_{d}``, ``churn/whole``.

    Codes that only swapped names do not count, but on ``fixed_levels``, whose codes have a meaning; see
    :func:`wotd.metrics.match_codes`. ``churn/passages`` is the number of rows.

    Raises:
        InputError: if the codes do not belong to the same rows, or to these levels.
    """
    matched_NL = rename_codes(new_NL, match_codes(new_NL, old_NL, level_sizes, fixed_levels))
    found = churn(matched_NL, old_NL)
    metrics = {"churn/passages": float(len(new_NL)), "churn/whole": found.whole}
    metrics |= {f"churn/level_{level}": share for level, share in enumerate(found.per_level)}
    return metrics | {f"churn/depth_{depth}": share for depth, share in enumerate(found.per_prefix, 1)}


def _encode_with_confidence(
    encoder: SemanticEncoder, vectors_ND: NDArray[np.floating], rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    device, levels = encoder.mean_D.device, len(encoder.level_sizes)
    codes_NL = np.empty((len(rows), levels), dtype=np.int64)
    confidence_NL = np.empty((len(rows), levels), dtype=np.float32)
    for first in range(0, len(rows), _CHUNK_ROWS):
        x = _chunk(vectors_ND, rows[first : first + _CHUNK_ROWS]).to(device)
        codes, confidence = encoder.encode_with_confidence(x)
        codes_NL[first : first + len(x)] = codes.cpu().numpy()
        confidence_NL[first : first + len(x)] = confidence.float().cpu().numpy()
    return codes_NL, confidence_NL


def _use(codes_NL: NDArray[np.int64], level_sizes: tuple[int, ...]) -> dict[str, float]:
    """How codes are spread, level by level and as wholes."""
    metrics: dict[str, float] = {}
    for level, (size, bits) in enumerate(zip(level_sizes, conditional_entropy(codes_NL), strict=True)):
        usage = level_usage(torch.from_numpy(np.bincount(codes_NL[:, level], minlength=size)))
        metrics |= {
            f"level_{level}/perplexity": usage.perplexity,
            f"level_{level}/usage": usage.usage,
            f"level_{level}/dead": float(usage.dead),
            f"level_{level}/gini": usage.gini,
            f"level_{level}/conditional_entropy": bits,
        }
    shared = collisions(codes_NL, level_sizes)
    return metrics | {
        "codes": float(shared.distinct),
        "collisions/rate": shared.rate,
        "collisions/floor": shared.floor,
        "collisions/random": shared.random,
    }


def _distortion(
    encoder: SemanticEncoder, vectors_ND: NDArray[np.floating], rows: NDArray[np.int64], codes_NL: NDArray[np.int64]
) -> dict[str, float]:
    """Normalised error and mean cosine for every prefix of the codes, in one pass over the rows."""
    levels = len(encoder.level_sizes)
    error, cosine = np.zeros(levels + 1), np.zeros(levels + 1)
    total, squares = np.zeros(encoder.input_dim), 0.0
    device = encoder.mean_D.device
    for first in range(0, len(rows), _CHUNK_ROWS):
        x = _chunk(vectors_ND, rows[first : first + _CHUNK_ROWS])[:, : encoder.input_dim].to(device)
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


def _recall(
    encoder: SemanticEncoder, vectors_ND: NDArray[np.floating], rows: NDArray[np.int64], codes_NL: NDArray[np.int64]
) -> dict[str, float]:
    sample = spread(np.arange(len(rows)), NEIGHBOR_ROWS)
    device = encoder.mean_D.device
    x = _chunk(vectors_ND, rows[sample])[:, : encoder.input_dim].to(device)
    decoded = encoder.decode(torch.from_numpy(codes_NL[sample]).to(device))
    queries = spread(np.arange(len(sample)), QUERY_ROWS)
    recall = neighbor_recall(x, decoded, codes_NL[sample], queries)
    return {"recall/prefix": recall.prefix, "recall/reconstruction": recall.reconstruction}


def _agreement(
    codes_NL: NDArray[np.int64],
    labels_NL: NDArray[np.int64],
    taxonomy: Taxonomy,
    works_N: NDArray[np.int64] | None,
) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for level, name in _described(taxonomy):
        codes_N, labels_N = codes_NL[:, level], labels_NL[:, level]
        agreement = label_agreement(codes_N, labels_N)
        if not agreement.known:
            continue
        measured = {
            "accuracy": agreement.accuracy,
            "balanced": agreement.balanced,
            "macro_f1": agreement.macro_f1,
            "majority": agreement.majority,
        }
        if works_N is not None:
            measured["by_work"] = work_accuracy(codes_N, labels_N, works_N)
        if taxonomy.levels[level].ordered:
            steps = ordered_agreement(codes_N, labels_N)
            measured |= {"mean_absolute_error": steps.mean_absolute_error, "within_one": steps.within_one}
        metrics |= {f"agreement/{name}/{key}": value for key, value in measured.items()}
    return metrics


def _calibration(
    codes_NL: NDArray[np.int64],
    confidence_NL: NDArray[np.float32],
    labels_NL: NDArray[np.int64],
    taxonomy: Taxonomy,
) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for level, name in _described(taxonomy):
        known_N = labels_NL[:, level] >= 0
        if not known_N.any():
            continue
        right_N = codes_NL[known_N, level] == labels_NL[known_N, level]
        curve = reliability(confidence_NL[known_N, level], right_N)
        metrics[f"calibration/{name}/ece"] = curve.expected_error
        for index in np.flatnonzero(curve.counts):
            metrics |= {
                f"calibration/{name}/bin_{index:02}/confidence": float(curve.confidence[index]),
                f"calibration/{name}/bin_{index:02}/accuracy": float(curve.accuracy[index]),
                f"calibration/{name}/bin_{index:02}/share": float(curve.counts[index] / curve.counts.sum()),
            }
    return metrics


def _probed(
    probes: Mapping[str, Pipeline],
    vectors_ND: NDArray[np.floating],
    rows: NDArray[np.int64],
    labels_NL: NDArray[np.int64],
    taxonomy: Taxonomy,
    works_N: NDArray[np.int64] | None,
) -> dict[str, float]:
    predicted: dict[str, list[NDArray[np.int64]]] = {name: [] for name in probes}
    for first in range(0, len(rows) if probes else 0, _CHUNK_ROWS):
        x = _chunk(vectors_ND, rows[first : first + _CHUNK_ROWS]).numpy()
        for name, probe in probes.items():
            predicted[name].append(probe.predict(x))
    metrics: dict[str, float] = {}
    for level, name in _described(taxonomy):
        labels_N = labels_NL[:, level]
        if name not in probes or not (labels_N >= 0).any():
            continue
        codes_N = np.concatenate(predicted[name])
        agreement = label_agreement(codes_N, labels_N)
        metrics |= {f"probe/{name}/accuracy": agreement.accuracy, f"probe/{name}/macro_f1": agreement.macro_f1}
        if works_N is not None:
            metrics[f"probe/{name}/by_work"] = work_accuracy(codes_N, labels_N, works_N)
    return metrics


def _information(
    codes_NL: NDArray[np.int64], labels_NL: NDArray[np.int64], taxonomy: Taxonomy, *, named: bool
) -> dict[str, float]:
    described = _described(taxonomy)
    ami_LM = adjusted_mutual_information(codes_NL, labels_NL[:, [level for level, _ in described]])
    metrics = {
        f"ami/level_{level}/{name}": float(ami)
        for level, ami_M in enumerate(ami_LM)
        for (_, name), ami in zip(described, ami_M, strict=True)
        if not np.isnan(ami)
    }
    if named and metrics:
        metrics["ami/diagonal_dominance"] = diagonal_dominance(ami_LM)
    return metrics


def _described(taxonomy: Taxonomy) -> list[tuple[int, str]]:
    """Index and name of the levels that say something of a text; the ranked one counts works."""
    return [(index, level.name) for index, level in enumerate(taxonomy.levels) if not level.ranked]


def _chunk(vectors_ND: NDArray[np.floating], rows: NDArray[np.int64]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(vectors_ND[rows], dtype=np.float32))
