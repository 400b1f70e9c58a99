"""Measuring the ranges of a network on the calibration texts.

N rows, C channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from wotd.embeddings.backends.calibration import Calibration, calibration_texts
from wotd.embeddings.backends.rounding import best_ranges

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_ROWS_A_TEXT = 4


class _Seen:
    """What came into one linear layer."""

    def __init__(self, layer: torch.nn.Linear) -> None:
        self.weight = layer.weight
        self.samples: list[torch.Tensor] = []
        self.lowest_C = torch.full((layer.in_features,), torch.inf)
        self.highest_C = -self.lowest_C

    def __call__(self, _: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
        rows_NC = inputs[0].detach().reshape(-1, inputs[0].shape[-1])
        self.lowest_C = torch.minimum(self.lowest_C, rows_NC.amin(0))
        self.highest_C = torch.maximum(self.highest_C, rows_NC.amax(0))
        # Not the first and the last: those are the same marks of the tokenizer in every text.
        self.samples.append(rows_NC[torch.linspace(0, len(rows_NC) - 1, _ROWS_A_TEXT + 2)[1:-1].round().long()])


def calibrate(network: SentenceTransformer, body: torch.nn.Module) -> Calibration:
    """Measure the inputs of the linear layers of a network's body, float32, on the calibration texts."""
    layers = {name: _Seen(layer) for name, layer in body.named_modules() if isinstance(layer, torch.nn.Linear)}
    hooks = [body.get_submodule(name).register_forward_pre_hook(seen) for name, seen in layers.items()]
    try:
        for text in calibration_texts():  # one at a time: what padding would add is nothing a text says
            network.encode([text], show_progress_bar=False)
    finally:
        for hook in hooks:
            hook.remove()
    found = {
        name: best_ranges(
            torch.cat(seen.samples).numpy(),
            seen.lowest_C.numpy(),
            seen.highest_C.numpy(),
            seen.weight.detach().numpy().T,
        )
        for name, seen in layers.items()
        if seen.samples
    }
    return Calibration({name: ranges for name, ranges in found.items() if ranges is not None})
