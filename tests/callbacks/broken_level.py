"""A level that has collapsed, for tests."""

from __future__ import annotations

import torch

from wotd.module import SemanticIDModule


@torch.no_grad()
def break_level(module: SemanticIDModule, level: int, distance: float = 1e3) -> None:
    """Move what all codes of a level but the first stand for out of reach, whatever comes before them."""
    quantizer = module.model.quantizer
    points = getattr(quantizer, f"points_{level}")
    points.view(-1, quantizer.level_sizes[level], quantizer.dim)[:, 1:] = distance
