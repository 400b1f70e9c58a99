"""Linear layers of an ONNX graph in int8, as a calibration says.

C input channels, O output channels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from wotd.embeddings.backends.calibration import Calibration, Ranges
from wotd.embeddings.backends.rounding import halved, input_scale, rounded_weights
from wotd.errors import EmbeddingError


def quantised(path: Path, body: torch.nn.Module, calibration: Calibration) -> bytes:
    """The graph at a path with the calibrated linear layers in int8, as pairs of QuantizeLinear and DequantizeLinear.

    Args:
        path: of the float32 graph.
        body: what it was exported from; its layers are found in the graph by their weights.
        calibration: ranges by layer; other layers stay in float32.

    Raises:
        EmbeddingError: if there is no layer to which it applies.
    """
    model = onnx.load(path)
    graph = model.graph
    weights = {each.name: numpy_helper.to_array(each) for each in graph.initializer if len(each.dims) == 2}
    layers = {
        _key(layer.weight.detach().numpy().T): name
        for name, layer in body.named_modules()
        if isinstance(layer, torch.nn.Linear) and name in calibration.layers
    }
    rewriting = _Rewriting()
    for node in graph.node:
        weight_CO = weights.get(node.input[1]) if node.op_type == "MatMul" else None
        layer = layers.get(_key(weight_CO)) if weight_CO is not None else None
        if weight_CO is not None and layer is not None:
            ranges = calibration.layers[layer]
            changed = onnx.NodeProto()
            changed.CopyFrom(node)
            changed.input[0] = rewriting.rounded_input(node.input[0], ranges)
            changed.input[1] = rewriting.rounded_weight(weight_CO, ranges, layer)
            rewriting.nodes.append(changed)
        else:
            rewriting.nodes.append(node)
    if not rewriting.constants:
        raise EmbeddingError(
            "none of the model's linear layers can be computed in int8: they would stray too far, or the calibration "
            "is another model's; choose another embedding.precision."
        )
    used = {name for node in rewriting.nodes for name in node.input}
    kept = [each for each in graph.initializer if each.name in used]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(rewriting.nodes)
    graph.initializer.extend([*kept, *rewriting.constants])
    return bytes(model.SerializeToString())


class _Rewriting:
    """The nodes and constants of the new graph so far."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._inputs: dict[tuple[str, Ranges], str] = {}
        self._weights: dict[str, str] = {}

    def rounded_input(self, source: str, ranges: Ranges) -> str:
        """Name of the rounded input of a layer; layers of one source and range share it."""
        if (source, ranges) in self._inputs:
            return self._inputs[source, ranges]
        stem, value = f"input_{len(self._inputs)}", source
        if any(ranges.halvings):
            value = self._node("Mul", [source, self._constant(f"{stem}.factors", halved(ranges))], f"{stem}.evened")
        scale, zero = input_scale(ranges)
        step = [self._constant(f"{stem}.scale", scale), self._constant(f"{stem}.zero", zero)]
        rounded = self._node("QuantizeLinear", [value, *step], f"{stem}.rounded")
        back = self._node("DequantizeLinear", [rounded, *step], f"{stem}.back")
        self._inputs[source, ranges] = back
        return back

    def rounded_weight(self, weight_CO: NDArray[Any], ranges: Ranges, layer: str) -> str:
        """Name of the rounded weights of a layer, which may be used more than once."""
        if layer in self._weights:
            return self._weights[layer]
        values, scales_O = rounded_weights(weight_CO, ranges)
        parts = [
            self._constant(f"{layer}.weight", values),
            self._constant(f"{layer}.weight.scales", scales_O),
            self._constant(f"{layer}.weight.zeros", np.zeros(len(scales_O), np.int8)),
        ]
        self._weights[layer] = self._node("DequantizeLinear", parts, f"{layer}.weight.back", axis=1)
        return self._weights[layer]

    def _node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def _constant(self, name: str, values: Any) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name


def _key(weight: NDArray[Any]) -> tuple[tuple[int, ...], bytes]:
    return weight.shape, np.ascontiguousarray(weight).tobytes()
