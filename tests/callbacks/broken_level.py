"""A level that has collapsed, for tests."""

from __future__ import annotations

import torch

from wotd.module import SemanticIDModule


@torch.no_grad()
def break_level(module: SemanticIDModule, level: int, distance: float = 1e3) -> None:
    """Move whatever codes stand for, but those that begin in the first code of a level, out of reach.

    Longer codes are moved too, or a beam that goes on with several prefixes would find its way around.
    """
    quantizer = module.model.quantizer
    for later in range(level, quantizer.tables):
        points = getattr(quantizer, f"points_{later}").view(*quantizer.level_sizes[: later + 1], quantizer.dim)
        points.movedim(level, 0)[1:] = distance
