"""A level that has collapsed, for tests."""

from __future__ import annotations

from wotd.module import SemanticIDModule


def break_level(module: SemanticIDModule, level: int, distance: float = 1e3) -> None:
    """Move all codewords of a level but the first out of reach, sums and counts with them."""
    codebook = module.model.quantizer.levels[level]
    codebook.embed_KZ[1:] = distance
    codebook.embed_avg_KZ.copy_(codebook.embed_KZ)
    codebook.cluster_size_K.fill_(1.0)
