"""From latents to codes: quantizers behind the three verbs ``forward``, ``encode`` and ``decode``."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from wotd.errors import ConfigurationError
from wotd.quantization.fsq import FiniteScalarQuantizer
from wotd.quantization.hvq import HierarchicalVectorQuantizer
from wotd.quantization.quantized import Quantized

Quantizer = HierarchicalVectorQuantizer | FiniteScalarQuantizer

QUANTIZERS: dict[str, type[HierarchicalVectorQuantizer] | type[FiniteScalarQuantizer]] = {
    "hvq": HierarchicalVectorQuantizer,
    "fsq": FiniteScalarQuantizer,
}
"""Quantizers by the name that a config and an artifact call them."""

GIVEN = ("feature_dim", "taught")
"""Options that features and a taxonomy decide; artifacts record them."""


def build_quantizer(kind: str, dim: int, level_sizes: Sequence[int], options: Mapping[str, Any]) -> Quantizer:
    """Make the quantizer of that kind.

    Raises:
        ConfigurationError: if the kind or an option is unknown, or a level has fewer than two codes.
    """
    if kind not in QUANTIZERS:
        raise ConfigurationError(f"model.quantizer.kind is '{kind}'; expected one of {', '.join(QUANTIZERS)}.")
    if not level_sizes or any(int(size) < 2 for size in level_sizes):
        raise ConfigurationError(f"model.level_sizes is {list(level_sizes)}; expected at least 2 codes on every level.")
    known = list(inspect.signature(QUANTIZERS[kind]).parameters)[2:]
    if unknown := sorted(set(options) - set(known)):
        raise ConfigurationError(
            f"model.quantizer has {', '.join(unknown)}, which {kind} does not know; it knows "
            f"{', '.join(name for name in known if name not in GIVEN) or 'none'}. "
            f"model/quantizer={kind} brings all of its own."
        )
    return QUANTIZERS[kind](dim, level_sizes, **options)


__all__ = [
    "GIVEN",
    "QUANTIZERS",
    "FiniteScalarQuantizer",
    "HierarchicalVectorQuantizer",
    "Quantized",
    "Quantizer",
    "build_quantizer",
]
